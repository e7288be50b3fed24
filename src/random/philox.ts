/**
 * Philox4x32-10, the only source of randomness: a pure function of (key, counter), with no state to save or to share.
 * The TypeScript twin of assembly/philox.ts; every engine draws the same words at the same counters.
 *
 *   key      (seed low, seed high)                                       64 bits
 *   counter  (⌊index / 4⌋ low, ⌊index / 4⌋ high, step, stream)          4 × 32 bits, c0 first
 *   draw     word index & 3 of the four words that come out
 *
 * High 64 bits = stream · 2³² + step. That is TensorFlow's StatelessRandomUniform*V2 with key = [seed],
 * counter = [0, stream · 2³² + step], alg = 1 (streams stay below 2³¹, so it fits its signed int64).
 * Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; checked by Random123's known answers.
 */
export interface Key {
  readonly low: number;
  readonly high: number;
}

const multiplier0 = 0xd2511f53;
const multiplier1 = 0xcd9e8d57;
const weyl0 = 0x9e3779b9;
const weyl1 = 0xbb67ae85;
const rounds = 10;

/** The 64-bit key of a seed. @throws RangeError unless 0 ≤ seed < 2⁶⁴ and, for a number, a safe integer. */
export function keyOfSeed(seed: number | bigint): Key {
  if (typeof seed === 'number' ? !Number.isSafeInteger(seed) || seed < 0 : seed < 0n || seed >= 1n << 64n) {
    throw new RangeError(
      `random: expected a seed that is an integer in [0, 2^53) or a bigint in [0, 2^64), got ${seed}.`,
    );
  }
  const wide = BigInt(seed);
  return { low: Number(wide & 0xffffffffn), high: Number(wide >> 32n) };
}

/** The four words of one counter. out: at least 4 words from `at`. */
export function philox(out: Uint32Array, at: number, key: Key, c0: number, c1: number, c2: number, c3: number): void {
  let k0 = key.low;
  let k1 = key.high;
  for (let round = 0; round < rounds; round++) {
    const high0 = multiplyHigh(multiplier0, c0);
    const low0 = Math.imul(multiplier0, c0);
    const high1 = multiplyHigh(multiplier1, c2);
    const low1 = Math.imul(multiplier1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + weyl0) >>> 0;
    k1 = (k1 + weyl1) >>> 0;
  }
  out[at] = c0;
  out[at + 1] = c1;
  out[at + 2] = c2;
  out[at + 3] = c3;
}

/** High 32 bits of a 32 × 32-bit product, by 16-bit halves: no intermediate exceeds 2⁵³. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const cross = aLow * bHigh + (middle & 0xffff);
  return aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(cross / 0x10000);
}

const four = new Uint32Array(4);

/** The 32-bit draw number `index` (a safe integer) of a stream at a step. */
export function drawWord(key: Key, stream: number, step: number, index: number): number {
  const counter = Math.floor(index / 4);
  philox(four, 0, key, counter >>> 0, Math.floor(counter / 0x100000000), step, stream);
  return four[index % 4];
}

/** Fill `out` with the draws firstIndex, firstIndex + 1, … of a stream at a step. */
export function drawWords(out: Uint32Array, key: Key, stream: number, step: number, firstIndex = 0): void {
  for (let i = 0; i < out.length; ) {
    const index = firstIndex + i;
    const counter = Math.floor(index / 4);
    philox(four, 0, key, counter >>> 0, Math.floor(counter / 0x100000000), step, stream);
    for (let lane = index % 4; lane < 4 && i < out.length; lane++) out[i++] = four[lane];
  }
}

/** A float32 in [0, 1): bits(0x3f800000 | low 23 bits) − 1, TensorFlow's rule; a multiple of 2⁻²³. */
export function uniformOfWord(word: number): number {
  return (word & 0x7fffff) / 0x800000;
}

/** An integer in [0, bound): ⌊word × bound / 2³²⌋, uneven by at most bound / 2³². bound ≤ 2²¹ keeps it exact here. */
export function integerOfWord(word: number, bound: number): number {
  return Math.floor((word * bound) / 0x100000000);
}
