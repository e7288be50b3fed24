/** A batch on its way through an engine: its programs are queued, and its slot goes back to the ring when they have read it. */
import type { Batch } from '../batching/loader.js';
import type { Outputs, Runtime, Ticket } from '../engines/engine.js';
import type { Call } from './programs.js';

/** Resolves when all calls are queued, with what each of them will put out. Nobody needs to wait for the slot: it goes back by itself. */
export async function submitBatch(runtime: Runtime, batch: Batch, calls: readonly Call[]): Promise<Promise<Outputs>[]> {
  const tickets: Ticket[] = [];
  for (const { program, inputs } of calls) tickets.push(await runtime.submit(program, inputs));
  // The ring has more slots than programs are in flight.
  void Promise.all(tickets.map(({ consumed }) => consumed)).then(batch.release);
  return tickets.map(({ outputs }) => outputs);
}
