/**
 * What makes batches: everything that a worker needs to know, as one plain object that is sent to it once, and where
 * everything lies in the one shared memory. Batch k is a pure function of the plan's fields above `slots`, and k.
 *
 *   memory   control words │ slot 0 … R − 1 │ tables │ worker 0: scratch, cached blocks │ worker 1 …
 *   slot     ids (B,T) │ lengths (B,1) │ seconds (B,1) │ places (B,N) │ seen (B,N) │ counts (B) │ given (B,N)
 *
 * Every part begins at a multiple of 64 bytes. S = 1: one segment a row.
 */
import type { ExampleIndex } from '../dataset/examples.js';
import { examplesPerBlock, windowBlocks } from '../dataset/order.js';
import { GalvaniError } from '../errors.js';
import type { Key } from '../random/philox.js';
import type { MaskingSettings } from './masking.js';
import { controlWords } from './ring.js';

/** Of the special tokens that batches are built with. */
export interface SpecialIds {
  pad: number;
  cls: number;
  sep: number;
  mask: number;
}

export interface BatchPlan {
  index: ExampleIndex;
  /** B rows, T places, N masked places a row. */
  B: number;
  T: number;
  N: number;
  key: Key;
  /** A finite pass in the order of the corpus, whose draws do not depend on B; else endless, in keyed order. */
  isPass: boolean;
  masking: MaskingSettings;
  special: SpecialIds;
  /** V: every id is below it. */
  vocabularySize: number;
  /** Replacements are drawn here; else the generator makes them. */
  replaces: boolean;
  /** A replacement drawn here never equals the original. */
  disallowCorrect: boolean;
  /** First step, and the step before which a pass ends (Infinity if it does not). */
  startStep: number;
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

export interface WorkerLayout {
  /** Draws, each 4 × 18 bytes longer than what is drawn; and 8·T bytes to mask and replace a row with. */
  placeDraws: number;
  choiceDraws: number;
  randomDraws: number;
  replacementDraws: number;
  scratch: number;
  /** Cached blocks of examples, `blockBytes` each. */
  blocks: number;
}

export interface MemoryLayout {
  control: number;
  slots: SlotLayout[];
  /** (V, 2) u32: the alias table of replacements. */
  table: number;
  /** (V) u8: ids that have a weight in it; pieces that go on with a word. 0 where they are not needed. */
  drawable: number;
  continuations: number;
  workers: WorkerLayout[];
  blockExamples: number;
  blockBytes: number;
  cachedBlocks: number;
  bytes: number;
}

/** @throws wrongUse if it all does not fit into 4 GiB. */
export function layOutMemory(plan: BatchPlan): MemoryLayout {
  const { index, B, T, N, masking, vocabularySize } = plan;
  let bytes = 0;
  const reserve = (size: number) => {
    const at = bytes;
    bytes = Math.ceil((at + size) / 64) * 64;
    return at;
  };
  // Address 0 is kept free: a pointer that was never set must not point at anything.
  reserve(64);
  const control = reserve(4 * controlWords(plan.slots, plan.workers));
  const slots = Array.from({ length: plan.slots }, () => ({
    ids: reserve(4 * B * T),
    lengths: reserve(4 * B),
    seconds: reserve(4 * B),
    places: reserve(4 * B * N),
    seen: reserve(4 * B * N),
    counts: reserve(4 * B),
    given: plan.replaces ? reserve(4 * B * N) : 0,
  }));
  const table = reserve(plan.replaces ? 8 * vocabularySize : 0);
  const drawable = plan.disallowCorrect ? reserve(vocabularySize) : 0;
  const continuations = masking.wholeWordMask ? reserve(vocabularySize) : 0;

  const blockExamples = examplesPerBlock(index.windowTokens);
  const blockBytes = index.idBytes * Math.min(index.tokens, blockExamples * index.windowTokens);
  // A window in use and the next one on its way; a pass in order needs one block at a time.
  const cachedBlocks = Math.min(Math.ceil(index.examples / blockExamples), plan.isPass ? 1 : 2 * windowBlocks);
  const workers = Array.from({ length: plan.workers }, () => ({
    placeDraws: reserve(4 * (B * (masking.wholeWordMask ? T : N) + 18)),
    choiceDraws: reserve(4 * (B * N + 18)),
    randomDraws: masking.randomReplaceProb > 0 ? reserve(4 * (B * N + 18)) : 0,
    replacementDraws: plan.replaces ? reserve(4 * (2 * B * N + 18)) : 0,
    scratch: reserve(8 * T),
    blocks: reserve(cachedBlocks * blockBytes),
  }));
  if (bytes > 2 ** 32) {
    throw new GalvaniError({
      stage: 'batch',
      expected: 'a ring and blocks of at most 4 GiB',
      got: `${(bytes / 2 ** 30).toFixed(1)} GiB`,
      where: `batch size ${B}, sequence length ${T}, ${plan.slots} slots, ${plan.workers} workers`,
      remedy: 'Use fewer slots or workers, or a smaller batch.',
      kind: 'wrongUse',
    });
  }
  return { control, slots, table, drawable, continuations, workers, blockExamples, blockBytes, cachedBlocks, bytes };
}
