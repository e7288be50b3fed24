/**
 * The words that pieces are learned from, spelled in numbered letters: what both learners work on.
 *
 * The alphabet is the commonest characters that together make up 99.99 % of the text, each counted as often as it stands
 * there; of equally common ones, those with the lower code points. A word with any other character is not learned from, and
 * is [UNK] when it is encoded. Neither is a word of more than 50 letters. Of more than four million distinct words the rarest
 * are left out, and of equally rare ones those with the larger hashes: that bounds what a learner needs.
 */
import type { CountedWords } from './word-table.js';

const alphabetCoverage = 0.9999;
const maxLetters = 50;
const mostWords = 4_000_000;

export interface Spelling {
  /** The alphabet by code point, which is the order of its UTF-8 bytes. */
  letters: string[];
  /** For each letter whether it stands in a word of several letters: then it may be needed behind another piece. */
  joins: boolean[];
  /** The words, letter by letter, one after the other, in no order that means anything. */
  places: Uint16Array | Uint32Array;
  /** Where each word ends in `places`, and how often it occurs. */
  ends: Uint32Array;
  counts: Float64Array;
}

export function spellWords(words: CountedWords, maxWords = mostWords): Spelling {
  const numbers = numberAlphabet(words);
  const kept = chooseWords(words, numbers, maxWords);
  const letterCount = numbers.reduce((sum, number) => (number < 0 ? sum : sum + 1), 0);
  const letters = new Array<string>(letterCount);
  numbers.forEach((number, codePoint) => {
    if (number >= 0) letters[number] = String.fromCodePoint(codePoint);
  });
  return { letters, ...spell(words, kept, numbers, letterCount) };
}

/** The letter's number by code point, −1 where it is none. */
function numberAlphabet({ bytes, ends, counts }: CountedWords): Int32Array {
  const occurrences = new Float64Array(0x110000);
  let total = 0;
  for (let word = 0, pos = 0; word < ends.length; word++) {
    const count = counts[word];
    for (const end = ends[word] - 1; pos < end; pos += lengthAt(bytes, pos)) {
      occurrences[codePointAt(bytes, pos)] += count;
      total += count;
    }
    pos = ends[word];
  }
  const numbers = new Int32Array(0x110000).fill(-1);
  const present = numbers.map((_, codePoint) => codePoint).filter((codePoint) => occurrences[codePoint] > 0);
  let covered = 0;
  for (const codePoint of present.sort((a, b) => occurrences[b] - occurrences[a] || a - b)) {
    if (covered >= alphabetCoverage * total) break;
    covered += occurrences[codePoint];
    numbers[codePoint] = 0;
  }
  let next = 0;
  for (const codePoint of present.sort()) if (numbers[codePoint] === 0) numbers[codePoint] = next++;
  return numbers;
}

function chooseWords(words: CountedWords, numbers: Int32Array, maxWords: number): Uint32Array {
  const { bytes, ends, counts, hashes } = words;
  const spellable = new Uint32Array(ends.length);
  let size = 0;
  for (let word = 0, pos = 0; word < ends.length; pos = ends[word++]) {
    if (isSpellable(bytes, pos, ends[word] - 1, numbers)) spellable[size++] = word;
  }
  const found = spellable.subarray(0, size);
  if (size <= maxWords) return found;
  const leastCount = Float64Array.from(found, (word) => counts[word]).sort()[size - maxWords];
  const commoner = found.filter((word) => counts[word] > leastCount);
  const asRare = found.filter((word) => counts[word] === leastCount);
  const hashLimit = asRare.map((word) => hashes[word]).sort()[maxWords - commoner.length] ?? 2 ** 32; // all have room
  return found.filter((word) => counts[word] > leastCount || (counts[word] === leastCount && hashes[word] < hashLimit));
}

function isSpellable(bytes: Uint8Array, start: number, end: number, numbers: Int32Array): boolean {
  let length = 0;
  for (let pos = start; pos < end; pos += lengthAt(bytes, pos)) {
    if (numbers[codePointAt(bytes, pos)] < 0) return false;
    length++;
  }
  return length <= maxLetters;
}

function spell(words: CountedWords, kept: Uint32Array, numbers: Int32Array, letterCount: number) {
  let room = 0;
  for (const word of kept) room += words.ends[word] - 1 - startOf(words, word);
  const all = letterCount <= 0x10000 ? new Uint16Array(room) : new Uint32Array(room); // a letter takes at least a byte
  const ends = new Uint32Array(kept.length);
  const counts = new Float64Array(kept.length);
  const joins = new Array<boolean>(letterCount).fill(false);
  let size = 0;
  kept.forEach((word, i) => {
    const begin = size;
    const end = words.ends[word] - 1;
    for (let pos = startOf(words, word); pos < end; pos += lengthAt(words.bytes, pos)) {
      all[size++] = numbers[codePointAt(words.bytes, pos)];
    }
    for (let place = begin; size - begin > 1 && place < size; place++) joins[all[place]] = true;
    ends[i] = size;
    counts[i] = words.counts[word];
  });
  return { joins, places: all.subarray(0, size), ends, counts };
}

const startOf = ({ ends }: CountedWords, word: number) => (word === 0 ? 0 : ends[word - 1]);

/** Bytes of the UTF-8 sequence at `pos`: well-formed, as the kernel writes it. */
function lengthAt(bytes: Uint8Array, pos: number): number {
  const lead = bytes[pos];
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

function codePointAt(bytes: Uint8Array, pos: number): number {
  const lead = bytes[pos];
  if (lead < 0x80) return lead;
  const tail = (index: number) => bytes[pos + index] & 0x3f;
  if (lead < 0xe0) return ((lead & 0x1f) << 6) | tail(1);
  if (lead < 0xf0) return ((lead & 0xf) << 12) | (tail(1) << 6) | tail(2);
  return ((lead & 7) << 18) | (tail(1) << 12) | (tail(2) << 6) | tail(3);
}
