/**
 * The loader: batches of a dataset in step order, made ahead of time by workers in shared memory.
 *
 * Batch k is a pure function of (dataset, settings, seed, k): bit-equal for any number of workers and slots, and after a
 * start at any step. The consumer never blocks its event loop, gives each batch back by release(), and can see how long
 * it had to wait. A worker that dies, and a consumer that keeps its batches, are errors, not hangs.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { type ErrorParts, GalvaniError } from '../errors.js';
import { hintGarbage } from '../release.js';
import { compileKernels } from './kernels.js';
import { checkOptions, type LoaderOptions } from './options.js';
import { type BatchPlan, layOutMemory, type MemoryLayout, stepOf } from './plan.js';
import { planBatches } from './planning.js';
import { briefMs, controlWords, Ring, sleepMs } from './ring.js';
import { makeTables, placeTables } from './tables.js';
import type { WorkerAnswer, WorkerTask } from './worker.js';

/** Typed views into a slot, int32, valid until release(). B rows, T places, N masked places and S segments a row. */
export interface Batch {
  readonly step: number;
  readonly B: number;
  /** Places of a row: those asked for, or fewer where batches are trimmed to their longest row. */
  readonly T: number;
  readonly N: number;
  readonly S: number;
  /** (B, T) as they stand in the text, [PAD] behind the row's length. */
  readonly ids: Int32Array;
  /** (B, S) real tokens of each segment, [CLS] and [SEP] among them; 0 behind the row's last one. */
  readonly lengths: Int32Array;
  /** (B, S) where token type 1 begins in the segment; its length where that is nowhere. */
  readonly seconds: Int32Array;
  /** (B, N) masked places, 0 beyond the row's count. */
  readonly places: Int32Array;
  /** (B, N) what the generator sees there: [MASK], or the id itself. */
  readonly seen: Int32Array;
  /** (B) masked places of each row. */
  readonly counts: Int32Array;
  /** (B, N) replacement ids, unless the generator makes them. */
  readonly given: Int32Array | undefined;
  /** Σ counts and Σ lengths: the denominators of the two losses. */
  readonly maskedCount: number;
  readonly tokenCount: number;
  /** Give the slot back; the views are not to be read any more. */
  release(): void;
}

export interface Stall {
  /** How long the consumer waited for batches, in all. */
  waitedMs: number;
  /** Batches yielded. */
  batches: number;
  /** Slots that were filled when the consumer came, summed over the batches; the ring has `slots`. */
  filledSlots: number;
}

/** @throws wrongUse for settings that cannot be; badInput for a dataset that cannot be read or is too small. */
export async function openLoader(options: LoaderOptions): Promise<Loader> {
  checkOptions(options);
  const { plan, data, vocabulary } = await planBatches(options);
  const tables = await makeTables(plan, data, vocabulary, options.validationFraction ?? 0);
  const layout = layOutMemory(plan);
  const memory = reserveMemory(layout.bytes);
  placeTables(tables, layout, memory);
  return new Loader(plan, layout, memory, await compileKernels(), options.waitLimitMs ?? 60_000);
}

/** How long workers have to end by themselves when the loader is closed. */
const stopLimitMs = 2000;

export class Loader implements AsyncIterable<Batch> {
  /** Σ over all batches so far. */
  readonly stall: Stall = { waitedMs: 0, batches: 0, filledSlots: 0 };
  private readonly ring: Ring;
  private readonly pool: Piscina;
  private readonly tasks: Promise<WorkerAnswer>[] = [];
  private readonly views: Pick<Batch, 'ids' | 'lengths' | 'seconds' | 'places' | 'seen' | 'counts' | 'given'>[];
  /** Batches asked for so far. */
  private taken = 0;
  private failure: GalvaniError | undefined;
  /** The failure was told. */
  private isBroken = false;
  private closing: Promise<void> | undefined;

  /** Use openLoader. */
  constructor(
    private readonly plan: BatchPlan,
    layout: MemoryLayout,
    /** Shared; all planes lie in it. */
    readonly memory: WebAssembly.Memory,
    module: WebAssembly.Module,
    private readonly waitLimitMs: number,
  ) {
    const { B, T, N, S, slots, workers } = plan;
    const view = (at: number, length: number) => new Int32Array(memory.buffer, at, length);
    this.views = layout.slots.map((slot) => ({
      ids: view(slot.ids, B * T),
      lengths: view(slot.lengths, B * S),
      seconds: view(slot.seconds, B * S),
      places: view(slot.places, B * N),
      seen: view(slot.seen, B * N),
      counts: view(slot.counts, B),
      given: plan.replacement !== 'generator' ? view(slot.given, B * N) : undefined,
    }));
    const control = view(layout.control, controlWords(slots, workers));
    this.ring = new Ring(control, slots, workers);
    this.pool = new Piscina({
      filename: new URL('./worker.js', import.meta.url).href,
      minThreads: workers,
      maxThreads: workers,
      atomics: 'sync',
    });
    this.pool.on('error', (cause) => this.fail(deadWorker('before its first step', cause)));
    for (let worker = 0; worker < workers; worker++) this.start({ plan, control, module, memory, worker });
  }

  /** Of all datasets, in this split. */
  get examples(): number {
    return this.plan.sources.reduce((sum, { index }) => sum + index.examples, 0);
  }

  /** How often each dataset's examples of the split have been seen after so many steps. */
  epochsAfter(steps: number): number[] {
    const { sources, B } = this.plan;
    const total = sources.reduce((sum, { weight }) => sum + weight, 0);
    return sources.map(({ index, weight }) => (steps * B * (weight / total)) / index.examples);
  }

  /** S, the segments of a row. */
  get segments(): number {
    return this.plan.S;
  }

  /** R, batches in the ring. */
  get slots(): number {
    return this.plan.slots;
  }

  /** (W) how long each worker has been making batches, in microseconds modulo 2³². */
  busyMicroseconds(): Uint32Array {
    return this.ring.busyMicroseconds();
  }

  /** N, the masked places of a row. */
  get maskedPerRow(): number {
    return this.plan.N;
  }

  /**
   * The batch of the next step, or undefined behind the end of a pass or after close(). Batches that were whole before
   * something went wrong are still yielded.
   * @throws what went wrong in a worker, or `tryAgain` when the wait was too long; from then on, at every call.
   */
  async next(): Promise<Batch | undefined> {
    const n = this.taken++;
    const isBehindEnd = stepOf(this.plan, n) >= this.plan.endStep;
    const filled = this.ring.countFilled(n);
    const start = performance.now();
    // Wait briefly for half a ring, as workers do, then for the one that is needed.
    let until = this.lastOfHalf(n);
    while (!isBehindEnd && !this.ring.isFilled(n)) {
      if (this.failure) {
        this.isBroken = true;
        throw this.failure;
      }
      if (this.closing) return undefined;
      const leftMs = this.waitLimitMs - (performance.now() - start);
      if (leftMs <= 0) this.fail(this.late(n));
      // V8 keeps what a wait needs until its time is over, also where it was woken before.
      else await this.ring.waitForChange(until, until === n ? Math.min(leftMs, sleepMs) : briefMs);
      until = n;
    }
    if (this.isBroken) throw this.failure;
    if (isBehindEnd || (this.closing && !this.failure)) return undefined;
    this.stall.waitedMs += performance.now() - start;
    this.stall.batches++;
    this.stall.filledSlots += filled;
    return this.lend(n);
  }

  /** Goes on where the last batch was taken. Leaving the loop leaves the loader open. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Batch, void, undefined> {
    for (;;) {
      const batch = await this.next();
      if (batch === undefined) return;
      yield batch;
    }
  }

  /** End the workers. Nothing is left running when it resolves; the memory goes when loader and batches are dropped. */
  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private async end(): Promise<void> {
    this.ring.stop();
    // A thread that is ended while it still imports its modules can end the process (Node 20): let them end by themselves.
    const patience = new AbortController();
    const late = delay(stopLimitMs, undefined, { signal: patience.signal }).catch(() => {});
    await Promise.race([Promise.allSettled(this.tasks), late]);
    patience.abort();
    await this.pool.destroy();
    hintGarbage();
  }

  /** The last batch of half a ring from batch n on, or of the pass. */
  private lastOfHalf(n: number): number {
    const { slots, endStep } = this.plan;
    let last = n + Math.floor(slots / 2) - 1;
    while (last > n && stepOf(this.plan, last) >= endStep) last--;
    return last;
  }

  private start(task: WorkerTask): void {
    const answer: Promise<WorkerAnswer> = this.pool.run(task);
    this.tasks.push(answer);
    answer.then(
      (parts) => {
        if (parts !== undefined) this.fail(new GalvaniError(parts));
      },
      (cause) => this.fail(deadWorker(`worker ${task.worker}, step ${this.ring.stepOf(task.worker)}`, cause)),
    );
  }

  /** The first failure stands; it ends the workers and wakes whoever waits for a batch. */
  private fail(error: GalvaniError): void {
    if (this.closing) return;
    this.failure = error;
    void this.close();
  }

  private lend(n: number): Batch {
    const { B, N, S, slots } = this.plan;
    const step = stepOf(this.plan, n);
    const views = this.views[n % slots];
    const { maskedCount, tokenCount, width: T } = this.ring.counts(n);
    let isReleased = false;
    const release = () => {
      if (isReleased) throw releasedTwice(step);
      isReleased = true;
      this.ring.giveBack(n);
    };
    return { step, B, T, N, S, ...views, ids: views.ids.subarray(0, B * T), maskedCount, tokenCount, release };
  }

  private late(n: number): GalvaniError {
    const step = stepOf(this.plan, n);
    const isLent = this.ring.isLent(n);
    return new GalvaniError({
      stage: 'batch',
      expected: isLent
        ? `step ${stepOf(this.plan, n - this.plan.slots)} to be given back`
        : `a batch within ${this.waitLimitMs} ms`,
      got: isLent ? `none of its ${this.plan.slots} slots in ${this.waitLimitMs} ms` : 'none',
      where: `step ${step}`,
      remedy: isLent
        ? 'Call release() on every batch once its values are read.'
        : 'Is the disk that holds the dataset slow or gone? Run the command again; it goes on where it was.',
      kind: isLent ? 'failure' : 'tryAgain',
    });
  }
}

function reserveMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.ceil(bytes / 0x10000);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (cause) {
    throw new GalvaniError({
      stage: 'batch',
      expected: `${(bytes / 2 ** 20).toFixed(0)} MiB of memory for the ring and the blocks`,
      got: cause instanceof Error ? cause.message : String(cause),
      remedy: 'Use fewer slots or workers, a smaller batch, or a smaller cache.',
      cause,
    });
  }
}

function releasedTwice(step: number): GalvaniError {
  return new GalvaniError({
    stage: 'internal',
    expected: 'a batch to be released once',
    got: 'a second release()',
    where: `step ${step}`,
    remedy: 'Release each batch in one place.',
  });
}

function deadWorker(where: string, cause: unknown): GalvaniError {
  const parts: ErrorParts = {
    stage: 'batch',
    expected: 'a worker that makes batches',
    got: cause instanceof Error ? cause.message : String(cause),
    where,
    remedy: 'Run the command again; it goes on where it was. With fewer workers or slots if memory was short.',
    cause,
  };
  return new GalvaniError(parts);
}
