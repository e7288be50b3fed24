/** One thread of peak.ts: runs its loop some times, each time beside all others, and answers with how long each took, in ms. */
import { parentPort, workerData } from 'node:worker_threads';
import { importsOf } from './imports.js';

export type Loop = 'multiplyAdd' | 'multiplyAddWide' | 'read' | 'copy';

export interface PeakSettings {
  readonly module: WebAssembly.Module;
  /** How often threads have come to the beginning of a run, together. */
  readonly arrived: Int32Array;
  readonly threads: number;
  readonly loop: Loop;
  /** Rounds of multiply-adds, or bytes to read. */
  readonly amount: number;
  /** Of memory behind the first page. */
  readonly bytes: number;
}

const runs = 5;
const pageBytes = 65536;

const { module, arrived, threads, loop, amount, bytes } = workerData as PeakSettings;
const pages = 1 + Math.ceil(bytes / pageBytes);
const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
const instance = new WebAssembly.Instance(module, importsOf(memory));
const { multiplyAddPeak, multiplyAddPeakWide, readAll, copyAll } = instance.exports as Record<
  string,
  (...values: number[]) => number
>;
const loops: Record<Loop, (amount: number) => void> = {
  multiplyAdd: (amount) => multiplyAddPeak(amount, 0.5, 1),
  multiplyAddWide: (amount) => multiplyAddPeakWide(amount, 1024),
  read: (amount) => readAll(pageBytes, amount),
  copy: (amount) => copyAll(pageBytes, pageBytes + bytes / 2, amount),
};
const run = loops[loop];

// Memory that nobody has written is one page of zeros, which a cache holds.
new Uint8Array(memory.buffer).fill(1);
// Long enough for the optimising compiler to take over.
for (let i = 0; i < 50; i++) run(Math.ceil(amount / 50 / 64) * 64);
const times: number[] = [];
for (let i = 1; i <= runs; i++) {
  Atomics.add(arrived, 0, 1);
  for (let seen = 0; seen < threads * i; seen = Atomics.load(arrived, 0)) Atomics.wait(arrived, 0, seen, 0.01);
  const from = performance.now();
  run(amount);
  times.push(performance.now() - from);
}
parentPort?.postMessage(times);
