/**
 * A keyed permutation of [0, n): the image of any index in O(1) time and memory, so that an epoch of any size is
 * shuffled without a table and any step of it is found at once.
 *
 * A generalized Feistel network on [0, a·b) ⊇ [0, n), a = ⌈√n⌉, b = ⌈n / a⌉; an image outside [0, n) is mapped again
 * until it is inside (a·b − n < a, so nearly never). Round keys are Philox draws; the round function is the 32-bit
 * finalizer of MurmurHash3. It is a shuffle, not a cipher. n ≤ 2⁵⁰.
 * Source: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002.
 */
import { drawWords, type Key } from './philox.js';

/** Even, so that the two halves leave as they came; 8 rounds pass the tests of every small n. */
export const permutationRounds = 8;

export interface Permutation {
  readonly n: number;
  readonly a: number;
  readonly b: number;
  readonly roundKeys: Uint32Array;
}

/** The permutation of [0, n) at a place of a stream. It uses the 8 draws from `firstIndex` on. */
export function keyedPermutation(n: number, key: Key, stream: number, step: number, firstIndex = 0): Permutation {
  if (!Number.isSafeInteger(n) || n < 1 || n > 2 ** 50) {
    throw new RangeError(`random: expected a size of a permutation in [1, 2^50], got ${n}.`);
  }
  const a = Math.ceil(Math.sqrt(n));
  const roundKeys = new Uint32Array(permutationRounds);
  drawWords(roundKeys, key, stream, step, firstIndex);
  return { n, a, b: Math.ceil(n / a), roundKeys };
}

/** Image of index, 0 ≤ index < n. */
export function permute({ n, a, b, roundKeys }: Permutation, index: number): number {
  let image = index;
  do {
    // left counts modulo a and right modulo b in even rounds; they change places every round.
    let left = image % a;
    let right = Math.floor(image / a);
    for (let round = 0; round < permutationRounds; round++) {
      const modulus = (round & 1) === 0 ? a : b;
      const next = left + share(right ^ roundKeys[round], modulus);
      left = right;
      right = next < modulus ? next : next - modulus;
    }
    image = left + a * right;
  } while (image >= n);
  return image;
}

/** The index whose image is `image`, 0 ≤ image < n. */
export function invert({ n, a, b, roundKeys }: Permutation, image: number): number {
  let index = image;
  do {
    let left = index % a;
    let right = Math.floor(index / a);
    for (let round = permutationRounds - 1; round >= 0; round--) {
      const modulus = (round & 1) === 0 ? a : b;
      const previous = right - share(left ^ roundKeys[round], modulus);
      right = left;
      left = previous < 0 ? previous + modulus : previous;
    }
    index = left + a * right;
  } while (index >= n);
  return index;
}

/** The round function: ⌊mixed word × modulus / 2³²⌋. A remainder in its place took twice as long. */
function share(word: number, modulus: number): number {
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return Math.floor((((word ^ (word >>> 16)) >>> 0) * modulus) / 0x100000000);
}
