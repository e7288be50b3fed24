/**
 * Makes the batch of any step in a slot of the shared memory: gathers its rows, masks them, draws replacements.
 * Everything about it is a pure function of (plan, step); which worker does it, and when, changes nothing.
 */
import { CorpusOrder, type Order, type PermuteRun, ShuffledOrder } from '../dataset/order.js';
import { GalvaniError } from '../errors.js';
import { streams } from '../random/streams.js';
import { BlockCache } from './blockCache.js';
import { CandidateReader } from './cached/reader.js';
import { sumOfPlanes } from './cached/record.js';
import { RepeatedOrder, RepeatedRows } from './cached/repetition.js';
import { type BatchKernels, instantiateKernels } from './kernels.js';
import { Mixture, type RowSources, Succession } from './mixture.js';
import {
  type BatchPlan,
  layOutMemory,
  type MemoryLayout,
  type SlotLayout,
  type Source,
  type WorkerLayout,
} from './plan.js';
import type { Ring, SlotCounts } from './ring.js';

export class BatchMaker {
  private readonly kernels: BatchKernels;
  private readonly layout: MemoryLayout;
  private readonly scratch: WorkerLayout;
  private readonly words: Int32Array;
  private readonly rowSources: RowSources;
  private readonly orders: Order[];
  private readonly caches: BlockCache[];
  private readonly candidates: CandidateReader | undefined;

  constructor(
    private readonly plan: BatchPlan,
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    private readonly worker: number,
    ring: Ring,
  ) {
    const { sources, workers, vocabularySize, candidates } = plan;
    this.kernels = instantiateKernels(module, memory);
    this.layout = layOutMemory(plan);
    this.scratch = this.layout.workers[worker];
    this.words = new Int32Array(memory.buffer);
    this.rowSources = plan.isPass
      ? new Succession(sources.map(({ index }) => index.examples))
      : new Mixture(sources.map(({ weight }) => weight));
    this.orders = sources.map((source, i) => this.orderOf(source, i));
    if (candidates) {
      const rows = candidates.batches * plan.B;
      this.candidates = new CandidateReader(candidates);
      this.orders = this.orders.map((order, i) => new RepeatedOrder(order, this.rowSources.countBefore(i, rows)));
      this.rowSources = new RepeatedRows(this.rowSources, rows);
    }
    this.caches = sources.map((source, i) => {
      const layout = this.layout.sources[i];
      return new BlockCache(source, layout, this.orders[i], workers, vocabularySize, this.kernels, memory, ring);
    });
  }

  /** Say that earlier blocks than those of `step` are not needed here any more. */
  announce(step: number): void {
    for (const [i, cache] of this.caches.entries()) {
      cache.announce(this.worker, this.orders[i].windowOf(this.ownPosition(i, step)));
    }
  }

  announceEnd(): void {
    for (const cache of this.caches) cache.announce(this.worker, 2 ** 31 - 1);
  }

  /** Fill a slot with the batch of `step`. @throws badInput for a row that cannot be masked, or a shard that cannot be read; Stopped */
  make(step: number, slotNumber: number): SlotCounts {
    const slot = this.layout.slots[slotNumber];
    this.findRows(step);
    const width = this.widthOf();
    const tokenCount = this.gather(width, slot);
    const stored = step % (this.plan.candidates?.batches ?? Number.POSITIVE_INFINITY);
    const maskedCount = this.mask(stored, width, slot);
    if (this.candidates) this.replaceFrom(this.candidates, stored, step, width, slot);
    else if (this.plan.replacement !== 'generator') this.replace(step, width, slot);
    for (const [i, cache] of this.caches.entries()) {
      const last = this.ownPosition(i, step + 1) - 1;
      if (last >= 0) cache.readAhead(last);
    }
    return { maskedCount, tokenCount, width };
  }

  close(): void {
    for (const cache of this.caches) cache.close();
    this.candidates?.close();
  }

  private orderOf({ index, windowBlocks }: Source, number: number): Order {
    return this.plan.isPass
      ? new CorpusOrder(index.blockExamples, windowBlocks)
      : new ShuffledOrder(
          index.examples,
          index.blockExamples,
          windowBlocks,
          this.plan.key,
          number,
          this.permuteRun(number),
        );
  }

  /** By the kernel, as many at a time as a batch has rows. */
  private permuteRun(source: number): PermuteRun {
    const { images, keys } = this.scratch.permutations[source];
    return ({ n, a, b, roundKeys }, first, most) => {
      const count = Math.min(most, this.plan.B);
      this.words.set(roundKeys, keys / 4);
      this.kernels.permuteRun(images, first, count, n, a, b, keys);
      return new Uint32Array(this.words.buffer, images, count);
    };
  }

  /** Examples of a source before a step. */
  private ownPosition(source: number, step: number): number {
    return this.rowSources.countBefore(source, step * this.plan.B);
  }

  private findRows(step: number): void {
    const { B, sources } = this.plan;
    const { rowSources } = this;
    for (let row = 0; row < B; row++) {
      rowSources.find(step * B + row);
      const { dataset, own } = rowSources;
      const at = this.scratch.rows / 4 + 3 * row;
      if (this.plan.replacement === 'ngram') {
        this.words[this.scratch.ngramTables / 4 + row] = this.layout.ngrams[dataset];
      }
      if (this.plan.isPass && own >= sources[dataset].index.examples) {
        this.words[at + 1] = 0; // behind the end of the pass
        continue;
      }
      const order = this.orders[dataset];
      order.find(own);
      const cache = this.caches[dataset];
      const address = cache.get(order.window, order.slot, order.block);
      this.words[at] = address;
      this.words[at + 1] = cache.indexAt(address);
      this.words[at + 2] = order.example;
    }
    this.kernels.openRows(this.scratch.rows, B, sources[0].index.idBytes);
  }

  /** Places of the batch's rows. */
  private widthOf(): number {
    const { B, T, bucketStep } = this.plan;
    if (bucketStep === T) return T;
    const longest = this.kernels.longestRow(this.scratch.rows, B);
    return Math.min(T, Math.ceil(longest / bucketStep) * bucketStep);
  }

  private gather(width: number, slot: SlotLayout): number {
    const { B, S, special, sources } = this.plan;
    const { ids, lengths, seconds } = slot;
    const { cls, sep, pad } = special;
    const { idBytes } = sources[0].index;
    return this.kernels.gatherRows(this.scratch.rows, B, S, width, idBytes, ids, lengths, seconds, cls, sep, pad);
  }

  private mask(step: number, width: number, slot: SlotLayout): number {
    const { B, T, N, S, vocabularySize, special, masking } = this.plan;
    const { wholeWordMask, randomReplaceProb } = masking;
    const placeDraws = wholeWordMask
      ? this.draw(this.scratch.placeDraws, streams.wordOrder, step, T)
      : this.draw(this.scratch.placeDraws, streams.masks, step, N);
    const choiceDraws = this.draw(this.scratch.choiceDraws, streams.maskChoice, step, N);
    const randomDraws =
      randomReplaceProb > 0 ? this.draw(this.scratch.randomDraws, streams.randomIds, step, N) : choiceDraws;
    const masked = this.kernels.maskRows(
      slot.ids,
      slot.lengths,
      slot.places,
      slot.seen,
      slot.counts,
      this.scratch.scratch,
      this.layout.continuations,
      placeDraws,
      choiceDraws,
      randomDraws,
      B,
      S,
      width,
      N,
      wholeWordMask ? T : N,
      vocabularySize,
      masking.maskProb,
      masking.maskReplaceProb,
      randomReplaceProb,
      masking.maskWithReplacement,
      special.cls,
      special.sep,
      special.mask,
      special.pad,
    );
    if (masked < 0) throw this.noCandidate(step, -1 - masked);
    return masked;
  }

  private replace(step: number, width: number, slot: SlotLayout): void {
    const { B, N, vocabularySize, key, isPass, replacement, disallowCorrect } = this.plan;
    const { table, drawable } = this.layout;
    const { ids, places, counts, given } = slot;
    const { replacementDraws, ngramTables } = this.scratch;
    if (replacement === 'ngram') {
      const draws = this.draw(replacementDraws, streams.ngram, step, 5 * N);
      const sizes = [B, width, N, vocabularySize] as const;
      this.kernels.drawNgrams(ids, places, counts, given, draws, ngramTables, table, ...sizes, disallowCorrect);
    } else {
      const draws = this.draw(replacementDraws, streams.replacement, step, 2 * N);
      this.kernels.drawReplacements(ids, counts, given, draws, table, B, width, N, vocabularySize);
    }
    if (!disallowCorrect) return;
    this.kernels.redrawCorrect(
      ids,
      places,
      counts,
      given,
      table,
      drawable,
      this.scratch.scratch,
      isPass ? BigInt(step) * BigInt(B * N) : 0n,
      key.low,
      key.high,
      isPass ? 0 : step,
      streams.replacementAgain,
      B,
      width,
      N,
      vocabularySize,
    );
  }

  /** Draws of this step from the candidates of the stored batch whose rows and masks it has. */
  private replaceFrom(reader: CandidateReader, stored: number, step: number, width: number, slot: SlotLayout): void {
    const { B, N, disallowCorrect } = this.plan;
    const { record, topK, idBytes, temperature } = this.plan.candidates!;
    const plane = (at: number, length: number) => this.words.subarray(at / 4, at / 4 + length);
    const planes = { places: plane(slot.places, B * N), seen: plane(slot.seen, B * N), counts: plane(slot.counts, B) };
    const at = this.scratch.candidates;
    reader.read(stored, sumOfPlanes(planes), new Uint8Array(this.words.buffer, at, record.bytes));
    this.kernels.drawCached(
      slot.ids,
      slot.places,
      slot.counts,
      slot.given,
      this.draw(this.scratch.replacementDraws, streams.cachedCandidates, step, N),
      at + record.logProbs,
      at + record.ids,
      idBytes,
      this.scratch.weights,
      temperature,
      B,
      width,
      N,
      topK,
      disallowCorrect,
    );
  }

  /**
   * The draws of a whole batch, `each` a row. A pass counts its rows through at step 0, so that an evaluation masks the
   * same places whatever its batch size.
   */
  private draw(out: number, stream: number, step: number, each: number): number {
    const { B, key, isPass } = this.plan;
    const count = B * each;
    const first = isPass ? BigInt(step) * BigInt(count) : 0n;
    return this.kernels.drawWords(out, first, count, key.low, key.high, isPass ? 0 : step, stream);
  }

  private noCandidate(step: number, row: number): GalvaniError {
    this.rowSources.find(step * this.plan.B + row);
    const { dataset, own } = this.rowSources;
    const [order, cache] = [this.orders[dataset], this.caches[dataset]];
    order.find(own);
    return new GalvaniError({
      stage: 'mask',
      expected: 'a token that may be masked',
      got: `only special tokens in row ${row}`,
      where: `${cache.describe(cache.get(order.window, order.slot, order.block), order.example)}, step ${step}`,
      remedy: 'Take the document out of the corpus, and prepare it again.',
      kind: 'badInput',
    });
  }
}
