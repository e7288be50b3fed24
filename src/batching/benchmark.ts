/**
 * How fast batches are made, for `galvani bench batches`: the loader as training uses it, with a consumer that gives
 * every batch back at once, or a simulated device that takes one every `deviceMs`.
 * Measured after a warm-up, in which the ring fills and the blocks in use are read.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Loader, type LoaderOptions, openLoader } from './loader.js';

export interface BatchBenchmarkOptions extends LoaderOptions {
  /** How long to measure. Default 3. */
  seconds?: number;
  /** How long the simulated device works on a batch. Default 0. */
  deviceMs?: number;
}

export interface BatchBenchmark {
  workers: number;
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
  /** Of the time measured, what the consumer waited for batches. */
  stallFraction: number;
}

const warmUpBatches = 64;

export async function measureBatches(options: BatchBenchmarkOptions): Promise<BatchBenchmark> {
  const { seconds: wantedSeconds = 3, deviceMs = 0, ...loaderOptions } = options;
  const loader = await openLoader(loaderOptions);
  try {
    await consume(loader, deviceMs, ({ batches }) => batches >= warmUpBatches);
    const stalledMs = loader.stall.waitedMs;
    const start = performance.now();
    const isOver = () => performance.now() - start >= 1000 * wantedSeconds;
    const { batches, tokens } = await consume(loader, deviceMs, isOver);
    const seconds = (performance.now() - start) / 1000;
    return {
      workers: options.workers ?? 1,
      batchSize: options.batchSize,
      sequenceLength: options.sequenceLength,
      maskedPerRow: loader.maskedPerRow,
      deviceMs,
      seconds,
      batches,
      batchesPerSecond: batches / seconds,
      tokensPerSecond: tokens / seconds,
      filledFraction: tokens / (batches * options.batchSize * options.sequenceLength),
      stallFraction: (loader.stall.waitedMs - stalledMs) / (1000 * seconds),
    };
  } finally {
    await loader.close();
  }
}

interface Consumed {
  batches: number;
  tokens: number;
}

async function consume(loader: Loader, deviceMs: number, isOver: (sofar: Consumed) => boolean): Promise<Consumed> {
  const consumed: Consumed = { batches: 0, tokens: 0 };
  while (!isOver(consumed)) {
    const batch = await loader.next();
    if (batch === undefined) break;
    if (deviceMs > 0) await delay(deviceMs);
    consumed.batches++;
    consumed.tokens += batch.tokenCount;
    batch.release();
  }
  return consumed;
}
