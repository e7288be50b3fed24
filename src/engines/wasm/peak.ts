/**
 * The ceiling of this machine: multiply-adds of four floats a second that a thread, or several at once, can do in the
 * build in use, measured by a loop that never leaves registers. Beside it every other figure means something.
 */
import { Worker } from 'node:worker_threads';
import { compileModule } from './build.js';
import type { WasmBuild } from './features.js';

/** Rounds of a timed run: about 20 ms. */
const rounds = 700_000;
/** probe.ts: 12 vectors of 4, two operations each. */
const flopsARound = 96;

/** GFLOP/s of `threads` threads together; the best of `runs`. */
export async function measurePeak(build: WasmBuild, threads: number, runs = 5): Promise<number> {
  const module = await compileModule(build);
  const start = new Int32Array(new SharedArrayBuffer(4));
  const workers = Array.from(
    { length: threads },
    () => new Worker(new URL('./peakWorker.js', import.meta.url), { workerData: { module, rounds, runs, start } }),
  );
  try {
    await Promise.all(workers.map(messageOf));
    const times = workers.map(messageOf);
    Atomics.store(start, 0, 1);
    Atomics.notify(start, 0);
    const milliseconds = await Promise.all(times);
    return milliseconds.reduce((sum, ms) => sum + (rounds * flopsARound) / ms / 1e6, 0);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

function messageOf(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}
