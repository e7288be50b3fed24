/**
 * The ceilings of this machine, measured by loops of the build in use: multiply-adds of four floats that never leave
 * registers, and memory far larger than a cache, read or copied from end to end. Beside them every other figure means
 * something. All threads begin every run together, each on memory of its own; a run takes as long as its slowest thread,
 * and the best run counts.
 */
import { Worker } from 'node:worker_threads';
import type { Bandwidth } from '../engine.js';
import { compileModule } from './build.js';
import type { WasmBuild } from './features.js';
import { pageBytes } from './layout.js';
import type { Loop, PeakSettings } from './peakWorker.js';
import { hasWideVectors } from './wide.js';

/** Rounds of a timed run of multiply-adds: about 20 ms. */
const rounds = 700_000;
/** probe.ts: 12 vectors of 4, two operations each; or 24. */
const flopsARound = { multiplyAdd: 96, multiplyAddWide: 192 };
/** What all threads go through together, and one of them at least: caches of servers hold some hundred MiB. */
const allBytes = 2 ** 28;
const leastBytes = 2 ** 25;

/** GFLOP/s of `threads` threads together, with the widest vectors that there are here. */
export async function measurePeak(build: WasmBuild, threads: number): Promise<number> {
  const loop = hasWideVectors(await compileModule(build)) ? 'multiplyAddWide' : 'multiplyAdd';
  return measureLoop(build, threads, { loop, amount: rounds, work: rounds * flopsARound[loop], bytes: 0 });
}

/** Of `threads` threads together. A line that is written whole is read first, which is not counted. */
export async function measureBandwidth(build: WasmBuild, threads: number): Promise<Bandwidth> {
  const bytes = Math.max(leastBytes, Math.ceil(allBytes / threads / pageBytes) * pageBytes);
  const measure = (loop: Loop, amount: number) => measureLoop(build, threads, { loop, amount, work: bytes, bytes });
  return { read: await measure('read', bytes), copy: await measure('copy', bytes / 2) };
}

interface LoopSettings {
  readonly loop: Loop;
  /** Rounds, or bytes read. */
  readonly amount: number;
  /** What that counts for. */
  readonly work: number;
  readonly bytes: number;
}

/** 10⁹ units of work a second. */
async function measureLoop(build: WasmBuild, threads: number, { work, ...settings }: LoopSettings): Promise<number> {
  const module = await compileModule(build);
  const arrived = new Int32Array(new SharedArrayBuffer(4));
  const workerData: PeakSettings = { module, arrived, threads, ...settings };
  const workers = Array.from(
    { length: threads },
    () => new Worker(new URL('./peakWorker.js', import.meta.url), { workerData }),
  );
  try {
    const times = await Promise.all(workers.map(messageOf));
    const runs = times[0].map((_, run) => Math.max(...times.map((own) => own[run])));
    return (threads * work) / Math.min(...runs) / 1e6;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

function messageOf(worker: Worker): Promise<number[]> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}
