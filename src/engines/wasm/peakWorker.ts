/** One thread of measurePeak: says that it is ready, waits for the start, and answers with its best time in ms. */
import { parentPort, workerData } from 'node:worker_threads';

const { module, rounds, runs, start } = workerData as {
  module: WebAssembly.Module;
  rounds: number;
  runs: number;
  start: Int32Array;
};
const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
const instance = new WebAssembly.Instance(module, { env: { memory, now: () => performance.now() } });
const multiplyAddPeak = instance.exports.multiplyAddPeak as (rounds: number, x: number, y: number) => number;

// Long enough for the optimising compiler to take over.
for (let i = 0; i < 50; i++) multiplyAddPeak(rounds / 50, 0.5, 1);
parentPort?.postMessage(0);
Atomics.wait(start, 0, 0);
let best = Number.POSITIVE_INFINITY;
for (let run = 0; run < runs; run++) {
  const from = performance.now();
  multiplyAddPeak(rounds, 0.5, 1);
  best = Math.min(best, performance.now() - from);
}
parentPort?.postMessage(best);
