/**
 * Counts pieces in their contexts, one partition of the contexts at a time: every partition goes through the shards
 * anew, so memory is that of one partition whatever the corpus, and nothing is written to the disk.
 *
 * A partition is the contexts whose code begins with certain bits. One that has more different (context, piece) than
 * fit is counted again in two halves, so a bad guess of how many there are costs time and changes nothing: what comes
 * out is in the order of the codes, whichever way they were divided.
 *
 * Of a corpus of more than `mostTokens`, stretches of 2¹⁸ tokens are counted that are spread evenly over it.
 */
import { readFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { damaged } from '../../dataset/damage.js';
import { openShards, type Shard } from '../../dataset/dataset.js';
import type { Manifest } from '../../dataset/manifest.js';
import { readAt } from '../../dataset/shard.js';
import { readHeldOut } from '../../dataset/split.js';
import { GalvaniError } from '../../errors.js';
import type { SpecialIds } from '../plan.js';

/** Ids below 2²⁰: a context and a piece are one number of 63 bits, and 2²¹ − 1 is no id. */
export const mostPieces = 1 << 20;

const stretchTokens = 1 << 18;
/** 2²³ slots of 16 bytes, at most half of them used: 128 MiB a thread. */
const defaultSlotBits = 23;
const defaultMostTokens = 2 ** 28;

export interface CountingPlan {
  directory: string;
  manifest: Manifest;
  special: SpecialIds;
  validationFraction: number;
  slotBits: number;
  mostTokens: number;
  /** There are 2^prefixBits partitions to begin with. */
  prefixBits: number;
  module: WebAssembly.Module;
}

/** The contexts whose code, of 42 bits, begins with the `bits` bits of `prefix`. */
export interface Partition {
  bits: number;
  prefix: number;
  /** Pieces that stand fewer times in a context are left out. */
  leastCount: number;
}

export type CountingLimits = Partial<Pick<CountingPlan, 'slotBits' | 'mostTokens' | 'prefixBits'>>;

export function planCounting(
  what: Pick<CountingPlan, 'directory' | 'manifest' | 'special' | 'validationFraction'>,
  { slotBits, mostTokens = defaultMostTokens, prefixBits }: CountingLimits = {},
): CountingPlan {
  const tokens = Math.max(1, Math.min(what.manifest.counts.tokens, mostTokens));
  // A token brings three entries at most; in 10 million tokens of prose it brought 0.5.
  const bits = slotBits ?? Math.min(defaultSlotBits, Math.ceil(Math.log2(6 * tokens)) + 1);
  return {
    ...what,
    slotBits: bits,
    mostTokens,
    prefixBits: prefixBits ?? Math.max(0, Math.ceil(Math.log2(0.6 * tokens)) - (bits - 1)),
    module: new WebAssembly.Module(readFileSync(new URL('../../../assembly/ngram.wasm', import.meta.url))),
  };
}

interface NgramKernels {
  memory: WebAssembly.Memory;
  largestId(source: number, tokens: number, idBytes: number): number;
  startPartition(at: number, bits: number, prefixBits: number, prefix: number): void;
  countStretch(
    ids: number,
    idBytes: number,
    first: number,
    last: number,
    offsets: number,
    rows: number,
    held: number,
    cls: number,
    sep: number,
    mask: number,
    pad: number,
  ): boolean;
  sortCounts(tallies: number): void;
  listContexts(leastCount: number): number;
}

/** Where things lie in the module's memory. A stretch has at most as many documents as tokens. */
const at = {
  tallies: 0x10000,
  ids: 0x20000,
  offsets: 0x20000 + 4 * stretchTokens + 64,
  held: 0x20000 + 8 * stretchTokens + 128,
  counts: 0x30000 + 9 * stretchTokens,
};

export class PartitionCounter {
  private readonly kernels: NgramKernels;
  private readonly idBytes: 2 | 4;

  constructor(private readonly plan: CountingPlan) {
    this.kernels = new WebAssembly.Instance(plan.module, {}).exports as unknown as NgramKernels;
    const pages = Math.ceil((at.counts + 16 * 2 ** plan.slotBits) / 0x10000);
    this.kernels.memory.grow(pages - this.kernels.memory.buffer.byteLength / 0x10000);
    this.idBytes = plan.manifest.idType === 'uint16' ? 2 : 4;
  }

  /** The partition's contexts, as listContexts writes them. @throws badInput for a shard that is damaged. */
  async count(partition: Partition): Promise<Uint32Array[]> {
    const { bits, prefix, leastCount } = partition;
    this.kernels.startPartition(at.counts, this.plan.slotBits, bits, prefix);
    if (!(await this.countShards())) {
      const low = await this.count({ bits: bits + 1, prefix: 2 * prefix, leastCount });
      return [...low, ...(await this.count({ bits: bits + 1, prefix: 2 * prefix + 1, leastCount }))];
    }
    this.kernels.sortCounts(at.tallies);
    const bytes = this.kernels.listContexts(leastCount);
    return [new Uint32Array(this.kernels.memory.buffer.slice(at.counts, at.counts + bytes))];
  }

  private async countShards(): Promise<boolean> {
    const { directory, manifest } = this.plan;
    const isTaken = spreadStretches(manifest, this.plan.mostTokens);
    let stretch = 0;
    for await (const shard of openShards(directory, manifest)) {
      const handle = await open(shard.path, 'r');
      try {
        if (!(await this.countShard(shard, handle, (index) => isTaken(stretch + index)))) return false;
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        throw damaged(shard.path, 'ids of documents', error.message, error);
      } finally {
        await handle.close();
      }
      stretch += stretchesOf(shard.tokens);
    }
    return true;
  }

  /** Stretch i of a shard is its tokens from i × stretchTokens on; record batches, which hold whole documents, cut it. */
  private async countShard(shard: Shard, handle: FileHandle, isTaken: (stretch: number) => boolean): Promise<boolean> {
    const { pieces, rowOffsets } = shard;
    const held = await readHeldOut(shard.path, shard.rows, this.plan.validationFraction);
    let row = 0;
    for (const { firstToken, tokens, fileOffset } of pieces) {
      const end = firstToken + tokens;
      for (let first = firstToken, last = 0; first < end; first = last) {
        const stretch = Math.floor(first / stretchTokens);
        last = Math.min(end, (stretch + 1) * stretchTokens);
        if (!isTaken(stretch)) continue;
        while (rowOffsets[row + 1] <= first) row++;
        let rowEnd = row;
        while (rowEnd < shard.rows && rowOffsets[rowEnd] < last) rowEnd++;
        // One more on either side, where there is one: neighbours.
        const from = Math.max(firstToken, first - 1);
        const to = Math.min(end, last + 1);
        const bytes = await readAt(handle, fileOffset + (from - firstToken) * this.idBytes, (to - from) * this.idBytes);
        this.place(bytes, rowOffsets.subarray(row, rowEnd + 1), held.subarray(row, rowEnd));
        this.checkIds(to - from);
        const ids = at.ids + (first - from) * this.idBytes;
        if (!this.countPlaced(ids, first, last, rowEnd - row)) return false;
      }
    }
    return true;
  }

  private place(ids: Uint8Array, offsets: Uint32Array, held: Uint8Array): void {
    const { buffer } = this.kernels.memory;
    new Uint8Array(buffer).set(ids, at.ids);
    new Uint32Array(buffer).set(offsets, at.offsets / 4);
    new Uint8Array(buffer).set(held, at.held);
  }

  private checkIds(tokens: number): void {
    const largest = this.kernels.largestId(at.ids, tokens, this.idBytes) >>> 0;
    const { size } = this.plan.manifest.vocabulary;
    if (largest >= size) throw new RangeError(`id ${largest} of a vocabulary of ${size} pieces`);
  }

  private countPlaced(ids: number, first: number, last: number, rows: number): boolean {
    const { cls, sep, mask, pad } = this.plan.special;
    const { kernels, idBytes } = this;
    return Boolean(kernels.countStretch(ids, idBytes, first, last, at.offsets, rows, at.held, cls, sep, mask, pad));
  }
}

function stretchesOf(tokens: number): number {
  return Math.ceil(tokens / stretchTokens);
}

/** Of n stretches, numbered through the shards, those at which ⌊i × share⌋ rises: `mostTokens` tokens at most. */
function spreadStretches(manifest: Manifest, mostTokens: number): (stretch: number) => boolean {
  const stretches = manifest.shards.reduce((sum, { tokens }) => sum + stretchesOf(tokens), 0);
  if (manifest.counts.tokens <= mostTokens) return () => true;
  const taken = Math.floor(mostTokens / stretchTokens);
  return (i) => Math.floor(((i + 1) * taken) / stretches) > Math.floor((i * taken) / stretches);
}

/** @throws badInput for a vocabulary that is too large. */
export function checkVocabulary(size: number): void {
  if (size <= mostPieces) return;
  throw new GalvaniError({
    stage: 'batch',
    expected: `a vocabulary of at most ${mostPieces} pieces for replacement by ngram`,
    got: String(size),
    remedy: 'Replace by unigram.',
    kind: 'badInput',
  });
}
