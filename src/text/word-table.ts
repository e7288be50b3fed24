/**
 * How often each word occurs: a hash table over bytes, in typed arrays, since a Map holds 2²⁴ entries and takes five times the
 * memory. Words are UTF-8 without LF. Memory: 37 to 74 bytes a distinct word of eight bytes, since arrays double when full.
 *
 * Counts do not depend on the order in which words come; the order of the words does (each stands where it first came).
 */
import { GalvaniError } from '../errors.js';

/** Distinct words and their counts, as plain arrays that can be handed to another thread. */
export interface CountedWords {
  /** The words, each followed by LF. */
  bytes: Uint8Array;
  /** Where each word ends in `bytes`, behind its LF. */
  ends: Uint32Array;
  counts: Float64Array;
  /** A pure function of the word's bytes. */
  hashes: Uint32Array;
}

const lineEnd = 0x0a;

export class WordTable {
  #size = 0;
  #bytes = new Uint8Array(1 << 16);
  #ends = new Uint32Array(1 << 12);
  #counts = new Float64Array(1 << 12);
  #hashes = new Uint32Array(1 << 12);
  /** Word + 1 by hash, linear probing, at most half full; 0 = free. */
  #slots = new Uint32Array(1 << 13);

  /** Distinct words. */
  get size(): number {
    return this.#size;
  }

  /** Count every word of `lines` once; each is followed by LF. */
  addLines(lines: Uint8Array): void {
    for (let pos = 0; pos < lines.length; ) {
      let hash = 0x811c9dc5;
      let end = pos;
      // FNV-1a, then a mix of the high bits into the low ones, by which slots are found.
      for (let byte = lines[end]; byte !== lineEnd; byte = lines[++end]) hash = Math.imul(hash ^ byte, 0x01000193);
      hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
      this.#add(lines, pos, end + 1, (hash ^ (hash >>> 13)) >>> 0, 1);
      pos = end + 1;
    }
  }

  /** Add the counts of another table. */
  addCounts({ bytes, ends, counts, hashes }: CountedWords): void {
    for (let i = 0, pos = 0; i < ends.length; pos = ends[i++]) this.#add(bytes, pos, ends[i], hashes[i], counts[i]);
  }

  /** Forget all words and keep the memory. */
  clear(): void {
    this.#slots.fill(0);
    this.#size = 0;
  }

  /** What was counted, as views: valid until the table changes. */
  words(): CountedWords {
    return {
      bytes: this.#bytes.subarray(0, this.#size === 0 ? 0 : this.#ends[this.#size - 1]),
      ends: this.#ends.subarray(0, this.#size),
      counts: this.#counts.subarray(0, this.#size),
      hashes: this.#hashes.subarray(0, this.#size),
    };
  }

  /** `end` is behind the word's LF. */
  #add(source: Uint8Array, start: number, end: number, hash: number, count: number): void {
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (let there = this.#slots[slot]; there !== 0; there = this.#slots[slot]) {
      if (this.#hashes[there - 1] === hash && this.#equals(there - 1, source, start, end)) {
        this.#counts[there - 1] += count;
        return;
      }
      slot = (slot + 1) & mask;
    }
    this.#slots[slot] = this.#append(source, start, end, hash, count) + 1;
    if (2 * this.#size > this.#slots.length) this.#growSlots();
  }

  #equals(word: number, source: Uint8Array, start: number, end: number): boolean {
    let pos = word === 0 ? 0 : this.#ends[word - 1];
    if (this.#ends[word] - pos !== end - start) return false;
    for (let i = start; i < end; i++) if (this.#bytes[pos++] !== source[i]) return false;
    return true;
  }

  #append(source: Uint8Array, start: number, end: number, hash: number, count: number): number {
    const word = this.#size++;
    const pos = word === 0 ? 0 : this.#ends[word - 1];
    const wordEnd = pos + end - start;
    if (wordEnd > this.#bytes.length) this.#bytes = grown(this.#bytes, wordEnd);
    if (word === this.#ends.length) {
      this.#ends = grown(this.#ends, word + 1);
      this.#counts = grown(this.#counts, word + 1);
      this.#hashes = grown(this.#hashes, word + 1);
    }
    for (let i = start, to = pos; i < end; i++) this.#bytes[to++] = source[i];
    this.#ends[word] = wordEnd;
    this.#counts[word] = count;
    this.#hashes[word] = hash;
    return word;
  }

  #growSlots(): void {
    const slots = allocate(Uint32Array, 2 * this.#slots.length);
    const mask = slots.length - 1;
    for (let word = 0; word < this.#size; word++) {
      let slot = this.#hashes[word] & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = word + 1;
    }
    this.#slots = slots;
  }
}

type Numbers = Uint8Array | Uint32Array | Float64Array;

function grown<A extends Numbers>(array: A, wanted: number): A {
  // Offsets have 32 bits.
  const length = Math.max(wanted, Math.min(2 * array.length, 2 ** 32 - 1));
  const copy = allocate(array.constructor as new (length: number) => A, length);
  copy.set(array);
  return copy;
}

function allocate<A extends Numbers>(kind: new (length: number) => A, length: number): A {
  try {
    if (length >= 2 ** 32) throw new RangeError('4 GiB of distinct words');
    return new kind(length);
  } catch (cause) {
    throw new GalvaniError({
      stage: 'vocab',
      expected: 'distinct words that fit in memory',
      got: `more (${cause instanceof Error ? cause.message : cause})`,
      remedy: 'Learn from a part of the text; a few GB of it say as much as all.',
      cause,
    });
  }
}
