/**
 * Official examples: the two segments of google-research/electra 8a46635, build_pretraining_dataset.ExampleBuilder.
 * A document's lines are its sentences. They are gathered until they have `target` tokens or the document ends, and
 * shared out between A and B; A is trimmed to T − 2 tokens, B to what is left of T beside the special tokens.
 *
 *   target   T, or in 5 % of examples one of 5 … T: gathering stops early, nothing is trimmed to it
 *   limit    of A: ⌊(target − 3) / 2⌋, or in 10 % of examples none to speak of
 *   a sentence goes to A if A is empty, or stays below the limit with it, or (B empty, A below the limit) by a coin; else
 *   to B. So A may get a short sentence after B has begun.
 *
 * What is trimmed is discarded by the original (`official-strict`), or carried on: the unused part of each sentence, in
 * the order of the text, begins the document's next example. Then each token of a document stands in exactly one
 * example, and an example holds tokens of one document. Linear in tokens, whatever the lengths of lines.
 *
 * Differs from the original: draws are Philox at named counters, and an example's target is drawn when it begins, not
 * behind the one before, which may belong to another document. So the examples of a document depend on its lines and
 * its ordinal alone; as with the held-out split the key is constant, since they are the same for every seed of a run.
 */
import { GalvaniError } from '../../errors.js';
import { drawWords, integerOfWord, keyOfSeed } from '../../random/philox.js';
import { streams } from '../../random/streams.js';
import { type Cutter, type Document, type ExampleSink, type Opening, openings } from './cutter.js';

const shortestTarget = 5;
const shortTargetProb = 0.05;
const singleSegmentProb = 0.1;
/** The original's limit of A where there is to be no B. */
const singleSegmentLimit = 100_000;

const key = keyOfSeed(0);

export class OfficialCutter implements Cutter {
  readonly needsLines = true;
  readonly #sink: ExampleSink;
  readonly #sequenceLength: number;
  readonly #isOverflowCarried: boolean;

  /** Sentences of the example that is being made, in tokens of the shard: at most T, as all but the last have < T tokens. */
  readonly #starts: Uint32Array;
  readonly #ends: Uint32Array;
  readonly #isSecond: Uint8Array;
  #sentences = 0;
  #target = 0;

  /** What earlier examples of the document left over: a stack, what comes next in the text on top. At most T, too. */
  readonly #leftStarts: Uint32Array;
  readonly #leftEnds: Uint32Array;
  #left = 0;

  readonly #words = new Uint32Array(4);
  #ordinal = 0;
  #draws = 0;

  /** @throws badInput for T < 5, the shortest target. */
  constructor(sink: ExampleSink, sequenceLength: number, overflow: 'carried' | 'discarded') {
    if (sequenceLength < shortestTarget) {
      throw new GalvaniError({
        stage: 'examples',
        expected: `a sequence length of at least ${shortestTarget} places for official examples`,
        got: `${sequenceLength}`,
        where: 'sequenceLength',
        remedy: 'Take a longer one, or other examples.',
        kind: 'badInput',
      });
    }
    this.#sink = sink;
    this.#sequenceLength = sequenceLength;
    this.#isOverflowCarried = overflow === 'carried';
    this.#starts = new Uint32Array(sequenceLength);
    this.#ends = new Uint32Array(sequenceLength);
    this.#isSecond = new Uint8Array(sequenceLength);
    this.#leftStarts = new Uint32Array(sequenceLength);
    this.#leftEnds = new Uint32Array(sequenceLength);
  }

  /** @throws badInput for an ordinal ≥ 2³²: it is a word of the counter that draws are made at. */
  add({ shard, start, ordinal, lineEnds }: Document): void {
    if (lineEnds === undefined) throw new Error('internal: official examples need the lines of a document');
    if (ordinal >= 2 ** 32) {
      throw new GalvaniError({
        stage: 'examples',
        expected: 'at most 2^32 documents for official examples',
        got: `document ${ordinal}`,
        remedy: 'Split the dataset, or take other examples.',
        kind: 'badInput',
      });
    }
    this.#ordinal = ordinal;
    this.#draws = 0;
    let line = 0;
    let at = start;
    for (;;) {
      this.#sentences = 0;
      this.#target = this.#drawTarget();
      for (let tokens = 0; tokens < this.#target; ) {
        const i = this.#sentences;
        if (this.#left > 0) {
          this.#left--;
          this.#starts[i] = this.#leftStarts[this.#left];
          this.#ends[i] = this.#leftEnds[this.#left];
        } else if (line < lineEnds.length) {
          this.#starts[i] = at;
          at = start + lineEnds[line++];
          this.#ends[i] = at;
        } else break;
        // A line without tokens is in no example and draws no coin, in the original as here.
        const length = this.#ends[i] - this.#starts[i];
        if (length > 0) this.#sentences++;
        tokens += length;
      }
      if (this.#sentences === 0) return;
      this.#emit(shard);
    }
  }

  finish(): void {}

  #emit(shard: number): void {
    const limit = this.#drawIsBelow(singleSegmentProb) ? singleSegmentLimit : (this.#target - 3) >> 1;
    let first = 0;
    let second = 0;
    for (let i = 0; i < this.#sentences; i++) {
      const tokens = this.#ends[i] - this.#starts[i];
      const isFirst =
        first === 0 || first + tokens < limit || (second === 0 && first < limit && this.#drawIsBelow(0.5));
      if (isFirst) first += tokens;
      else second += tokens;
      this.#isSecond[i] = isFirst ? 0 : 1;
    }
    const room = this.#sequenceLength - 2;
    this.#emitPart(shard, 0, room, openings.segment);
    this.#emitPart(shard, 1, room - 1 - first, openings.second);
    this.#sink.end();
    if (!this.#isOverflowCarried) return;
    for (let i = this.#sentences - 1; i >= 0; i--) {
      if (this.#starts[i] === this.#ends[i]) continue;
      this.#leftStarts[this.#left] = this.#starts[i];
      this.#leftEnds[this.#left++] = this.#ends[i];
    }
  }

  /** The first `room` tokens of a part, as few pieces as can be; the sentences keep what is not used. */
  #emitPart(shard: number, isSecond: 0 | 1, room: number, opening: Opening): void {
    let start = 0;
    let end = 0;
    for (let i = 0; i < this.#sentences && room > 0; i++) {
      if (this.#isSecond[i] !== isSecond) continue;
      const from = this.#starts[i];
      const tokens = Math.min(room, this.#ends[i] - from);
      if (from !== end || start === end) {
        if (start < end) {
          this.#sink.piece(shard, start, end - start, opening);
          opening = openings.none;
        }
        start = from;
      }
      end = from + tokens;
      this.#starts[i] = end;
      room -= tokens;
    }
    if (start < end) this.#sink.piece(shard, start, end - start, opening);
  }

  #drawTarget(): number {
    if (!this.#drawIsBelow(shortTargetProb)) return this.#sequenceLength;
    return shortestTarget + integerOfWord(this.#drawWord(), this.#sequenceLength - shortestTarget + 1);
  }

  #drawIsBelow(prob: number): boolean {
    return this.#drawWord() < prob * 0x100000000;
  }

  #drawWord(): number {
    const lane = this.#draws % 4;
    if (lane === 0) drawWords(this.#words, key, streams.officialExamples, this.#ordinal, this.#draws);
    this.#draws++;
    return this.#words[lane];
  }
}
