/**
 * Makes the batch of any step in a slot of the shared memory: gathers its rows, masks them, draws replacements.
 * Everything about it is a pure function of (plan, step); which worker does it, and when, changes nothing.
 */
import { locateExample } from '../dataset/examples.js';
import { ExampleOrder } from '../dataset/order.js';
import { GalvaniError } from '../errors.js';
import { streams } from '../random/streams.js';
import { BlockCache } from './blockCache.js';
import { type BatchKernels, instantiateKernels } from './kernels.js';
import { type BatchPlan, layOutMemory, type MemoryLayout, type SlotLayout, type WorkerLayout } from './plan.js';

export class BatchMaker {
  private readonly kernels: BatchKernels;
  private readonly layout: MemoryLayout;
  private readonly scratch: WorkerLayout;
  private readonly words: Int32Array;
  private readonly cache: BlockCache;
  private readonly order: ExampleOrder;

  constructor(
    private readonly plan: BatchPlan,
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    worker: number,
  ) {
    this.kernels = instantiateKernels(module, memory);
    this.layout = layOutMemory(plan);
    this.scratch = this.layout.workers[worker];
    this.words = new Int32Array(memory.buffer);
    this.cache = new BlockCache(plan, this.layout, this.scratch.blocks, this.kernels, memory);
    this.order = new ExampleOrder(plan.index.examples, this.layout.blockExamples, plan.key);
  }

  /** Fill the slot of `step`. @throws badInput for a row that cannot be masked, or a shard that cannot be read. */
  make(step: number): { maskedCount: number; tokenCount: number } {
    const slot = this.layout.slots[step % this.plan.slots];
    const tokenCount = this.gather(step, slot);
    const maskedCount = this.mask(step, slot);
    if (this.plan.replaces) this.replace(step, slot);
    if (!this.plan.isPass) this.readAhead(step);
    return { maskedCount, tokenCount };
  }

  close(): void {
    this.cache.close();
  }

  private readAhead(step: number): void {
    for (const block of this.order.upcomingBlocks((step + 1) * this.plan.B - 1)) this.cache.get(block);
  }

  private gather(step: number, slot: SlotLayout): number {
    const { B, T, special, index } = this.plan;
    let tokenCount = 0;
    for (let row = 0; row < B; row++) {
      const position = step * B + row;
      const rowIds = slot.ids + 4 * row * T;
      let length = 0;
      if (!this.plan.isPass || position < index.examples) {
        const { address, tokens } = this.findTokens(this.exampleAt(position));
        length = this.kernels.gatherRow(
          address,
          tokens,
          index.idBytes,
          rowIds,
          T,
          special.cls,
          special.sep,
          special.pad,
        );
      } else {
        this.kernels.padRow(rowIds, T, special.pad);
      }
      this.words[slot.lengths / 4 + row] = length;
      this.words[slot.seconds / 4 + row] = length;
      tokenCount += length;
    }
    return tokenCount;
  }

  private exampleAt(position: number): number {
    return this.plan.isPass ? position : this.order.at(position);
  }

  private findTokens(example: number): { address: number; tokens: number } {
    const { blockExamples } = this.layout;
    const { address, starts } = this.cache.get(Math.floor(example / blockExamples));
    const start = starts[example % blockExamples];
    return {
      address: address + start * this.plan.index.idBytes,
      tokens: starts[(example % blockExamples) + 1] - start,
    };
  }

  private mask(step: number, slot: SlotLayout): number {
    const { B, T, N, vocabularySize, special, masking } = this.plan;
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
      1,
      T,
      N,
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

  private replace(step: number, slot: SlotLayout): void {
    const { B, T, N, vocabularySize, key, isPass, disallowCorrect } = this.plan;
    const { table, drawable } = this.layout;
    const draws = this.draw(this.scratch.replacementDraws, streams.replacement, step, 2 * N);
    this.kernels.drawReplacements(slot.ids, slot.counts, slot.given, draws, table, B, T, N, vocabularySize);
    if (!disallowCorrect) return;
    this.kernels.redrawCorrect(
      slot.ids,
      slot.places,
      slot.counts,
      slot.given,
      table,
      drawable,
      this.scratch.scratch,
      isPass ? BigInt(step) * BigInt(B * N) : 0n,
      key.low,
      key.high,
      isPass ? 0 : step,
      streams.replacementAgain,
      B,
      T,
      N,
      vocabularySize,
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
    const example = locateExample(this.plan.index, this.exampleAt(step * this.plan.B + row));
    return new GalvaniError({
      stage: 'mask',
      expected: 'a token that may be masked',
      got: `only special tokens in row ${row}`,
      where: `${this.plan.index.shards[example.shard].path}, document ${example.row}, step ${step}`,
      remedy: 'Take the document out of the corpus, and prepare it again.',
      kind: 'badInput',
    });
  }
}
