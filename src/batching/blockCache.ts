/**
 * The blocks of examples of one dataset that are at hand, in memory that all workers share: whoever needs a block first
 * reads it, for all. There is room for the blocks of two windows of the order, the one in use and the next; where all
 * blocks fit, each is read once for good.
 *
 * A place's state says what it holds: 2 · (window + 1) while a block of that window is being read, and one more when it is
 * there; states only grow. A place is overwritten when no worker is at the window before last any more. Each worker says
 * which window its step begins in, before it does anything else; since a worker only ever waits for earlier steps than
 * its own, they cannot wait for each other.
 */
import { crc32 } from 'node:zlib';
import { headWords, pieceWords, runWords } from '../dataset/examples/blocks.js';
import { FileReader } from '../dataset/fileReader.js';
import type { Order } from '../dataset/order.js';
import { GalvaniError } from '../errors.js';
import type { BatchKernels } from './kernels.js';
import { countBlocks, type Source, type SourceLayout } from './plan.js';
import { type Ring, sleepMs } from './ring.js';

export class BlockCache {
  private readonly reader = new FileReader();
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  /** Every block has a place of its own. */
  private readonly holdsAll: boolean;

  constructor(
    private readonly source: Source,
    private readonly layout: SourceLayout,
    private readonly order: Order,
    private readonly workers: number,
    private readonly vocabularySize: number,
    private readonly kernels: BatchKernels,
    memory: WebAssembly.Memory,
    private readonly ring: Ring,
  ) {
    this.words = new Int32Array(memory.buffer);
    this.bytes = new Uint8Array(memory.buffer);
    this.holdsAll = source.cachedBlocks === countBlocks(source.index);
  }

  /** What a worker is about to do needs no window before this one. */
  announce(worker: number, window: number): void {
    const at = this.windowAt(worker);
    if (Atomics.exchange(this.words, at, window) !== window) Atomics.notify(this.words, at);
  }

  /** The byte address of a block; it is read, or waited for, if it is not there. @throws Stopped */
  get(window: number, slot: number, block: number): number {
    const place = this.placeOf(window, slot, block);
    const loaded = this.loadedState(window);
    for (;;) {
      const state = Atomics.load(this.words, this.stateAt(place));
      if (state === loaded) return this.addressOf(place);
      const behind = this.workerBehind(window);
      if (state === loaded - 1) this.sleep(this.stateAt(place), state);
      else if (behind) this.sleep(behind.at, behind.window);
      else this.claim(place, state, loaded, block);
    }
  }

  /** Read the next window's blocks that are due, as far as their places are free and nobody else does. */
  readAhead(position: number): void {
    if (this.holdsAll) return;
    const window = this.order.windowOf(position) + 1;
    const due = this.order.upcoming(position);
    if (this.workerBehind(window)) return;
    const loaded = this.loadedState(window);
    for (let slot = 0; slot < due; slot++) {
      const place = this.placeOf(window, slot, 0);
      const state = Atomics.load(this.words, this.stateAt(place));
      if (state < loaded - 1) this.claim(place, state, loaded, this.order.blockAt(window, slot));
    }
  }

  /** Where in the shards the first token of an example lies, for a message. */
  describe(address: number, example: number): string {
    const head = this.indexAt(address) / 4;
    const firsts = head + headWords + runWords * this.words[head + 1];
    const piece = this.words[firsts + this.words[head] + 1 + pieceWords * this.words[firsts + example]];
    let before = 0;
    for (let run = 0; ; run++) {
      const [shard, first, tokens] = this.words.subarray(head + headWords + runWords * run);
      if (piece < before + tokens) return `${this.source.index.shardFiles[shard]}, token ${first + piece - before}`;
      before += tokens;
    }
  }

  /** Where the index's part of a block begins. */
  indexAt(address: number): number {
    return address + this.layout.indexAt;
  }

  close(): void {
    this.reader.close();
  }

  private claim(place: number, state: number, loaded: number, block: number): void {
    if (Atomics.compareExchange(this.words, this.stateAt(place), state, loaded - 1) !== state) return;
    this.load(this.addressOf(place), block);
    Atomics.store(this.words, this.stateAt(place), loaded);
    Atomics.notify(this.words, this.stateAt(place));
  }

  private load(address: number, block: number): void {
    const { file, table, idBytes, shardFiles } = this.source.index;
    const at = address + this.layout.indexAt;
    this.reader.read(file, table.offsets[block], 4 * table.words[block], this.bytes, at);
    const index = this.words.subarray(at / 4, at / 4 + table.words[block]);
    if (crc32(new Uint8Array(index.buffer, at, 4 * table.words[block])) !== table.crcs[block])
      throw this.damaged(block);
    let to = address;
    for (let run = 0; run < index[1]; run++) {
      const [shard, first, tokens, low, high] = index.subarray(headWords + runWords * run);
      this.reader.read(shardFiles[shard], (low >>> 0) + 2 ** 32 * high, tokens * idBytes, this.bytes, to);
      this.checkIds(shardFiles[shard], first, tokens, to);
      to += tokens * idBytes;
    }
  }

  /** Engines address their tables by these ids without a check of their own. */
  private checkIds(file: string, first: number, tokens: number, address: number): void {
    const largest = this.kernels.largestId(address, tokens, this.source.index.idBytes) >>> 0;
    if (largest < this.vocabularySize) return;
    throw new GalvaniError({
      stage: 'shard',
      expected: `ids below ${this.vocabularySize}`,
      got: String(largest),
      where: `${file}, tokens ${first} to ${first + tokens}`,
      remedy: 'The file is damaged: run "galvani prepare" again, or bring it back from a copy.',
      kind: 'badInput',
    });
  }

  private damaged(block: number): GalvaniError {
    return new GalvaniError({
      stage: 'examples',
      expected: `the bytes of block ${block} that were written`,
      got: 'others',
      where: this.source.index.file,
      remedy: 'Remove the file: it is made again from the dataset.',
      kind: 'badInput',
    });
  }

  /** A worker that may need the window whose places this one takes: where it says which it is at, and which that is. */
  private workerBehind(window: number): { at: number; window: number } | undefined {
    if (this.holdsAll) return undefined;
    for (let worker = 0; worker < this.workers; worker++) {
      const at = this.windowAt(worker);
      const itsWindow = Atomics.load(this.words, at);
      if (itsWindow < window - 1) return { at, window: itsWindow };
    }
    return undefined;
  }

  /** Word index of the window that a worker is at. */
  private windowAt(worker: number): number {
    return this.layout.windows / 4 + worker;
  }

  private placeOf(window: number, slot: number, block: number): number {
    return this.holdsAll ? block : (window % 2) * this.source.windowBlocks + slot;
  }

  private loadedState(window: number): number {
    return this.holdsAll ? 3 : 2 * (window + 1) + 1;
  }

  private stateAt(place: number): number {
    return this.layout.states / 4 + place;
  }

  private addressOf(place: number): number {
    return this.layout.blocks + place * this.layout.blockBytes;
  }

  /** Until another worker changes a word. @throws Stopped */
  private sleep(at: number, word: number): void {
    this.ring.throwIfStopped();
    Atomics.wait(this.words, at, word, sleepMs);
  }
}
