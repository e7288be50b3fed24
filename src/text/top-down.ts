/**
 * The top-down WordPiece learner that BERT's vocabularies came from, made deterministic and exact in size.
 *
 * Each round counts substrings of the words (from every place in round 1, later from where the last round's pieces begin),
 * then goes from the longest to the shortest: a substring whose count reaches the threshold becomes a piece, and its count is
 * taken from all its prefixes, which it will serve no more. Four rounds a threshold. The threshold is one that gives at least
 * the pieces asked for while the next larger one does not; the rarest of its pieces are dropped, of equally rare ones the last
 * by bytes.
 *
 * No count exceeds the substring's occurrences, and those of a longer substring do not exceed its prefix's. So only substrings
 * that occur as often as the smallest threshold tried are kept, in a trie that grows by one letter a pass over the places
 * where the last pass left something to extend. A count is added where a suffix leaves the trie and summed towards the root: a
 * round is linear in pieces and nodes. Memory: four bytes a letter of the distinct words, 40 a frequent substring.
 *
 * Source: tensorflow/text 35a4504, tools/wordpiece_vocab/wordpiece_tokenizer_learner_lib.py. Differs: its code takes the count
 * of a substring from its prefixes also where the substring is not kept, its documentation only where it is kept, as here
 * (Brown corpus, pieces a word at 1,024 / 4,096 / 8,192 pieces: 1.82 / 1.33 / 1.17 by its code, 1.72 / 1.29 / 1.16 here); ties
 * are broken by bytes; the size is met exactly; the alphabet is chosen by coverage (spelling.ts).
 */
import { PairTable, widened } from './pair-table.js';
import type { Spelling } from './spelling.js';

const rounds = 4;

export interface LearnedPieces {
  /** Pieces of several letters, without the alphabet, by the order of their ids. */
  pieces: string[];
  /** Times that the rarest of them was needed. */
  leastCount: number;
}

/** The `room` pieces of the largest threshold that gives so many; fewer where the words yield no more. */
export function learnTopDown(spelling: Spelling, room: number): LearnedPieces {
  if (room === 0) return { pieces: [], leastCount: 0 };
  const words = spelling.counts.reduce((sum, count) => sum + count, 0);
  // English needs a threshold of about a tenth of that: most often the first trie is the only one.
  let threshold = Math.max(1, Math.floor(words / (16 * room)));
  let trie = new SubstringTrie(spelling, threshold);
  while (trie.choose(threshold) < room && threshold > 1) {
    threshold = Math.max(1, threshold >> 2);
    trie = new SubstringTrie(spelling, threshold);
  }
  // `threshold` gives enough pieces (or is 1), `above` does not.
  let above = 2 * threshold;
  while (trie.choose(above) >= room) {
    threshold = above;
    above *= 2;
  }
  while (above - threshold > 1) {
    const middle = Math.floor((threshold + above) / 2);
    if (trie.choose(middle) >= room) threshold = middle;
    else above = middle;
  }
  trie.choose(threshold);
  return { pieces: trie.pieces().slice(0, room), leastCount: threshold };
}

/** Substrings that occur at least `least` times, and all single letters. Nodes 0 and 1 are the roots, 1 that of ## pieces. */
class SubstringTrie {
  readonly #spelling: Spelling;
  /** By node; a child comes after its parent. */
  #parents = new Int32Array([-1, -1]);
  #letters = new Int32Array([-1, -1]);
  #depths = new Uint8Array(2);
  #occurrences = new Float64Array(2);
  /** For each place the node of the longest frequent substring that begins there. */
  readonly #longest: Int32Array;
  readonly #counts: Float64Array;
  /** What pieces below a node took from it. */
  readonly #taken: Float64Array;
  readonly #isPiece: Uint8Array;
  /** Letters of the longest piece that is a prefix of the node's substring, itself included. */
  readonly #pieceLengths: Uint8Array;

  constructor(spelling: Spelling, least: number) {
    this.#spelling = spelling;
    this.#longest = new Int32Array(spelling.places.length);
    for (let word = 0, begin = 0; word < spelling.ends.length; begin = spelling.ends[word++]) {
      this.#longest.fill(1, begin + 1, spelling.ends[word]);
    }
    for (let depth = 1; this.#addLevel(depth, depth === 1 ? 1 : least); depth++);
    const nodes = this.#parents.length;
    this.#counts = new Float64Array(nodes);
    this.#taken = new Float64Array(nodes);
    this.#isPiece = new Uint8Array(nodes);
    this.#pieceLengths = new Uint8Array(nodes);
  }

  /** Extend what is `depth` − 1 letters long by one. @returns whether anything longer occurs `least` times. */
  #addLevel(depth: number, least: number): boolean {
    const { places, ends, counts } = this.#spelling;
    const longest = this.#longest;
    const level = new PairTable(); // (parent, letter)
    let occurrences = new Float64Array(level.firsts.length);
    for (let word = 0, begin = 0; word < ends.length; begin = ends[word++]) {
      for (let place = begin; place + depth <= ends[word]; place++) {
        const node = longest[place];
        if (this.#depths[node] !== depth - 1) continue;
        const child = level.findOrAdd(node, places[place + depth - 1]);
        if (child === occurrences.length) occurrences = widened(occurrences);
        occurrences[child] += counts[word];
        longest[place] = ~child; // below 0: waits for its node's number
      }
    }
    const numbers = this.#keep(level, occurrences, depth, least);
    for (let place = 0; place < longest.length; place++) {
      const child = ~longest[place];
      if (child >= 0) longest[place] = numbers[child] || level.firsts[child];
    }
    return numbers.some((number) => number > 0);
  }

  /** Make nodes of the level's frequent children. @returns their numbers, 0 where there is none. */
  #keep(level: PairTable, occurrences: Float64Array, depth: number, least: number): Int32Array {
    const { size, firsts: parents, seconds: letters } = level;
    const numbers = new Int32Array(size);
    let next = this.#parents.length;
    for (let child = 0; child < size; child++) if (occurrences[child] >= least) numbers[child] = next++;
    const isKept = (_: number, child: number) => child < size && numbers[child] > 0;
    this.#parents = joined(this.#parents, parents.filter(isKept));
    this.#letters = joined(this.#letters, letters.filter(isKept));
    this.#occurrences = joined(this.#occurrences, occurrences.filter(isKept));
    this.#depths = joined(this.#depths, new Uint8Array(next - this.#depths.length).fill(depth));
    return numbers;
  }

  /** Choose the pieces of a threshold, at least the trie's own. @returns how many have several letters. */
  choose(threshold: number): number {
    this.#counts.set(this.#occurrences);
    this.#choosePieces(threshold);
    for (let round = 1; round < rounds; round++) {
      this.#countFromPieces();
      this.#choosePieces(threshold);
    }
    let size = 0;
    for (let node = 2; node < this.#isPiece.length; node++) if (this.#isPiece[node] && this.#depths[node] > 1) size++;
    return size;
  }

  /** Count the substrings that begin where one of the present pieces does. */
  #countFromPieces(): void {
    const { ends, counts } = this.#spelling;
    this.#counts.fill(0);
    for (let word = 0, place = 0; word < ends.length; word++) {
      while (place < ends[word]) {
        const node = this.#longest[place];
        this.#counts[node] += counts[word];
        place += this.#pieceLengths[node];
      }
    }
    // Backwards, every count is whole before it is added to the parent's.
    for (let node = this.#counts.length - 1; node > 1; node--) this.#counts[this.#parents[node]] += this.#counts[node];
  }

  #choosePieces(threshold: number): void {
    this.#taken.fill(0);
    for (let node = this.#counts.length - 1; node > 1; node--) {
      const isPiece = this.#counts[node] - this.#taken[node] >= threshold;
      this.#taken[this.#parents[node]] += isPiece ? this.#counts[node] : this.#taken[node];
      this.#isPiece[node] = isPiece ? 1 : 0;
    }
    for (let node = 2; node < this.#isPiece.length; node++) {
      const depth = this.#depths[node];
      // Single letters are pieces in any case.
      const isPiece = depth === 1 || this.#isPiece[node] === 1;
      this.#pieceLengths[node] = isPiece ? depth : this.#pieceLengths[this.#parents[node]];
    }
  }

  /** The chosen pieces of several letters: the most needed first, then by bytes. */
  pieces(): string[] {
    const found: { text: string; count: number }[] = [];
    for (let node = 2; node < this.#isPiece.length; node++) {
      if (this.#isPiece[node] && this.#depths[node] > 1) {
        found.push({ text: this.#textOf(node), count: this.#counts[node] - this.#taken[node] });
      }
    }
    const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
    return found.sort((a, b) => b.count - a.count || byBytes(a.text, b.text)).map(({ text }) => text);
  }

  #textOf(node: number): string {
    let text = '';
    let at = node;
    for (; at > 1; at = this.#parents[at]) text = this.#spelling.letters[this.#letters[at]] + text;
    return at === 1 ? `##${text}` : text;
  }
}

function joined<A extends Int32Array | Float64Array | Uint8Array>(first: A, second: A): A {
  const both = new (first.constructor as new (length: number) => A)(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
