/**
 * The blocks of examples that a worker has at hand, in its part of the shared memory: the ids of a block's examples
 * without gaps. Bounded; the block that was used longest ago makes room.
 */
import { listRuns, type TokenRun } from '../dataset/examples.js';
import { TokenReader } from '../dataset/tokens.js';
import { GalvaniError } from '../errors.js';
import type { BatchKernels } from './kernels.js';
import type { BatchPlan, MemoryLayout } from './plan.js';

interface CachedBlock {
  block: number;
  /** Byte address of its ids. */
  address: number;
  /** (examples + 1) first token of each example, in tokens of the block. */
  starts: Int32Array;
  lastUse: number;
}

export class BlockCache {
  private readonly reader: TokenReader;
  private readonly byBlock = new Map<number, CachedBlock>();
  private readonly bytes: Uint8Array;
  private uses = 0;

  constructor(
    private readonly plan: BatchPlan,
    private readonly layout: MemoryLayout,
    private readonly address: number,
    private readonly kernels: BatchKernels,
    memory: WebAssembly.Memory,
  ) {
    this.bytes = new Uint8Array(memory.buffer);
    this.reader = new TokenReader(plan.index.shards, plan.index.idBytes);
  }

  /** The block, read if it is not there yet. It stays until as many others as there is room for have been used. */
  get(block: number): CachedBlock {
    const cached = this.byBlock.get(block) ?? this.load(block);
    cached.lastUse = ++this.uses;
    return cached;
  }

  close(): void {
    this.reader.close();
  }

  private load(block: number): CachedBlock {
    const cached = this.makeRoom();
    const { index } = this.plan;
    const first = block * this.layout.blockExamples;
    const count = Math.min(this.layout.blockExamples, index.examples - first);
    let at = cached.address;
    for (const run of listRuns(index, first, count, cached.starts)) {
      const end = this.reader.read(run, this.bytes, at);
      this.checkIds(run, at);
      at = end;
    }
    cached.block = block;
    this.byBlock.set(block, cached);
    return cached;
  }

  /** Engines address their tables by these ids without a check of their own. */
  private checkIds({ shard, startToken, tokens }: TokenRun, address: number): void {
    const largest = this.kernels.largestId(address, tokens, this.plan.index.idBytes) >>> 0;
    if (largest < this.plan.vocabularySize) return;
    throw new GalvaniError({
      stage: 'shard',
      expected: `ids below ${this.plan.vocabularySize}`,
      got: String(largest),
      where: `${this.plan.index.shards[shard].path}, tokens ${startToken} to ${startToken + tokens}`,
      remedy: 'The file is damaged: run "galvani prepare" again, or bring it back from a copy.',
      kind: 'badInput',
    });
  }

  private makeRoom(): CachedBlock {
    if (this.byBlock.size < this.layout.cachedBlocks) {
      const address = this.address + this.byBlock.size * this.layout.blockBytes;
      return { block: -1, address, starts: new Int32Array(this.layout.blockExamples + 1), lastUse: 0 };
    }
    let oldest: CachedBlock | undefined;
    for (const cached of this.byBlock.values()) {
      if (oldest === undefined || cached.lastUse < oldest.lastUse) oldest = cached;
    }
    this.byBlock.delete(oldest!.block);
    return oldest!;
  }
}
