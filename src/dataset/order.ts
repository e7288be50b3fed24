/**
 * The order in which examples are seen: an endless row of epochs, each a permutation of all examples, as a pure
 * function of (seed, epoch). Position p stands in epoch ⌊p / examples⌋; any position is found in O(1).
 *
 *   examples  ─ in blocks of neighbours, about 1 MiB of ids each (the last one is shorter)
 *   blocks    ─ permuted by key; an epoch's are shared out to windows of nearly equal size
 *   window    ─ all its examples permuted by key
 *
 * Reads stay sequential and the blocks in use are those of two windows, whatever the size of the corpus; a dataset that
 * fits into one window is shuffled whole.
 */
import { invert, keyedPermutation, type Permutation, permutationRounds, permute } from '../random/permutation.js';
import type { Key } from '../random/philox.js';
import { streams } from '../random/streams.js';

/** Where a position leads. Windows are counted through all epochs; `slot` is a block's place in its window. */
export interface Order {
  /** Of the position that `find` was asked for last. */
  readonly window: number;
  readonly slot: number;
  readonly block: number;
  /** Number of the example in its block. */
  readonly example: number;
  find(position: number): void;
  windowOf(position: number): number;
  /** Blocks of the window behind that of `position` that should be read by then. */
  upcoming(position: number): number;
  /** The block at a place of a window. */
  blockAt(window: number, slot: number): number;
}

/**
 * Images of `count` or fewer consecutive indices of [0, n), from `first` on, for who can make several at once; valid until
 * the next call.
 */
export type PermuteRun = (permutation: Permutation, first: number, count: number) => ArrayLike<number>;

const permuteOne: PermuteRun = (permutation, first) => [permute(permutation, first)];

export class ShuffledOrder implements Order {
  window = -1;
  slot = 0;
  block = 0;
  example = 0;
  readonly windowsPerEpoch: number;
  private readonly blocks: number;
  /** Examples that the last block lacks. */
  private readonly missing: number;
  private epoch = -1;
  private blockOrder!: Permutation;
  /** Where the short last block stands among the blocks of the epoch. */
  private shortPlace = 0;
  /** Of the window: its first block's place in the epoch, and its positions. */
  private firstPlace = 0;
  private start = 0;
  private end = 0;
  private exampleOrder!: Permutation;
  /** The blocks of the window. */
  private readonly windowOrder: Int32Array;
  /** Images of the positions from `runStart` on, as far as they are known. */
  private run: ArrayLike<number> = [];
  private runStart = 0;

  constructor(
    readonly examples: number,
    private readonly blockExamples: number,
    /** The most blocks of a window. */
    windowBlocks: number,
    private readonly key: Key,
    /** Number of the dataset in a mixture: each has an order of its own. */
    private readonly dataset = 0,
    private readonly permuteRun = permuteOne,
  ) {
    this.blocks = Math.ceil(examples / blockExamples);
    this.windowsPerEpoch = Math.ceil(this.blocks / windowBlocks);
    this.missing = this.blocks * blockExamples - examples;
    this.windowOrder = new Int32Array(Math.ceil(this.blocks / this.windowsPerEpoch));
  }

  find(position: number): void {
    if (position < this.start || position >= this.end) this.enter(position);
    let ahead = position - this.runStart;
    if (ahead < 0 || ahead >= this.run.length) {
      this.run = this.permuteRun(this.exampleOrder, position - this.start, this.end - position);
      this.runStart = position;
      ahead = 0;
    }
    let inWindow = this.run[ahead];
    const shortEnd = (this.shortPlace - this.firstPlace + 1) * this.blockExamples - this.missing;
    // Behind the short block, count as if it were whole.
    if (shortEnd > 0 && inWindow >= shortEnd) inWindow += this.missing;
    this.slot = Math.floor(inWindow / this.blockExamples);
    this.example = inWindow - this.slot * this.blockExamples;
    this.block = this.windowOrder[this.slot];
  }

  /** The example at a position. */
  at(position: number): number {
    this.find(position);
    return this.block * this.blockExamples + this.example;
  }

  windowOf(position: number): number {
    if (position < this.start || position >= this.end) this.enter(position);
    return this.window;
  }

  /** The share of the next window that this one has been gone through, so that no window begins with a burst of reading. */
  upcoming(position: number): number {
    if (position < this.start || position >= this.end) this.enter(position);
    const share = (position - this.start + 1) / (this.end - this.start);
    const next = (this.window + 1) % this.windowsPerEpoch;
    return Math.ceil(share * (this.placeOf(next + 1) - this.placeOf(next)));
  }

  blockAt(window: number, slot: number): number {
    const epoch = Math.floor(window / this.windowsPerEpoch);
    const order = epoch === this.epoch ? this.blockOrder : this.permuteBlocks(epoch);
    return permute(order, this.placeOf(window % this.windowsPerEpoch) + slot);
  }

  private enter(position: number): void {
    const epoch = Math.floor(position / this.examples);
    if (epoch !== this.epoch) {
      this.epoch = epoch;
      this.blockOrder = this.permuteBlocks(epoch);
      this.shortPlace = invert(this.blockOrder, this.blocks - 1);
    }
    const offset = position - epoch * this.examples;
    let inEpoch = Math.min(Math.floor((offset * this.windowsPerEpoch) / this.examples), this.windowsPerEpoch - 1);
    while (this.examplesBefore(inEpoch) > offset) inEpoch--;
    while (this.examplesBefore(inEpoch + 1) <= offset) inEpoch++;
    this.window = epoch * this.windowsPerEpoch + inEpoch;
    this.firstPlace = this.placeOf(inEpoch);
    this.start = epoch * this.examples + this.examplesBefore(inEpoch);
    this.end = epoch * this.examples + this.examplesBefore(inEpoch + 1);
    const blocks = this.placeOf(inEpoch + 1) - this.firstPlace;
    for (let slot = 0; slot < blocks; slot++) this.windowOrder[slot] = permute(this.blockOrder, this.firstPlace + slot);
    this.run = [];
    const firstDraw = this.dataset * 2 ** 40 + inEpoch * permutationRounds;
    this.exampleOrder = keyedPermutation(this.end - this.start, this.key, streams.exampleOrder, epoch, firstDraw);
  }

  private permuteBlocks(epoch: number): Permutation {
    return keyedPermutation(this.blocks, this.key, streams.blockOrder, epoch, this.dataset * permutationRounds);
  }

  /** The first block of a window, as a place among the permuted blocks of the epoch. */
  private placeOf(window: number): number {
    return Math.floor((window * this.blocks) / this.windowsPerEpoch);
  }

  /** Examples of the epoch before a window. */
  private examplesBefore(window: number): number {
    const places = this.placeOf(window);
    return places * this.blockExamples - (places > this.shortPlace ? this.missing : 0);
  }
}

/** One pass in the order of the corpus. */
export class CorpusOrder implements Order {
  window = 0;
  slot = 0;
  block = 0;
  example = 0;

  constructor(
    private readonly blockExamples: number,
    private readonly windowBlocks: number,
  ) {}

  find(position: number): void {
    this.block = Math.floor(position / this.blockExamples);
    this.example = position - this.block * this.blockExamples;
    this.window = Math.floor(this.block / this.windowBlocks);
    this.slot = this.block - this.window * this.windowBlocks;
  }

  windowOf(position: number): number {
    return Math.floor(position / (this.blockExamples * this.windowBlocks));
  }

  upcoming(): number {
    return 0;
  }

  blockAt(window: number, slot: number): number {
    return window * this.windowBlocks + slot;
  }
}
