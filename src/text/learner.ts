/**
 * The top-down WordPiece learner that BERT's vocabularies came from, made deterministic and exact in size.
 *
 * Each round counts substrings of the words (from every place in round 1, later from where the last round's pieces begin),
 * then goes from the longest to the shortest: a substring whose count reaches the threshold becomes a piece, and its count is
 * taken from all its prefixes, which it will serve no more. Four rounds a threshold; binary search finds the largest threshold
 * that still gives at least `size` pieces; the rarest of those are dropped until `size` are left.
 *
 * All substrings live in one trie (word-initial and continuing ones under two roots). A count is added at the end of each
 * suffix only and summed towards the root, so that a round is linear in the nodes. Memory: about 60 bytes a distinct substring.
 *
 * Source: tensorflow/text 35a4504, tools/wordpiece_vocab/wordpiece_tokenizer_learner_lib.py. Differs: its code takes the count
 * of a substring from its prefixes also where the substring is not kept, its documentation only where it is kept, as here
 * (Brown corpus, pieces a word at 1,024 / 4,096 / 8,192 pieces: 1.82 / 1.33 / 1.17 by its code, 1.72 / 1.29 / 1.16 here); ties
 * are broken by bytes; the size is met exactly; the alphabet is chosen by coverage, not as the 1,000 commonest characters.
 */
import { GalvaniError } from '../errors.js';
import { specialNames } from './vocabulary.js';
import type { WordCount } from './word-counts.js';

const rounds = 4;
/** Words longer than this (in code points) are not learned from, and no piece is longer. */
const maxPieceLength = 50;
/** The rarest distinct words beyond this many are not learned from; they bound the trie's memory. */
const maxWords = 1_000_000;
/** The alphabet holds the commonest characters that together make up this much of the text. */
const alphabetCoverage = 0.9999;

export interface LearnedVocabulary {
  /** [PAD] [UNK] [CLS] [SEP] [MASK], the alphabet by bytes, then the rest by count (descending), then by bytes. */
  pieces: string[];
  /** Distinct characters of the alphabet. */
  alphabetSize: number;
  /** Count that a piece had to reach. */
  threshold: number;
}

/**
 * Learn exactly `size` pieces.
 * @param words in their total order (WordCounts.sorted)
 * @throws wrongUse when the special tokens and the alphabet need more than `size`; badInput when the words yield fewer.
 */
export function learnVocabulary(words: readonly WordCount[], size: number): LearnedVocabulary {
  const texts = words.map(({ word, count }) => ({ characters: charactersOf(word), count }));
  const alphabet = chooseAlphabet(texts);
  const kept = texts
    .filter(({ characters }) => characters.length <= maxPieceLength && characters.every((c) => alphabet.has(c)))
    .slice(0, maxWords);
  const trie = new SubstringTrie(kept);
  const fixed = specialNames.length + trie.alphabetNodes.length;
  if (size < fixed) throw tooSmall(size, fixed, trie.alphabetNodes.length);

  let threshold = 1;
  let best = trie.learn(threshold);
  if (specialNames.length + best.length < size) throw tooLarge(size, specialNames.length + best.length);
  // Invariant: `threshold` gives enough pieces, `above` does not.
  for (let above = trie.largestCount + 1; above - threshold > 1; ) {
    const middle = Math.floor((threshold + above) / 2);
    const pieces = trie.learn(middle);
    if (specialNames.length + pieces.length >= size) {
      threshold = middle;
      best = pieces;
    } else {
      above = middle;
    }
  }
  const isLetter = new Set(trie.alphabetNodes);
  const byBytes = (a: Piece, b: Piece) => Buffer.compare(Buffer.from(a.text), Buffer.from(b.text));
  const letters = best.filter(({ node }) => isLetter.has(node)).sort(byBytes);
  const others = best.filter(({ node }) => !isLetter.has(node)).sort((a, b) => b.count - a.count || byBytes(a, b));
  const pieces = [...letters, ...others].map(({ text }) => text);
  return {
    pieces: [...specialNames, ...pieces].slice(0, size),
    alphabetSize: new Set(kept.flatMap(({ characters }) => characters)).size,
    threshold,
  };
}

interface Text {
  characters: string[];
  count: number;
}

interface Piece {
  node: number;
  text: string;
  count: number;
}

const charactersOf = (byteString: string): string[] => [...Buffer.from(byteString, 'latin1').toString('utf8')];

/** The commonest characters up to the coverage; of equally common ones, the first by bytes. */
function chooseAlphabet(texts: readonly Text[]): Set<string> {
  const counts = new Map<string, number>();
  let total = 0;
  for (const { characters, count } of texts) {
    total += characters.length * count;
    for (const character of characters) counts.set(character, (counts.get(character) ?? 0) + count);
  }
  const order = [...counts].sort((a, b) => b[1] - a[1] || Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0])));
  const alphabet = new Set<string>();
  let covered = 0;
  for (const [character, count] of order) {
    if (covered >= alphabetCoverage * total) break;
    alphabet.add(character);
    covered += count;
  }
  return alphabet;
}

/** Every substring of the words. Node 0 is the root of substrings that begin a word, node 1 of the others (##). */
class SubstringTrie {
  /**
   * The nodes of single characters: always pieces, so that every word over the alphabet has some. A character that stands in
   * any longer word is one in both forms; one that only stands alone (punctuation) needs no ## form.
   */
  readonly alphabetNodes: number[] = [];

  readonly #texts: readonly Text[];
  readonly #parent: number[] = [-1, -1];
  readonly #codePoint: number[] = [-1, -1];
  readonly #depth: number[] = [0, 0];
  /** Nodes of the whole suffixes of each word, one for each place in it; word w's begin at firstSuffix[w]. */
  readonly #suffixes: number[] = [];
  readonly #firstSuffix: number[] = [];
  /** Children by (parent, code point), 0 = free; at most half full. A Map holds 2²⁴ of them, and takes twice the memory. */
  #slots = new Int32Array(1 << 16);
  readonly #counts: Float64Array;
  /** What pieces below a node took from it. */
  readonly #taken: Float64Array;
  readonly #isPiece: Uint8Array;
  /** The longest piece that is a prefix of the node's substring, the node itself included; −1: none. */
  readonly #longestPiece: Int32Array;

  constructor(texts: readonly Text[]) {
    this.#texts = texts;
    const alphabet = new Set<number>();
    for (const { characters } of texts) {
      this.#firstSuffix.push(this.#suffixes.length);
      const codePoints = characters.map((character) => character.codePointAt(0) as number);
      for (let start = 0; start < codePoints.length; start++) {
        let node = start === 0 ? 0 : 1;
        for (let end = start; end < codePoints.length; end++) node = this.#findOrAdd(node, codePoints[end]);
        this.#suffixes.push(node);
        alphabet.add(this.#findOrAdd(0, codePoints[start]));
        if (codePoints.length > 1) alphabet.add(this.#findOrAdd(1, codePoints[start]));
      }
    }
    this.alphabetNodes.push(...alphabet);
    const nodes = this.#parent.length;
    this.#counts = new Float64Array(nodes);
    this.#taken = new Float64Array(nodes);
    this.#isPiece = new Uint8Array(nodes);
    this.#longestPiece = new Int32Array(nodes);
  }

  #findOrAdd(parent: number, codePoint: number): number {
    const slot = this.#slotOf(parent, codePoint);
    if (this.#slots[slot] !== 0) return this.#slots[slot];
    const node = this.#parent.push(parent) - 1;
    this.#codePoint.push(codePoint);
    this.#depth.push(this.#depth[parent] + 1);
    this.#slots[slot] = node;
    if (2 * node > this.#slots.length) this.#growSlots();
    return node;
  }

  /** Where the child is, or belongs: linear probing. */
  #slotOf(parent: number, codePoint: number): number {
    const mask = this.#slots.length - 1;
    const mixed = Math.imul(parent ^ Math.imul(codePoint, 0x85ebca6b), 0x9e3779b1);
    for (let slot = (mixed ^ (mixed >>> 15)) & mask; ; slot = (slot + 1) & mask) {
      const node = this.#slots[slot];
      if (node === 0 || (this.#parent[node] === parent && this.#codePoint[node] === codePoint)) return slot;
    }
  }

  #growSlots(): void {
    this.#slots = new Int32Array(2 * this.#slots.length);
    for (let node = 2; node < this.#parent.length; node++) {
      this.#slots[this.#slotOf(this.#parent[node], this.#codePoint[node])] = node;
    }
  }

  /** No substring occurs more often than this. */
  get largestCount(): number {
    return this.#texts.reduce((sum, { characters, count }) => sum + characters.length * count, 0);
  }

  /** The pieces of a threshold, in no particular order. */
  learn(threshold: number): Piece[] {
    for (let round = 0; round < rounds; round++) {
      this.#countSuffixes(round === 0);
      this.#choosePieces(threshold);
    }
    const pieces: Piece[] = [];
    for (let node = 2; node < this.#isPiece.length; node++) {
      if (this.#isPiece[node]) {
        pieces.push({ node, text: this.#textOf(node), count: this.#counts[node] - this.#taken[node] });
      }
    }
    return pieces;
  }

  /** Put each word's count at the ends of its suffixes: all of them, or those where one of its present pieces begins. */
  #countSuffixes(all: boolean): void {
    this.#counts.fill(0);
    this.#texts.forEach(({ characters, count }, word) => {
      const first = this.#firstSuffix[word];
      for (let start = 0; start < characters.length; ) {
        const suffix = this.#suffixes[first + start];
        this.#counts[suffix] += count;
        start += all ? 1 : this.#depth[this.#longestPiece[suffix]];
      }
    });
    // A child is made after its parent: backwards, every count is whole before it is added to its parent's.
    for (let node = this.#counts.length - 1; node > 1; node--) {
      this.#counts[this.#parent[node]] += this.#counts[node];
    }
  }

  #choosePieces(threshold: number): void {
    this.#taken.fill(0);
    this.#isPiece.fill(0);
    for (let node = this.#counts.length - 1; node > 1; node--) {
      const isPiece = this.#counts[node] - this.#taken[node] >= threshold;
      if (isPiece) this.#isPiece[node] = 1;
      this.#taken[this.#parent[node]] += isPiece ? this.#counts[node] : this.#taken[node];
    }
    for (const node of this.alphabetNodes) this.#isPiece[node] = 1;
    this.#longestPiece.fill(-1, 0, 2);
    for (let node = 2; node < this.#isPiece.length; node++) {
      this.#longestPiece[node] = this.#isPiece[node] ? node : this.#longestPiece[this.#parent[node]];
    }
  }

  #textOf(node: number): string {
    let text = '';
    let at = node;
    for (; at > 1; at = this.#parent[at]) text = String.fromCodePoint(this.#codePoint[at]) + text;
    return at === 1 ? `##${text}` : text;
  }
}

function tooSmall(size: number, fixed: number, letters: number): GalvaniError {
  return new GalvaniError({
    stage: 'vocab',
    expected: `a size of at least ${fixed} pieces (${specialNames.length} special tokens, ${letters} for the alphabet)`,
    got: String(size),
    where: '--size',
    remedy: 'Raise --size.',
    kind: 'wrongUse',
  });
}

function tooLarge(size: number, most: number): GalvaniError {
  return new GalvaniError({
    stage: 'vocab',
    expected: `enough text for ${size} pieces`,
    got: `text that yields ${most}`,
    where: '--size',
    remedy: `Give more text, or a size of at most ${most}.`,
    kind: 'badInput',
  });
}
