/** Seeded random values for tests, from the project's own Philox. */
import { drawWords, keyOfSeed, uniformOfWord } from '../src/random/philox.js';

/** Independent draws in [−1, 1) · scale: the same for the same seed. */
export function randomFloats(count: number, seed: number, scale = 1): Float32Array {
  const words = new Uint32Array(count);
  drawWords(words, keyOfSeed(seed), 1, 0);
  return Float32Array.from(words, (word) => (2 * uniformOfWord(word) - 1) * scale);
}

/** Integers in [0, bound). */
export function randomInts(count: number, seed: number, bound: number): Int32Array {
  const words = new Uint32Array(count);
  drawWords(words, keyOfSeed(seed), 2, 0);
  return Int32Array.from(words, (word) => Math.floor((word / 2 ** 32) * bound));
}
