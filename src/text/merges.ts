/**
 * WordPiece by merges, as Hugging Face's WordPieceTrainer learns it: words are letters (## but for the first); the neighbouring
 * pair of pieces that occurs most often becomes one piece, everywhere, and again, until there are enough. Each new piece takes
 * the next id. Of equally common pairs the one whose piece is first by bytes goes first, then the one whose left part is.
 *
 * A merge visits the words that hold the pair: a list a pair, of words, in one arena whose cells are used again. Memory: about
 * twenty bytes a letter of the distinct words. Time grows with the occurrences that are merged, not with the pieces.
 *
 * Source: huggingface/tokenizers 0082bc0, models/bpe/trainer.rs. Differs: its ties follow the order of a hash map; counts have
 * 53 bits there 31; a word with a letter outside the alphabet is left out, there the letter; the alphabet is chosen by coverage
 * and has both forms of a letter that stands in any longer word (spelling.ts).
 */
import { PairTable, widened } from './pair-table.js';
import type { Spelling } from './spelling.js';
import type { LearnedPieces } from './top-down.js';

/** The pieces of the first merges that make `room` of them; fewer where nothing is left to merge. */
export function learnMerges(spelling: Spelling, room: number): LearnedPieces {
  const merger = new Merger(spelling);
  const pieces = new Set<string>();
  let leastCount = 0;
  for (let pair = merger.pairs.takeFirst(); pair >= 0 && pieces.size < room; pair = merger.pairs.takeFirst()) {
    leastCount = merger.pairs.countOf(pair);
    pieces.add(merger.merge(pair));
  }
  return { pieces: [...pieces].map((text) => Buffer.from(text, 'latin1').toString()), leastCount };
}

class Merger {
  readonly pairs: PairQueue;
  /** Byte strings of the symbols, and their numbers. */
  readonly #texts: string[] = [];
  readonly #numbers = new Map<string, number>();
  /** The symbols of each word from its first place on; what is merged moves together. */
  readonly #symbols: Int32Array;
  readonly #lengths: Uint8Array;
  readonly #spelling: Spelling;
  readonly #lists = new WordLists();

  constructor(spelling: Spelling) {
    this.#spelling = spelling;
    const { letters, places, ends, counts } = spelling;
    this.pairs = new PairQueue(this.#texts);
    this.#symbols = new Int32Array(places.length);
    this.#lengths = new Uint8Array(ends.length);
    const bytes = letters.map((letter) => Buffer.from(letter).toString('latin1'));
    const first = bytes.map((text) => this.#numberOf(text));
    const later = bytes.map((text) => this.#numberOf(`##${text}`));
    for (let word = 0, begin = 0; word < ends.length; begin = ends[word++]) {
      this.#lengths[word] = ends[word] - begin;
      for (let place = begin; place < ends[word]; place++) {
        this.#symbols[place] = (place === begin ? first : later)[places[place]];
        if (place > begin) this.#addPair(this.#symbols[place - 1], this.#symbols[place], word, counts[word]);
      }
    }
    this.pairs.order();
  }

  /** @returns the piece that the pair becomes, as a byte string. */
  merge(pair: number): string {
    const left = this.pairs.leftOf(pair);
    const right = this.pairs.rightOf(pair);
    const text = this.#texts[left] + this.#texts[right].slice(2);
    const merged = this.#numberOf(text);
    this.#lists.takeAll(pair, (word) => this.#mergeIn(word, left, right, merged));
    this.pairs.order();
    return text;
  }

  #numberOf(text: string): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    this.#numbers.set(text, this.#texts.length);
    return this.#texts.push(text) - 1;
  }

  #mergeIn(word: number, left: number, right: number, merged: number): void {
    const symbols = this.#symbols;
    const begin = word === 0 ? 0 : this.#spelling.ends[word - 1];
    const end = begin + this.#lengths[word];
    const count = this.#spelling.counts[word];
    let to = begin;
    for (let from = begin; from < end; from++) {
      if (symbols[from] !== left || from + 1 === end || symbols[from + 1] !== right) {
        symbols[to++] = symbols[from];
        continue;
      }
      if (to > begin) {
        this.pairs.lose(symbols[to - 1], left, count);
        this.#addPair(symbols[to - 1], merged, word, count);
      }
      symbols[to++] = merged;
      from++;
      if (from + 1 < end) {
        this.pairs.lose(right, symbols[from + 1], count);
        this.#addPair(merged, symbols[from + 1], word, count);
      }
    }
    this.#lengths[word] = to - begin;
  }

  #addPair(left: number, right: number, word: number, count: number): void {
    this.#lists.add(this.pairs.gain(left, right, count), word);
  }
}

/** For each pair the words in which it came about; a word is there once for each time, unless twice in a row. */
class WordLists {
  /** First cell by pair, + 1; 0 = none. */
  #heads = new Int32Array(1 << 12);
  #words = new Int32Array(1 << 16);
  /** The next cell of the list, + 1. Free cells are a list of their own. */
  #nexts = new Int32Array(1 << 16);
  #free = 0;
  #used = 0;

  add(pair: number, word: number): void {
    if (pair >= this.#heads.length) this.#heads = widened(this.#heads);
    const head = this.#heads[pair];
    if (head !== 0 && this.#words[head - 1] === word) return;
    let cell = this.#free - 1;
    if (cell >= 0) this.#free = this.#nexts[cell];
    else {
      cell = this.#used++;
      if (cell === this.#words.length) {
        this.#words = widened(this.#words);
        this.#nexts = widened(this.#nexts);
      }
    }
    this.#words[cell] = word;
    this.#nexts[cell] = head;
    this.#heads[pair] = cell + 1;
  }

  /** Empty the pair's list; what `visit` adds to it is the next one's. */
  takeAll(pair: number, visit: (word: number) => void): void {
    let cell = this.#heads[pair] - 1;
    this.#heads[pair] = 0;
    while (cell >= 0) {
      const word = this.#words[cell];
      const next = this.#nexts[cell] - 1;
      this.#nexts[cell] = this.#free;
      this.#free = cell + 1;
      cell = next;
      visit(word);
    }
  }
}

/** Pairs of symbols with their counts, and a heap of those that may be merged. */
class PairQueue {
  /** (left symbol, right symbol) */
  readonly #pairs = new PairTable();
  #counts = new Float64Array(1 << 12);
  /** What the heap is ordered by: the count, or a larger one that it had. Set when it is put in place. */
  #keys = new Float64Array(1 << 12);
  /** Whether the pair has gained since the heap was ordered. */
  #isTouched = new Uint8Array(1 << 12);
  #touched: number[] = [];
  /** Where the pair is in the heap, + 1; 0 = nowhere. */
  #heapPlaces = new Int32Array(1 << 12);
  readonly #heap: number[] = [];
  readonly #texts: readonly string[];

  /** @param texts byte strings of the symbols, by number */
  constructor(texts: readonly string[]) {
    this.#texts = texts;
  }

  leftOf(pair: number): number {
    return this.#pairs.firsts[pair];
  }

  rightOf(pair: number): number {
    return this.#pairs.seconds[pair];
  }

  countOf(pair: number): number {
    return this.#counts[pair];
  }

  gain(left: number, right: number, count: number): number {
    const pair = this.#pairs.findOrAdd(left, right);
    if (pair === this.#counts.length) this.#grow();
    this.#counts[pair] += count;
    if (this.#isTouched[pair] === 0) {
      this.#isTouched[pair] = 1;
      this.#touched.push(pair);
    }
    return pair;
  }

  lose(left: number, right: number, count: number): void {
    this.#counts[this.#pairs.find(left, right)] -= count;
  }

  /** Put the pairs that gained where they belong. */
  order(): void {
    for (const pair of this.#touched) {
      this.#isTouched[pair] = 0;
      if (this.#heapPlaces[pair] === 0) {
        this.#keys[pair] = this.#counts[pair];
        this.#heapPlaces[pair] = this.#heap.push(pair);
        this.#rise(pair);
      } else if (this.#counts[pair] > this.#keys[pair]) {
        this.#keys[pair] = this.#counts[pair];
        this.#rise(pair);
      }
    }
    this.#touched = [];
  }

  /** The commonest pair, which leaves the heap; −1 when none is left that occurs. */
  takeFirst(): number {
    const heap = this.#heap;
    for (;;) {
      const pair = heap[0] ?? -1;
      if (pair < 0) return -1;
      if (this.#keys[pair] !== this.#counts[pair]) {
        this.#keys[pair] = this.#counts[pair];
        this.#sink(pair);
        continue;
      }
      if (this.#counts[pair] < 1) return -1;
      const last = heap.pop() as number;
      this.#heapPlaces[pair] = 0;
      if (last !== pair) {
        heap[0] = last;
        this.#heapPlaces[last] = 1;
        this.#sink(last);
      }
      return pair;
    }
  }

  #rise(pair: number): void {
    const heap = this.#heap;
    let at = this.#heapPlaces[pair] - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!this.#isBefore(pair, heap[above])) break;
      heap[at] = heap[above];
      this.#heapPlaces[heap[at]] = at + 1;
      at = above;
    }
    heap[at] = pair;
    this.#heapPlaces[pair] = at + 1;
  }

  #sink(pair: number): void {
    const heap = this.#heap;
    let at = this.#heapPlaces[pair] - 1;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && this.#isBefore(heap[below + 1], heap[below])) below++;
      if (!this.#isBefore(heap[below], pair)) break;
      heap[at] = heap[below];
      this.#heapPlaces[heap[at]] = at + 1;
      at = below;
    }
    heap[at] = pair;
    this.#heapPlaces[pair] = at + 1;
  }

  #isBefore(a: number, b: number): boolean {
    if (this.#keys[a] !== this.#keys[b]) return this.#keys[a] > this.#keys[b];
    const { firsts: lefts, seconds: rights } = this.#pairs;
    const textA = this.#texts[lefts[a]] + this.#texts[rights[a]].slice(2);
    const textB = this.#texts[lefts[b]] + this.#texts[rights[b]].slice(2);
    if (textA !== textB) return textA < textB;
    return this.#texts[lefts[a]].length < this.#texts[lefts[b]].length;
  }

  #grow(): void {
    this.#counts = widened(this.#counts);
    this.#keys = widened(this.#keys);
    this.#isTouched = widened(this.#isTouched);
    this.#heapPlaces = widened(this.#heapPlaces);
  }
}
