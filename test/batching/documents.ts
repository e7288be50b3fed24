/** Seeded documents of random lengths, skewed ids and here and there a special token, and the planes of a batch as data. */
import type { Batch } from '../../src/batching/loader.js';
import { drawWord, integerOfWord, keyOfSeed, uniformOfWord } from '../../src/random/philox.js';
import type { Planes } from './twin.js';

const key = keyOfSeed(2024);

/** Ids from 5 on, the smaller the more frequent, and about one special token ([PAD] … [MASK]) in a hundred. */
export function makeDocuments(count: number, longest: number, vocabularySize: number, seed = 0): number[][] {
  return Array.from({ length: count }, (_, document) => {
    const draw = (i: number) => drawWord(key, 0, document, 2 ** 32 * seed + i);
    const length = 1 + integerOfWord(draw(0), longest);
    const ids = Array.from({ length }, (_, i) =>
      draw(3 * i + 1) % 100 === 0
        ? draw(3 * i + 2) % 5
        : 5 + Math.floor(uniformOfWord(draw(3 * i + 3)) ** 2 * (vocabularySize - 5)),
    );
    // One token at least can be masked.
    ids[0] = 5;
    return ids;
  });
}

export function planesOf(batch: Batch): Planes {
  const { ids, lengths, seconds, places, seen, counts, given, maskedCount, tokenCount } = batch;
  return {
    ids: Array.from(ids),
    lengths: Array.from(lengths),
    seconds: Array.from(seconds),
    places: Array.from(places),
    seen: Array.from(seen),
    counts: Array.from(counts),
    given: given && Array.from(given),
    maskedCount,
    tokenCount,
  };
}
