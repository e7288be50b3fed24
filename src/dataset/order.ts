/**
 * The order in which examples are seen: an endless row of epochs, each a permutation of all examples, as a pure
 * function of (seed, epoch). Position p stands in epoch ⌊p / examples⌋; any position is found in O(1).
 *
 *   examples  ─ cut into blocks of neighbours, about 1 MiB of ids each (the last one is shorter)
 *   blocks    ─ permuted by key; each 32 in a row are a window
 *   window    ─ all its examples permuted by key
 *
 * Reads stay sequential and the tokens in use bounded by two windows, whatever the size of the corpus; a dataset
 * smaller than a window is shuffled whole.
 */
import { invert, keyedPermutation, type Permutation, permutationRounds, permute } from '../random/permutation.js';
import type { Key } from '../random/philox.js';
import { streams } from '../random/streams.js';

/** 1 MiB of uint16 ids, when every example is full. */
const blockTokens = 2 ** 19;
/** 32 MiB of ids; at T = 128, some 130,000 examples. */
export const windowBlocks = 32;

/** Examples of a block, from the most tokens that one can hold, so that no block is larger than was meant. */
export function examplesPerBlock(windowTokens: number): number {
  return Math.max(1, Math.floor(blockTokens / windowTokens));
}

export class ExampleOrder {
  readonly blocks: number;
  private epoch = -1;
  private blockOrder!: Permutation;
  /** Where the short last block stands among the blocks of the epoch. */
  private shortSlot = 0;
  /** Examples that the last block lacks. */
  private readonly missing: number;
  private window = -1;
  private windowStart = 0;
  private windowEnd = 0;
  private exampleOrder!: Permutation;

  constructor(
    readonly examples: number,
    readonly blockExamples: number,
    private readonly key: Key,
  ) {
    this.blocks = Math.ceil(examples / blockExamples);
    this.missing = this.blocks * blockExamples - examples;
  }

  /** The example at a position of the endless row. */
  at(position: number): number {
    const epoch = Math.floor(position / this.examples);
    if (epoch !== this.epoch) this.enterEpoch(epoch);
    const offset = position - epoch * this.examples;
    if (offset < this.windowStart || offset >= this.windowEnd) this.enterWindow(offset);
    let inWindow = permute(this.exampleOrder, offset - this.windowStart);
    const shortEnd = (this.shortSlot - this.window * windowBlocks + 1) * this.blockExamples - this.missing;
    // Behind the short block, count as if it were whole.
    if (shortEnd > 0 && inWindow >= shortEnd) inWindow += this.missing;
    const slot = this.window * windowBlocks + Math.floor(inWindow / this.blockExamples);
    return permute(this.blockOrder, slot) * this.blockExamples + (inWindow % this.blockExamples);
  }

  /**
   * Blocks of the next window that should be read by the time of `position`: the share of them that this window has been
   * gone through, so that reading is spread evenly and no window begins with a burst of it.
   */
  upcomingBlocks(position: number): number[] {
    this.at(position);
    const gone = position - this.epoch * this.examples - this.windowStart + 1;
    const share = gone / (this.windowEnd - this.windowStart);
    let order = this.blockOrder;
    let first = (this.window + 1) * windowBlocks;
    if (first >= this.blocks) {
      order = this.permuteBlocks(this.epoch + 1);
      first = 0;
    }
    const count = Math.ceil(share * Math.min(windowBlocks, this.blocks - first));
    return Array.from({ length: count }, (_, i) => permute(order, first + i));
  }

  private enterEpoch(epoch: number): void {
    this.epoch = epoch;
    this.blockOrder = this.permuteBlocks(epoch);
    this.shortSlot = invert(this.blockOrder, this.blocks - 1);
    this.windowEnd = 0;
  }

  private permuteBlocks(epoch: number): Permutation {
    return keyedPermutation(this.blocks, this.key, streams.blockOrder, epoch);
  }

  private enterWindow(offset: number): void {
    // The short block moves a border by less than one block, so the window is this one or the next.
    this.window = Math.floor(offset / (windowBlocks * this.blockExamples));
    if (this.examplesBefore(this.window + 1) <= offset) this.window++;
    this.windowStart = this.examplesBefore(this.window);
    this.windowEnd = this.examplesBefore(this.window + 1);
    const size = this.windowEnd - this.windowStart;
    const place = this.window * permutationRounds;
    this.exampleOrder = keyedPermutation(size, this.key, streams.exampleOrder, this.epoch, place);
  }

  /** Examples of the epoch before a window. */
  private examplesBefore(window: number): number {
    const slots = Math.min(window * windowBlocks, this.blocks);
    return slots * this.blockExamples - (slots > this.shortSlot ? this.missing : 0);
  }
}
