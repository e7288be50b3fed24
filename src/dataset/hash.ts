/**
 * The 128-bit hash of a document: MurmurHash3_x86_128, seed 0, over the bytes of its ids as a shard holds them, little-endian.
 *
 * Among n different documents, two share a hash with a probability of about n² / 2¹²⁹: 1.5 × 10⁻²¹ for a billion. That
 * holds for text that nobody wrote in order to collide; it is no cryptographic hash.
 * Source: Austin Appleby, MurmurHash3.cpp (public domain).
 */
import type { TokenIds } from './block.js';

export const hashBytes = 16;
export const hashWords = hashBytes / 4;

/** Hash ids[start, end) into the words `into[at]` … `into[at + 3]`, whose bytes are those of the reference. */
export function hashIds(ids: TokenIds, start: number, end: number, into: Uint32Array, at: number): void {
  // Two ids of 16 bits are a word; what is not there counts as 0.
  const perWord = 4 / ids.BYTES_PER_ELEMENT;
  const isShort = perWord === 2;
  let h1 = 0;
  let h2 = 0;
  let h3 = 0;
  let h4 = 0;
  let i = start;
  for (const last = end - 4 * perWord; i <= last; i += 4 * perWord) {
    h1 ^= mixFirst(isShort ? ids[i] | (ids[i + 1] << 16) : ids[i]);
    h1 = (rotate(h1, 19) + h2) | 0;
    h1 = (Math.imul(h1, 5) + 0x561ccd1b) | 0;
    h2 ^= mixSecond(isShort ? ids[i + 2] | (ids[i + 3] << 16) : ids[i + 1]);
    h2 = (rotate(h2, 17) + h3) | 0;
    h2 = (Math.imul(h2, 5) + 0x0bcaa747) | 0;
    h3 ^= mixThird(isShort ? ids[i + 4] | (ids[i + 5] << 16) : ids[i + 2]);
    h3 = (rotate(h3, 15) + h4) | 0;
    h3 = (Math.imul(h3, 5) + 0x96cd1c35) | 0;
    h4 ^= mixFourth(isShort ? ids[i + 6] | (ids[i + 7] << 16) : ids[i + 3]);
    h4 = (rotate(h4, 13) + h1) | 0;
    h4 = (Math.imul(h4, 5) + 0x32ac3b17) | 0;
  }
  // A word of 0 changes nothing.
  if (i < end) h1 ^= mixFirst(wordAt(ids, i, end, isShort));
  if (i + perWord < end) h2 ^= mixSecond(wordAt(ids, i + perWord, end, isShort));
  if (i + 2 * perWord < end) h3 ^= mixThird(wordAt(ids, i + 2 * perWord, end, isShort));
  if (i + 3 * perWord < end) h4 ^= mixFourth(wordAt(ids, i + 3 * perWord, end, isShort));

  const bytes = ids.BYTES_PER_ELEMENT * (end - start);
  h1 ^= bytes;
  h2 ^= bytes;
  h3 ^= bytes;
  h4 ^= bytes;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = finish((h2 + h1) | 0);
  h3 = finish((h3 + h1) | 0);
  h4 = finish((h4 + h1) | 0);
  h1 = (finish(h1) + h2 + h3 + h4) | 0;
  into[at] = h1;
  into[at + 1] = h2 + h1;
  into[at + 2] = h3 + h1;
  into[at + 3] = h4 + h1;
}

/** The word that begins with ids[i], which is there. */
function wordAt(ids: TokenIds, i: number, end: number, isShort: boolean): number {
  return isShort && i + 1 < end ? ids[i] | (ids[i + 1] << 16) : ids[i];
}

const c1 = 0x239b961b;
const c2 = 0xab0e9789;
const c3 = 0x38b34ae5;
const c4 = 0xa1e38b93;

function mixFirst(word: number): number {
  return Math.imul(rotate(Math.imul(word, c1), 15), c2);
}

function mixSecond(word: number): number {
  return Math.imul(rotate(Math.imul(word, c2), 16), c3);
}

function mixThird(word: number): number {
  return Math.imul(rotate(Math.imul(word, c3), 17), c4);
}

function mixFourth(word: number): number {
  return Math.imul(rotate(Math.imul(word, c4), 18), c1);
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

/** So that every bit of the word moves every other (fmix32). */
function finish(word: number): number {
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return word ^ (word >>> 16);
}
