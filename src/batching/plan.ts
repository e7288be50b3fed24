/**
 * What makes batches: everything that a worker needs to know, as one plain object that is sent to it once, and where
 * everything lies in the one shared memory. Batch k is a pure function of the plan's fields above `slots`, and k.
 *
 *   memory   control words │ slot 0 … R − 1 │ tables │ blocks of source 0, 1, … │ scratch of worker 0, 1, …
 *   slot     ids (B,T) │ lengths (B,S) │ seconds (B,S) │ places (B,N) │ seen (B,N) │ counts (B) │ given (B,N)
 *
 * Every part begins at a multiple of 64 bytes.
 */
import type { ExampleIndex } from '../dataset/examples/examples.js';
import { GalvaniError } from '../errors.js';
import type { Key } from '../random/philox.js';
import type { CandidateSource } from './cached/reader.js';
import type { MaskingSettings } from './masking.js';
import type { Replacement } from './options.js';
import { controlWords } from './ring.js';

/** Of the special tokens that batches are built with. */
export interface SpecialIds {
  pad: number;
  cls: number;
  sep: number;
  mask: number;
}

/** One dataset of a mixture. */
export interface Source {
  index: ExampleIndex;
  weight: number;
  /** The most blocks of a window of its order. */
  windowBlocks: number;
  /** Blocks that there is room for: those of two windows, or all of them. */
  cachedBlocks: number;
}

export interface BatchPlan {
  sources: Source[];
  /** B rows, T places, N masked places a row, S segments a row. */
  B: number;
  T: number;
  N: number;
  S: number;
  /** A batch is as wide as its longest row, in steps of `bucketStep` places (T: always T). */
  bucketStep: number;
  key: Key;
  /** A finite pass in the order of the corpus, whose draws do not depend on B; else endless, in keyed order. */
  isPass: boolean;
  masking: MaskingSettings;
  special: SpecialIds;
  /** V: every id is below it. */
  vocabularySize: number;
  /** Who makes replacements: the generator, or else they are drawn here. */
  replacement: Replacement;
  /** Words of the n-gram table of each source, where replacements are drawn from it. */
  ngramWords: number[];
  /** A replacement drawn here never equals the original. */
  disallowCorrect: boolean;
  /** What `cached` replacements are drawn from. */
  candidates?: CandidateSource;
  /** First step, steps from one batch to the next, and the step before which a pass ends (Infinity if it does not). */
  startStep: number;
  stepStride: number;
  endStep: number;
  slots: number;
  workers: number;
}

export interface SlotLayout {
  ids: number;
  lengths: number;
  seconds: number;
  places: number;
  seen: number;
  counts: number;
  given: number;
}

export interface SourceLayout {
  /** (cachedBlocks) int32: what each place holds; see blockCache.ts. */
  states: number;
  /** (workers) int32: the window that each worker is at. */
  windows: number;
  /** (cachedBlocks, blockBytes): tokens, and `indexAt` bytes behind their beginning the block of the index. */
  blocks: number;
  indexAt: number;
  blockBytes: number;
}

export interface WorkerLayout {
  /** Draws, each 4 × 18 bytes longer than what is drawn; 8·T bytes to mask and replace a row with; the rows to gather. */
  placeDraws: number;
  choiceDraws: number;
  randomDraws: number;
  replacementDraws: number;
  /** (B) u32: where the n-gram table of each row stands. */
  ngramTables: number;
  /** A record of candidates, and (k + 1) float64 to draw one with. */
  candidates: number;
  weights: number;
  scratch: number;
  rows: number;
  /** Of each source: images of a permutation, B u32 and 3 more, and its 8 round keys. */
  permutations: { images: number; keys: number }[];
}

export interface MemoryLayout {
  control: number;
  slots: SlotLayout[];
  /** (V, 2) u32: the alias table of replacements. */
  table: number;
  /** (V) u8: ids that have a weight in it; pieces that go on with a word. 0 where they are not needed. */
  drawable: number;
  continuations: number;
  /** The n-gram table of each source. */
  ngrams: number[];
  sources: SourceLayout[];
  workers: WorkerLayout[];
  bytes: number;
}

/** Bytes of one cached block of an index, and where in them the index's own part begins. */
export function blockExtents(index: ExampleIndex): { indexAt: number; blockBytes: number } {
  const indexAt = align(index.largestBlockTokens * index.idBytes);
  return { indexAt, blockBytes: indexAt + align(4 * index.largestBlockWords) };
}

/** The step of the loader's batch n, n = 0, 1, … */
export function stepOf({ startStep, stepStride }: BatchPlan, n: number): number {
  return startStep + n * stepStride;
}

export function countBlocks({ examples, blockExamples }: ExampleIndex): number {
  return Math.ceil(examples / blockExamples);
}

/** @throws wrongUse if it all does not fit into 4 GiB. */
export function layOutMemory(plan: BatchPlan): MemoryLayout {
  const { B, T, N, S, masking, vocabularySize, candidates } = plan;
  const isGiven = plan.replacement !== 'generator';
  const isNgram = plan.replacement === 'ngram';
  let bytes = 0;
  const reserve = (size: number) => {
    const at = bytes;
    bytes = align(at + size);
    return at;
  };
  // Address 0 is kept free: a pointer that was never set must not point at anything.
  reserve(64);
  const control = reserve(4 * controlWords(plan.slots, plan.workers));
  const slots = Array.from({ length: plan.slots }, () => ({
    ids: reserve(4 * B * T),
    lengths: reserve(4 * B * S),
    seconds: reserve(4 * B * S),
    places: reserve(4 * B * N),
    seen: reserve(4 * B * N),
    counts: reserve(4 * B),
    given: isGiven ? reserve(4 * B * N) : 0,
  }));
  const table = reserve(isGiven && !candidates ? 8 * vocabularySize : 0);
  const drawable = plan.disallowCorrect && !candidates ? reserve(vocabularySize) : 0;
  const continuations = masking.wholeWordMask ? reserve(vocabularySize) : 0;
  const ngrams = plan.ngramWords.map((words) => reserve(4 * words));
  const sources = plan.sources.map(({ index, cachedBlocks }) => {
    const extents = blockExtents(index);
    return {
      ...extents,
      states: reserve(4 * cachedBlocks),
      windows: reserve(4 * plan.workers),
      blocks: reserve(cachedBlocks * extents.blockBytes),
    };
  });
  const workers = Array.from({ length: plan.workers }, () => ({
    placeDraws: reserve(4 * (B * (masking.wholeWordMask ? T : N) + 34)),
    choiceDraws: reserve(4 * (B * N + 34)),
    randomDraws: masking.randomReplaceProb > 0 ? reserve(4 * (B * N + 34)) : 0,
    replacementDraws: isGiven ? reserve(4 * ((isNgram ? 5 : 2) * B * N + 34)) : 0,
    ngramTables: isNgram ? reserve(4 * B) : 0,
    candidates: candidates ? reserve(candidates.record.bytes) : 0,
    weights: candidates ? reserve(8 * (candidates.topK + 1)) : 0,
    scratch: reserve(8 * T),
    rows: reserve(12 * B),
    permutations: plan.sources.map(() => ({ images: reserve(4 * (B + 3)), keys: reserve(32) })),
  }));
  if (bytes > 2 ** 32) {
    throw new GalvaniError({
      stage: 'batch',
      expected: 'a ring and blocks of at most 4 GiB',
      got: `${(bytes / 2 ** 30).toFixed(1)} GiB`,
      where: `batch size ${B}, sequence length ${T}, ${plan.slots} slots, ${plan.workers} workers`,
      remedy: 'Use fewer slots or workers, a smaller batch, or a smaller cache.',
      kind: 'wrongUse',
    });
  }
  return { control, slots, table, drawable, continuations, ngrams, sources, workers, bytes };
}

function align(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}
