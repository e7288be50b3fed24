/**
 * How fast batches are made, for `galvani bench batches`: the loader as training uses it, and a simulated device that
 * reads every plane of every batch and takes `deviceMs` for it; without one, the consumer reads them itself and gives the
 * batch back at once.
 * Measured after a warm-up, in which the ring fills and the blocks in use are read; the cache of blocks is full, and resident
 * memory all that it will be, when two windows have been gone through.
 */
import { planesOf, SimulatedDevice } from './device.js';
import { compileKernels, instantiateKernels } from './kernels.js';
import { type Loader, openLoader } from './loader.js';
import type { LoaderOptions } from './options.js';

export interface BatchBenchmarkOptions extends LoaderOptions {
  /** How long to measure. Default 3, if no steps are given. */
  seconds?: number;
  /** How many batches to measure. Default: as many as there is time for. */
  steps?: number;
  /** Batches before the measurement begins. Default 64. */
  warmUpSteps?: number;
  /** How long the simulated device works on a batch, the reading of its planes included. Default 0: there is no device. */
  deviceMs?: number;
}

export interface BatchBenchmark {
  workers: number;
  slots: number;
  batchSize: number;
  sequenceLength: number;
  maskedPerRow: number;
  deviceMs: number;
  seconds: number;
  batches: number;
  batchesPerSecond: number;
  /** Real tokens, [CLS] and [SEP] among them, without padding. */
  tokensPerSecond: number;
  /** Real tokens of all places. */
  filledFraction: number;
  /** What the consumer waited for batches: summed, the longest for one, and of the time measured. */
  stalledMs: number;
  longestStallMs: number;
  stallFraction: number;
  /** Share of the ring's slots that were filled when the consumer came for a batch, as a mean; those in flight are not. */
  ringFill: number;
  /** (W) share of the time measured in which each worker was making batches. */
  busyFractions: number[];
  /** What the process had resident when the measurement began and when it ended. */
  residentBytesBefore: number;
  residentBytesAfter: number;
}

export async function measureBatches(options: BatchBenchmarkOptions): Promise<BatchBenchmark> {
  const { steps = Number.POSITIVE_INFINITY, warmUpSteps = 64, deviceMs = 0, ...others } = options;
  const { seconds: mostSeconds = options.steps === undefined ? 3 : Number.POSITIVE_INFINITY, ...loaderOptions } =
    others;
  const loader = await openLoader(loaderOptions);
  const device = deviceMs > 0 ? await SimulatedDevice.open(loader.memory, deviceMs) : await openReader(loader.memory);
  try {
    await consume(loader, device, warmUpSteps, Number.POSITIVE_INFINITY);
    const stall = { ...loader.stall };
    const busy = loader.busyMicroseconds();
    const residentBytesBefore = process.memoryUsage.rss();
    const start = performance.now();
    const { batches, tokens, longestStallMs } = await consume(loader, device, steps, start + 1000 * mostSeconds);
    const seconds = (performance.now() - start) / 1000;
    const residentBytesAfter = process.memoryUsage.rss();
    const stalledMs = loader.stall.waitedMs - stall.waitedMs;
    return {
      workers: busy.length,
      slots: loader.slots,
      batchSize: options.batchSize,
      sequenceLength: options.sequenceLength,
      maskedPerRow: loader.maskedPerRow,
      deviceMs,
      seconds,
      batches,
      batchesPerSecond: batches / seconds,
      tokensPerSecond: tokens / seconds,
      filledFraction: tokens / (batches * options.batchSize * options.sequenceLength),
      stalledMs,
      longestStallMs,
      stallFraction: stalledMs / (1000 * seconds),
      ringFill: (loader.stall.filledSlots - stall.filledSlots) / (batches * loader.slots),
      busyFractions: Array.from(
        loader.busyMicroseconds(),
        (now, worker) => ((now - busy[worker]) >>> 0) / (1e6 * seconds),
      ),
      residentBytesBefore,
      residentBytesAfter,
    };
  } finally {
    await loader.close();
    await device.close();
  }
}

/** Who takes the batches, and gives them back. */
type Consumer = Pick<SimulatedDevice, 'submit' | 'settle' | 'close'>;

/** This thread, which reads every plane at once. */
async function openReader(memory: WebAssembly.Memory): Promise<Consumer> {
  const { sumWords } = instantiateKernels(await compileKernels(), memory);
  let sum = 0;
  return {
    async submit(batch) {
      for (const { byteOffset, length } of planesOf(batch)) sum += sumWords(byteOffset, length);
      batch.release();
    },
    settle: async () => sum,
    close: async () => {},
  };
}

interface Consumed {
  batches: number;
  tokens: number;
  longestStallMs: number;
}

/** Until so many batches were taken or that time has come, whichever is first. */
async function consume(loader: Loader, device: Consumer, most: number, until: number): Promise<Consumed> {
  const consumed: Consumed = { batches: 0, tokens: 0, longestStallMs: 0 };
  while (consumed.batches < most && performance.now() < until) {
    const { waitedMs } = loader.stall;
    const batch = await loader.next();
    if (batch === undefined) break;
    consumed.batches++;
    consumed.tokens += batch.tokenCount;
    consumed.longestStallMs = Math.max(consumed.longestStallMs, loader.stall.waitedMs - waitedMs);
    await device.submit(batch);
  }
  await device.settle();
  return consumed;
}
