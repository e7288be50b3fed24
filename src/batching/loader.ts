/**
 * The loader: batches of a dataset in step order, made ahead of time by workers in shared memory.
 *
 * Batch k is a pure function of (dataset, settings, seed, k): bit-equal for any number of workers and slots, and after a
 * start at any step. The consumer never blocks its event loop, gives each batch back by release(), and can see how long
 * it had to wait. A worker that dies, and a consumer that keeps its batches, are errors, not hangs.
 */
import { Piscina } from 'piscina';
import { openDataset, readTokenCounts, type TokenDataset } from '../dataset/dataset.js';
import { indexExamples, type Split } from '../dataset/examples.js';
import { type ErrorParts, GalvaniError } from '../errors.js';
import { keyOfSeed } from '../random/philox.js';
import { Vocabulary } from '../text/vocabulary.js';
import { buildAliasTable, markDrawable, uniformWeights, unigramWeights } from './frequency.js';
import { compileKernels } from './kernels.js';
import { fillMasking, type MaskingSettings, markContinuations, maskedPerRow } from './masking.js';
import { type BatchPlan, layOutMemory, type MemoryLayout, type SpecialIds } from './plan.js';
import { controlWords, Ring } from './ring.js';
import type { WorkerAnswer, WorkerTask } from './worker.js';
import { wrongSetting } from './wrongSetting.js';

const replacements = ['generator', 'unigram', 'uniform'] as const;

export interface LoaderOptions {
  /** A folder made by `galvani prepare`, or what openDataset gave for it. */
  data: string | TokenDataset;
  /** B, rows of a batch. */
  batchSize: number;
  /** T, places of a row: at most T − 2 tokens of one document, [CLS] before and [SEP] behind them. */
  sequenceLength: number;
  /** Order, masks and replacements of the training split. Default 0. The validation split has a seed of its own. */
  seed?: number | bigint;
  /** Which places the generator guesses, and what it sees there. Default: as the original, without replacement. */
  masking?: Partial<MaskingSettings>;
  /**
   * Who replaces the masked tokens: the generator on the device (default), or `given` ids drawn here, by the token
   * counts of the dataset (`unigram`) or all alike (`uniform`); never [CLS], [SEP], [MASK] or [PAD].
   */
  replacement?: (typeof replacements)[number];
  /** A `given` id never equals the original. Default false. */
  disallowCorrect?: boolean;
  /** Threads that make batches. Default 1. */
  workers?: number;
  /** R, batches in the ring. Default: 4 a worker, at least 8. */
  slots?: number;
  /** The first step to yield. Default 0. */
  startStep?: number;
  /** Share of the documents that is held out. Default 0. */
  validationFraction?: number;
  /**
   * `train` (default) goes on for ever, epoch after epoch. `validation` is one pass over the held-out documents in their
   * order, with masks and replacements that are the same at any batch size; the last batch is filled up with empty rows.
   */
  split?: Split;
  /** Longest wait for one batch before it is an error. Default 60 000. */
  waitLimitMs?: number;
}

/** Typed views into a slot, int32, valid until release(). B rows, T places, N masked places a row, one segment a row. */
export interface Batch {
  readonly step: number;
  readonly B: number;
  readonly T: number;
  readonly N: number;
  /** (B, T) as they stand in the text, [PAD] behind the row's length. */
  readonly ids: Int32Array;
  /** (B, 1) real tokens of each row, [CLS] and [SEP] among them; 0 for an empty row. */
  readonly lengths: Int32Array;
  /** (B, 1) where token type 1 begins: nowhere, so the length. */
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
  const masking = fillMasking(options.masking ?? {}, options.sequenceLength);
  const dataset = typeof options.data === 'string' ? await openDataset(options.data) : options.data;
  const vocabulary = Vocabulary.read(dataset.vocabularyPath, dataset.manifest.tokenizer.profile);
  const plan = makePlan(dataset, vocabulary, masking, options);
  const layout = layOutMemory(plan);
  if (!plan.isPass && plan.index.examples < plan.B) warnAboutRepeats(dataset, plan.index.examples, plan.B);
  const pages = Math.ceil(layout.bytes / 0x10000);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  if (plan.replaces) {
    const weights =
      options.replacement === 'uniform'
        ? uniformWeights(plan.vocabularySize, plan.special)
        : unigramWeights(await readTokenCounts(dataset), plan.special);
    const table = buildAliasTable(weights);
    new Uint32Array(memory.buffer, layout.table, table.length).set(table);
    if (plan.disallowCorrect) new Uint8Array(memory.buffer).set(markDrawable(weights), layout.drawable);
  }
  if (masking.wholeWordMask) {
    new Uint8Array(memory.buffer).set(markContinuations(vocabulary.pieces), layout.continuations);
  }
  return new Loader(plan, layout, memory, await compileKernels(), options.waitLimitMs ?? 60_000);
}

/** Key of the masks and replacements of every validation: evaluations of all runs on a dataset are comparable. */
const validationKey = keyOfSeed(0x76616c6964n);

function makePlan(
  dataset: TokenDataset,
  vocabulary: Vocabulary,
  masking: MaskingSettings,
  options: LoaderOptions,
): BatchPlan {
  const { batchSize, sequenceLength, split = 'train', validationFraction = 0, workers = 1, startStep = 0 } = options;
  const { replacement = 'generator', disallowCorrect = false } = options;
  const index = indexExamples(dataset, sequenceLength, split, validationFraction);
  const isPass = split === 'validation';
  return {
    index,
    B: batchSize,
    T: sequenceLength,
    N: maskedPerRow(masking.maskProb, sequenceLength),
    key: isPass ? validationKey : keyOfSeed(options.seed ?? 0),
    isPass,
    masking,
    special: readSpecialIds(vocabulary),
    vocabularySize: dataset.manifest.vocabulary.size,
    replaces: replacement !== 'generator',
    disallowCorrect,
    startStep,
    endStep: isPass ? Math.ceil(index.examples / batchSize) : Number.POSITIVE_INFINITY,
    slots: options.slots ?? Math.max(8, 4 * workers),
    workers,
  };
}

function readSpecialIds(vocabulary: Vocabulary): SpecialIds {
  return {
    pad: vocabulary.specialId('[PAD]'),
    cls: vocabulary.specialId('[CLS]'),
    sep: vocabulary.specialId('[SEP]'),
    mask: vocabulary.specialId('[MASK]'),
  };
}

function warnAboutRepeats(dataset: TokenDataset, examples: number, batchSize: number): void {
  process.emitWarning(
    `batch: expected at least ${batchSize} examples for a batch, got ${examples} (${dataset.directory}). ` +
      'Batches repeat examples; prepare more text, or make the batch smaller.',
    'GalvaniWarning',
  );
}

function checkOptions(options: LoaderOptions): void {
  const { batchSize, sequenceLength, replacement = 'generator' } = options;
  const expectCount = (name: string, value: number | undefined, least: number, most: number) => {
    if (value !== undefined && (!Number.isInteger(value) || value < least || value > most)) {
      throw wrongSetting(name, `a whole number from ${least} to ${most}`, value);
    }
  };
  expectCount('batchSize', batchSize, 1, 2 ** 20);
  expectCount('sequenceLength', sequenceLength, 3, 2 ** 16);
  expectCount('workers', options.workers, 1, 256);
  expectCount('slots', options.slots, 2, 1024);
  expectCount('startStep', options.startStep, 0, 2 ** 31 - 1);
  if (!replacements.includes(replacement)) {
    throw wrongSetting('replacement', replacements.join(', '), replacement);
  }
  if (options.disallowCorrect && replacement === 'generator') {
    throw wrongSetting('disallowCorrect', 'false where the generator replaces', true);
  }
  const fraction = options.validationFraction ?? 0;
  if (!(fraction >= 0 && fraction < 1)) throw wrongSetting('validationFraction', 'a number from 0 up to 1', fraction);
  if (options.split === 'validation' && fraction === 0) {
    throw wrongSetting('validationFraction', 'more than 0 for the validation split', fraction);
  }
}

export class Loader implements AsyncIterable<Batch> {
  /** Σ over all batches so far. */
  readonly stall: Stall = { waitedMs: 0, batches: 0, filledSlots: 0 };
  private readonly ring: Ring;
  private readonly pool: Piscina;
  private readonly views: Pick<Batch, 'ids' | 'lengths' | 'seconds' | 'places' | 'seen' | 'counts' | 'given'>[];
  private nextStep: number;
  private failure: GalvaniError | undefined;
  private closing: Promise<void> | undefined;

  /** Use openLoader. */
  constructor(
    private readonly plan: BatchPlan,
    layout: MemoryLayout,
    memory: WebAssembly.Memory,
    module: WebAssembly.Module,
    private readonly waitLimitMs: number,
  ) {
    const { B, T, N, slots, workers } = plan;
    const view = (at: number, length: number) => new Int32Array(memory.buffer, at, length);
    this.views = layout.slots.map((slot) => ({
      ids: view(slot.ids, B * T),
      lengths: view(slot.lengths, B),
      seconds: view(slot.seconds, B),
      places: view(slot.places, B * N),
      seen: view(slot.seen, B * N),
      counts: view(slot.counts, B),
      given: plan.replaces ? view(slot.given, B * N) : undefined,
    }));
    const control = view(layout.control, controlWords(slots, workers));
    this.ring = new Ring(control, slots, workers);
    this.ring.begin(plan.startStep);
    this.nextStep = plan.startStep;
    this.pool = new Piscina({
      filename: new URL('./worker.js', import.meta.url).href,
      minThreads: workers,
      maxThreads: workers,
      atomics: 'sync',
    });
    this.pool.on('error', (cause) => this.fail(deadWorker('before its first step', cause)));
    for (let worker = 0; worker < workers; worker++) this.start({ plan, control, module, memory, worker });
  }

  /** Examples of the split, and how many batches they make. */
  get examples(): number {
    return this.plan.index.examples;
  }

  get batchesPerEpoch(): number {
    return this.examples / this.plan.B;
  }

  /** R, batches in the ring. */
  get slots(): number {
    return this.plan.slots;
  }

  /** The shared memory that all planes lie in. */
  get buffer(): ArrayBufferLike {
    return this.ring.control.buffer;
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
   * The batch of the next step, or undefined behind the end of a pass or after close().
   * @throws what went wrong in a worker, or `tryAgain` when the wait was too long; from then on, at every call.
   */
  async next(): Promise<Batch | undefined> {
    const step = this.nextStep++;
    const filled = this.ring.countFilled(step);
    const start = performance.now();
    while (step < this.plan.endStep && !this.ring.isFilled(step)) {
      if (this.failure) throw this.failure;
      if (this.closing) return undefined;
      const leftMs = this.waitLimitMs - (performance.now() - start);
      if (leftMs <= 0) this.fail(this.late(step));
      else await this.ring.waitForChange(step, leftMs);
    }
    if (this.failure) throw this.failure;
    if (this.closing || step >= this.plan.endStep) return undefined;
    this.stall.waitedMs += performance.now() - start;
    this.stall.batches++;
    this.stall.filledSlots += filled;
    return this.lend(step);
  }

  /** Goes on where the last batch was taken. Leaving the loop leaves the loader open. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Batch, void, undefined> {
    for (;;) {
      const batch = await this.next();
      if (batch === undefined) return;
      yield batch;
    }
  }

  /** End the workers. Nothing is left running when it resolves. */
  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private async end(): Promise<void> {
    this.ring.stop();
    await this.pool.destroy();
  }

  private start(task: WorkerTask): void {
    const answer: Promise<WorkerAnswer> = this.pool.run(task);
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

  private lend(step: number): Batch {
    const { B, T, N, slots } = this.plan;
    let isReleased = false;
    const release = () => {
      if (isReleased) throw releasedTwice(step);
      isReleased = true;
      this.ring.giveBack(step);
    };
    return { step, B, T, N, ...this.views[step % slots], ...this.ring.counts(step), release };
  }

  private late(step: number): GalvaniError {
    const isLent = this.ring.isLent(step);
    return new GalvaniError({
      stage: 'batch',
      expected: isLent ? `step ${step - this.plan.slots} to be given back` : `a batch within ${this.waitLimitMs} ms`,
      got: isLent ? `none of its ${this.plan.slots} slots in ${this.waitLimitMs} ms` : 'none',
      where: `step ${step}`,
      remedy: isLent
        ? 'Call release() on every batch once its values are read.'
        : 'Is the disk that holds the dataset slow or gone? Run the command again; it goes on where it was.',
      kind: isLent ? 'failure' : 'tryAgain',
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
