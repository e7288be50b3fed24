/**
 * Replacements without context: an alias table, so that one draw costs two words whatever the vocabulary. [UNK] is
 * drawn like any piece, since its places are masked like any; the other special tokens never are.
 *
 * Built in integers, so it is the same everywhere and an id that never occurs is never drawn.
 * Source: Walker 1977; Vose, "A linear algorithm for generating random numbers with a given distribution", 1991.
 */
import { GalvaniError } from '../errors.js';
import type { SpecialIds } from './plan.js';

/** `unigram`: token counts, with those of the special tokens that are never drawn set to 0. */
export function unigramWeights(tokenCounts: Float64Array, special: SpecialIds): Float64Array {
  const weights = tokenCounts.slice();
  for (const id of [special.pad, special.cls, special.sep, special.mask]) weights[id] = 0;
  return weights;
}

/** `uniform`: all ids alike but those special ones, which the original's uniform_generator draws too. */
export function uniformWeights(vocabularySize: number, special: SpecialIds): Float64Array {
  return unigramWeights(new Float64Array(vocabularySize).fill(1), special);
}

/**
 * (V) 1 for ids that have a weight, for replacements that never equal the original.
 * @throws badInput unless there are two of them.
 */
export function markDrawable(weights: Float64Array): Uint8Array {
  const drawable = Uint8Array.from(weights, (weight) => (weight > 0 ? 1 : 0));
  const count = drawable.reduce((sum, one) => sum + one, 0);
  if (count < 2) {
    throw new GalvaniError({
      stage: 'batch',
      expected: 'two ids to draw replacements from, so that one differs from the original',
      got: `${count}`,
      where: 'disallowCorrect',
      remedy: 'Prepare text that the vocabulary covers, or leave disallowCorrect out.',
      kind: 'badInput',
    });
  }
  return drawable;
}

/**
 * weights  (V) whole numbers ≥ 0, not all 0
 * @returns (V, 2) u32: threshold of 2³² below which the column's own id is drawn, and the other id
 */
export function buildAliasTable(weights: Float64Array): Uint32Array {
  const size = weights.length;
  const scaled = scaleWeights(weights);
  const total = scaled.reduce((sum, weight) => sum + weight, 0);
  if (total === 0) {
    throw new GalvaniError({
      stage: 'batch',
      expected: 'token counts to draw replacements from',
      got: 'no token that is not special',
      remedy: 'Prepare text that the vocabulary covers, or let the generator replace.',
      kind: 'badInput',
    });
  }
  // Each column holds `total`; an id of weight w has w × V to lay into columns.
  const left = scaled.map((weight) => weight * size);
  const small: number[] = [];
  const large: number[] = [];
  for (let id = size - 1; id >= 0; id--) (left[id] < total ? small : large).push(id);
  const table = new Uint32Array(2 * size);
  for (let id = small.pop(); id !== undefined; id = small.pop()) {
    const other = large[large.length - 1];
    table[2 * id] = Math.floor((left[id] / total) * 0x100000000);
    table[2 * id + 1] = other;
    left[other] -= total - left[id];
    if (left[other] < total) small.push(large.pop()!);
  }
  for (const id of large) table[2 * id + 1] = id;
  return table;
}

/** Halve all weights (rounding up, so that none vanishes) until their sum times V is exact in a double. */
function scaleWeights(weights: Float64Array): Float64Array {
  let scaled = weights;
  while (scaled.reduce((sum, weight) => sum + weight, 0) * weights.length > Number.MAX_SAFE_INTEGER) {
    scaled = scaled.map((weight) => Math.ceil(weight / 2));
  }
  return scaled;
}
