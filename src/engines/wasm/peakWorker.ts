/** One thread of peak.ts: says that it is ready, waits for the start, and answers with the best time of its loop in ms. */
import { parentPort, workerData } from 'node:worker_threads';

export type Loop = 'multiplyAdd' | 'read' | 'copy';

export interface PeakSettings {
  readonly module: WebAssembly.Module;
  readonly start: Int32Array;
  readonly loop: Loop;
  /** Rounds of multiply-adds, or bytes to read. */
  readonly amount: number;
  /** Of memory behind the first page. */
  readonly bytes: number;
}

const runs = 5;
const pageBytes = 65536;

const { module, start, loop, amount, bytes } = workerData as PeakSettings;
const pages = 1 + Math.ceil(bytes / pageBytes);
const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
const instance = new WebAssembly.Instance(module, { env: { memory, now: () => performance.now() } });
const { multiplyAddPeak, readAll, copyAll } = instance.exports as Record<string, (...values: number[]) => number>;
const loops: Record<Loop, (amount: number) => void> = {
  multiplyAdd: (amount) => multiplyAddPeak(amount, 0.5, 1),
  read: (amount) => readAll(pageBytes, amount),
  copy: (amount) => copyAll(pageBytes, pageBytes + bytes / 2, amount),
};
const run = loops[loop];

// Memory that nobody has written is one page of zeros, which a cache holds.
new Uint8Array(memory.buffer).fill(1);
// Long enough for the optimising compiler to take over.
for (let i = 0; i < 50; i++) run(Math.ceil(amount / 50 / 64) * 64);
parentPort?.postMessage(0);
Atomics.wait(start, 0, 0);
let best = Number.POSITIVE_INFINITY;
for (let i = 0; i < runs; i++) {
  const from = performance.now();
  run(amount);
  best = Math.min(best, performance.now() - from);
}
parentPort?.postMessage(best);
