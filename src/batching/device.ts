/**
 * A simulated device for `galvani bench batches`: a thread of its own that reads every plane of every batch where it
 * lies, as an engine's thread does, sums all values so that none can be skipped (by a kernel, as fast as memory allows), and
 * is busy with a batch for `deviceMs`, the reading included. Up to two batches are in flight, so that it finds the next one when it has done one.
 *
 *   control  [0] batches submitted │ [1] batches consumed │ [2] Σ of all values read, modulo 2³²
 *            then for each in flight: planes, and (byte offset, values) of each
 *
 * The class is what the main thread has; below it stands what the thread does.
 */
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { compileKernels, instantiateKernels } from './kernels.js';
import type { Batch } from './loader.js';

interface DeviceData {
  readonly thread: 'simulated device';
  readonly control: Int32Array;
  readonly module: WebAssembly.Module;
  /** Of the ring, in which all planes lie. */
  readonly memory: WebAssembly.Memory;
  readonly deviceMs: number;
}

/** Batches that may be submitted and not yet consumed. */
const mostInFlight = 2;
const submitted = 0;
const consumed = 1;
const sum = 2;
/** Room for more planes than a batch has. */
const entryWords = 1 + 2 * 16;
/** Until it is looked whether the thread still lives. */
const patienceMs = 1000;

export class SimulatedDevice {
  readonly #control = new Int32Array(new SharedArrayBuffer(4 * (3 + mostInFlight * entryWords)));
  readonly #thread: Worker;
  #failure: Error | undefined;
  #batches = 0;
  #last = Promise.resolve();

  /** memory: that of every plane of every batch that it will be given. */
  static async open(memory: WebAssembly.Memory, deviceMs: number): Promise<SimulatedDevice> {
    return new SimulatedDevice(await compileKernels(), memory, deviceMs);
  }

  private constructor(module: WebAssembly.Module, memory: WebAssembly.Memory, deviceMs: number) {
    const data: DeviceData = { thread: 'simulated device', control: this.#control, module, memory, deviceMs };
    this.#thread = new Worker(new URL(import.meta.url), { workerData: data });
    this.#thread.once('error', (error) => {
      this.#failure = error;
    });
  }

  /** Resolves when it is in flight, and there is room for another; it is given back when it has been consumed. */
  async submit(batch: Batch): Promise<void> {
    const number = this.#batches++;
    const planes = planesOf(batch);
    const entry = entryAt(number);
    this.#control[entry] = planes.length;
    for (const [i, { byteOffset, length }] of planes.entries()) {
      this.#control[entry + 1 + 2 * i] = byteOffset;
      this.#control[entry + 2 + 2 * i] = length;
    }
    Atomics.store(this.#control, submitted, number + 1);
    Atomics.notify(this.#control, submitted);
    const before = this.#last;
    this.#last = this.#waitUntilConsumed(number + 1).then(() => batch.release());
    // Awaited by the next call, or by settle().
    this.#last.catch(() => {});
    await before;
  }

  /** Everything submitted has been consumed and given back. @returns Σ of all values read, modulo 2³². */
  async settle(): Promise<number> {
    await this.#last;
    return Atomics.load(this.#control, sum);
  }

  async close(): Promise<void> {
    await this.#thread.terminate();
  }

  async #waitUntilConsumed(batches: number): Promise<void> {
    for (;;) {
      const done = Atomics.load(this.#control, consumed);
      if (done >= batches) return;
      if (this.#failure) throw this.#failure;
      const { async, value } = Atomics.waitAsync(this.#control, consumed, done, patienceMs);
      if (async) await value;
    }
  }
}

export function planesOf(batch: Batch): Int32Array[] {
  return Object.values(batch).filter((value): value is Int32Array => value instanceof Int32Array);
}

function entryAt(batch: number): number {
  return 3 + (batch % mostInFlight) * entryWords;
}

function consume({ control, module, memory, deviceMs }: DeviceData): void {
  const { sumWords } = instantiateKernels(module, memory);
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (let batch = 0; ; batch++) {
    // In a loop: the wake-up of the last batch may come when it has been consumed already.
    while (Atomics.load(control, submitted) === batch) Atomics.wait(control, submitted, batch);
    const start = performance.now();
    const entry = entryAt(batch);
    for (let i = 0; i < control[entry]; i++) {
      const address = control[entry + 1 + 2 * i] >>> 0;
      control[sum] += sumWords(address, control[entry + 2 + 2 * i]);
    }
    const left = start + deviceMs - performance.now();
    if (left > 0) Atomics.wait(clock, 0, 0, left);
    Atomics.store(control, consumed, batch + 1);
    Atomics.notify(control, consumed);
  }
}

if (!isMainThread && workerData?.thread === 'simulated device') consume(workerData);
