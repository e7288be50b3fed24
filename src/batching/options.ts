/** What a loader may be asked for. */
import type { TokenDataset } from '../dataset/dataset.js';
import type { Split } from '../dataset/examples/examples.js';
import { type ExampleKind, exampleKinds } from '../dataset/examples/kinds.js';
import type { MaskingSettings } from './masking.js';
import { wrongSetting } from './wrongSetting.js';

export const replacements = ['generator', 'unigram', 'uniform', 'ngram', 'cached'] as const;
export type Replacement = (typeof replacements)[number];

export const defaultCacheBytes = 2 ** 28;

/** A folder made by `galvani prepare`, or what openDataset gave for it. */
export type DataFolder = string | TokenDataset;

/** One dataset of a mixture: its share of the rows is its weight over the sum of all. */
export interface WeightedData {
  data: DataFolder;
  /** Above 0. */
  weight: number;
}

export interface LoaderOptions {
  /** Several are drawn from by weight, each in an order of its own; they must have one vocabulary. */
  data: DataFolder | readonly WeightedData[];
  /** B, rows of a batch. */
  batchSize: number;
  /** T, places of a row. */
  sequenceLength: number;
  /** How rows are formed of documents. Default `documents`: [CLS] text [SEP], windows of one document. */
  examples?: ExampleKind;
  /** Trim each batch to its longest row, in steps of an eighth of T. Default false. */
  bucket?: boolean;
  /** S, segments a row that `lengths` and `seconds` have room for. Default: as many as any row of the split has. */
  segments?: number;
  /**
   * Memory for blocks of examples, shared by all workers. It decides how large the stretches of the corpus are within which
   * examples are shuffled, hence the order; a dataset that fits is shuffled whole. Default 256 MiB.
   */
  cacheBytes?: number;
  /** Order, masks and replacements of the training split. Default 0. The validation split has a seed of its own. */
  seed?: number | bigint;
  /** Which places the generator guesses, and what it sees there. Default: as the original, without replacement. */
  masking?: Partial<MaskingSettings>;
  /**
   * Who replaces the masked tokens: the generator on the device (default), or `given` ids drawn here, by the token
   * counts of the dataset (`unigram`), all alike (`uniform`) or by their neighbours (`ngram`: counted once from the
   * documents of the training split, by all cores), never [CLS], [SEP], [MASK] or [PAD]; or of the candidates that a
   * generator left (`cached`). docs/replacement.md tells what each is for.
   */
  replacement?: Replacement;
  /**
   * `cached`: the folder that cacheCandidates made for the batches asked for here. It holds K of them: step s has the
   * rows and masks of batch s mod K, and draws of its own.
   */
  candidates?: string;
  /** `cached`: candidates are drawn by exp(log-probability / temperature). Above 0; default 1. */
  temperature?: number;
  /** A `given` id never equals the original. Default false. */
  disallowCorrect?: boolean;
  /** Threads that make batches. Default 1. */
  workers?: number;
  /** R, batches in the ring. Default: 8 a worker, at least 16. */
  slots?: number;
  /** The first step to yield. Default 0. */
  startStep?: number;
  /**
   * Yield every so many steps only: startStep, startStep + stepStride, … With the same of everything else but startStep,
   * that many processes share out the steps among them. Default 1.
   */
  stepStride?: number;
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

/** @throws wrongUse */
export function checkOptions(options: LoaderOptions): void {
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
  expectCount('segments', options.segments, 1, sequenceLength);
  expectCount('cacheBytes', options.cacheBytes, 1, 2 ** 32);
  expectCount('startStep', options.startStep, 0, 2 ** 31 - 1);
  expectCount('stepStride', options.stepStride, 1, 2 ** 16);
  if (!exampleKinds.includes(options.examples ?? 'documents')) {
    throw wrongSetting('examples', exampleKinds.join(', '), options.examples);
  }
  if (!replacements.includes(replacement)) {
    throw wrongSetting('replacement', replacements.join(', '), replacement);
  }
  if (options.disallowCorrect && replacement === 'generator') {
    throw wrongSetting('disallowCorrect', 'false where the generator replaces', true);
  }
  checkCached(options);
  const fraction = options.validationFraction ?? 0;
  if (!(fraction >= 0 && fraction < 1)) throw wrongSetting('validationFraction', 'a number from 0 up to 1', fraction);
  if (options.split === 'validation' && fraction === 0) {
    throw wrongSetting('validationFraction', 'more than 0 for the validation split', fraction);
  }
}

function checkCached({ replacement, candidates, temperature, split }: LoaderOptions): void {
  if (replacement !== 'cached') {
    for (const [name, value] of Object.entries({ candidates, temperature })) {
      if (value !== undefined) throw wrongSetting(name, 'none unless replacement is cached', value);
    }
    return;
  }
  if (!candidates) throw wrongSetting('candidates', 'the folder of the candidates to draw from', candidates);
  if (temperature !== undefined && !(temperature > 0 && temperature < Number.POSITIVE_INFINITY)) {
    throw wrongSetting('temperature', 'a number above 0', temperature);
  }
  if (split === 'validation')
    throw wrongSetting('replacement', 'one for validation: candidates are for training', 'cached');
}
