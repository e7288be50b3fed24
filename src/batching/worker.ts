/**
 * A worker of the loader: one task that lasts as long as the loader does. It takes the next batch that nobody has taken and
 * makes it as soon as its slot is free, again and again, until the ring is stopped or the pass has ended.
 * Errors leave as data, since an error loses its class between threads.
 */
import { type ErrorParts, GalvaniError } from '../errors.js';
import { BatchMaker } from './maker.js';
import { type BatchPlan, stepOf } from './plan.js';
import { Ring, Stopped } from './ring.js';

export interface WorkerTask {
  plan: BatchPlan;
  /** Over the shared memory. */
  control: Int32Array;
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  worker: number;
}

/** Undefined when it was stopped or the pass has ended. */
export type WorkerAnswer = ErrorParts | undefined;

export default function fillSlots({ plan, control, module, memory, worker }: WorkerTask): WorkerAnswer {
  const ring = new Ring(control, plan.slots, plan.workers);
  const maker = new BatchMaker(plan, module, memory, worker, ring);
  try {
    for (let n = ring.take(); stepOf(plan, n) < plan.endStep; n = ring.take()) {
      const step = stepOf(plan, n);
      ring.noteStep(worker, step);
      maker.announce(step);
      ring.waitUntilFree(n);
      const start = performance.now();
      const counts = maker.make(step, n % plan.slots);
      ring.addBusy(worker, performance.now() - start);
      ring.publish(n, counts);
    }
    maker.announceEnd();
    return undefined;
  } catch (error) {
    if (error instanceof Stopped) return undefined;
    if (!(error instanceof GalvaniError)) throw error;
    return { ...error.parts, cause: undefined };
  } finally {
    maker.close();
  }
}
