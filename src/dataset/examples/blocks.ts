/**
 * Examples are stored and read a block of neighbours at a time. A block says which tokens of the shards it needs, as few
 * runs of them, and where in these each example's pieces stand:
 *
 *   [0] examples n │ [1] runs m │ [2] pieces p │ [3] tokens of all runs
 *   runs    (m, 5) shard, first token, tokens, byte of the file where they begin: low and high word
 *   firsts  (n + 1) first piece of each example
 *   pieces  (p, 2) where it begins in the tokens of all runs; tokens | opening · 2³⁰
 *
 * All words are u32, little-endian. The kernel assembly/batch/gather.ts walks the pieces where they lie.
 */
import { Column } from '../column.js';
import type { ShardPiece } from '../dataset.js';
import { type ExampleSink, type Opening, openings } from './cutter.js';

export const headWords = 4;
export const runWords = 5;
export const pieceWords = 2;
export const openingShift = 30;

/** Tokens between two pieces that are read along with them: a read of its own costs more. */
const mostGapTokens = 512;

/** 1 MiB of uint16 ids, when every example is full. */
const blockTokens = 2 ** 19;

/** Examples of a block, from the most tokens that one can hold, so that no block is larger than was meant. */
export function examplesPerBlock(sequenceLength: number): number {
  return Math.max(1, Math.floor(blockTokens / (sequenceLength - 2)));
}

/** Takes examples, and makes a block of every `blockExamples` of them; `take` hands the finished ones over. */
export class BlockBuilder implements ExampleSink {
  /** Of everything so far. */
  examples = 0;
  tokens = 0;
  /** The most of one example, and of one block. */
  segments = 0;
  largestBlockWords = 0;
  largestBlockTokens = 0;
  private readonly shard = new Column(new Uint32Array(1024));
  private readonly start = new Column(new Uint32Array(1024));
  private readonly word = new Column(new Uint32Array(1024));
  private readonly firsts = new Column(new Uint32Array(1024));
  /** Record batches of the shards so far. */
  private readonly batches: ShardPiece[][] = [];
  private segmentsNow = 0;
  private isSorted = true;
  private finished: Uint32Array<ArrayBuffer>[] = [];

  constructor(
    private readonly blockExamples: number,
    private readonly idBytes: 2 | 4,
  ) {
    this.firsts.push(0);
  }

  /** The next shard's record batches: pieces of it may come from now on. */
  addShard(batches: ShardPiece[]): void {
    this.batches.push(batches);
  }

  piece(shard: number, start: number, tokens: number, opening: Opening): void {
    const last = this.shard.length - 1;
    if (last >= 0 && (shard < this.shard.at(last) || (shard === this.shard.at(last) && start < this.start.at(last)))) {
      this.isSorted = false;
    }
    this.shard.push(shard);
    this.start.push(start);
    this.word.push((tokens | (opening << openingShift)) >>> 0);
    this.tokens += tokens;
    if (opening === openings.segment) this.segmentsNow++;
  }

  end(): void {
    this.firsts.push(this.shard.length);
    this.examples++;
    if (this.segmentsNow > this.segments) this.segments = this.segmentsNow;
    this.segmentsNow = 0;
    if (this.firsts.length > this.blockExamples) this.close();
  }

  /** The last block, which may be shorter. */
  finish(): void {
    if (this.firsts.length > 1) this.close();
  }

  take(): Uint32Array<ArrayBuffer>[] {
    const taken = this.finished;
    this.finished = [];
    return taken;
  }

  private close(): void {
    const pieces = this.shard.length;
    const runs = new Column(new Uint32Array(64));
    const places = new Uint32Array(pieces);
    const tokens = this.layRuns(runs, places);
    const examples = this.firsts.length - 1;
    const block = new Uint32Array(headWords + runs.length + examples + 1 + pieceWords * pieces);
    block.set([examples, runs.length / runWords, pieces, tokens]);
    block.set(runs.view(), headWords);
    block.set(this.firsts.view(), headWords + runs.length);
    let at = headWords + runs.length + examples + 1;
    for (let i = 0; i < pieces; i++) {
      block[at++] = places[i];
      block[at++] = this.word.at(i);
    }
    this.finished.push(block);
    this.largestBlockWords = Math.max(this.largestBlockWords, block.length);
    this.largestBlockTokens = Math.max(this.largestBlockTokens, tokens);
    for (const column of [this.shard, this.start, this.word]) column.length = 0;
    this.firsts.length = 1;
    this.isSorted = true;
  }

  /** Where each piece stands among the tokens of the runs. @returns how many these are */
  private layRuns(runs: Column<Uint32Array>, places: Uint32Array): number {
    let total = 0;
    let runShard = -1;
    let runStart = 0;
    let runEnd = 0;
    let batch: ShardPiece | undefined;
    const closeRun = () => {
      if (batch === undefined) return;
      const byte = batch.fileOffset + this.idBytes * (runStart - batch.firstToken);
      runs.append([runShard, runStart, runEnd - runStart, byte >>> 0, Math.floor(byte / 2 ** 32)]);
      total += runEnd - runStart;
    };
    for (const i of this.inOrder()) {
      const shard = this.shard.at(i);
      const start = this.start.at(i);
      const end = start + tokensOf(this.word.at(i));
      const goesOn =
        batch !== undefined &&
        shard === runShard &&
        start - runEnd <= mostGapTokens &&
        end <= batch.firstToken + batch.tokens;
      if (!goesOn) {
        closeRun();
        runShard = shard;
        runStart = start;
        batch = findBatch(this.batches[shard], start);
      }
      runEnd = end;
      places[i] = total + start - runStart;
    }
    closeRun();
    return total;
  }

  /** The pieces as they lie in the corpus. */
  private inOrder(): ArrayLike<number> & Iterable<number> {
    const order = Uint32Array.from({ length: this.shard.length }, (_, i) => i);
    if (this.isSorted) return order;
    const key = Float64Array.from(order, (i) => this.shard.at(i) * 2 ** 32 + this.start.at(i));
    return order.sort((a, b) => key[a] - key[b]);
  }
}

export function tokensOf(pieceWord: number): number {
  return pieceWord & (2 ** openingShift - 1);
}

function findBatch(batches: ShardPiece[], token: number): ShardPiece {
  let low = 0;
  let high = batches.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (batches[middle].firstToken <= token) low = middle;
    else high = middle;
  }
  return batches[low];
}
