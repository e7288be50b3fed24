/**
 * The n-gram model as one flat array of 32-bit words, which assembly/batch/ngram.ts draws from:
 *
 *   words 0 … 3  buckets, contexts, pieces of all contexts, lowest count that a piece has in a context
 *   buckets + 1  where the contexts of each bucket begin, in words of the array; the last one is its length
 *   contexts     in the order of their codes:
 *                code, low 32 bits │ pieces << 10 │ code, high 10 bits │ tokens + types │ (id, count of it and those before)
 *
 * A code is 42 mixed bits (assembly/contexts.ts), so a bucket is a run of codes: ⌊code >> 10 × buckets / 2³²⌋. There are
 * as many as contexts: one on average.
 *
 * What is left out of a context keeps its weight there, and is drawn from the level below.
 */
export const headerWords = 4;
/** Before the pieces of a context. */
const contextWords = 3;

export interface TableLimits {
  /** The table has at most this many words. Default 2²⁶: 256 MiB. */
  mostWords?: number;
  /**
   * Pieces that stand fewer times in a context are left out of it; more where the table is too large. Default 2: what
   * stands once between its neighbours is, where it is masked, mostly the original itself, counted. With it, 34.0 % of the
   * draws in the Brown corpus's training text equalled the original, and 10.3 % in text held out; without, 15.5 and 9.1 %.
   */
  leastCount?: number;
}

/** Takes the contexts of one partition after the other, and leaves out pieces where they come to be too many. */
export class TableBuilder {
  leastCount: number;
  private readonly mostWords: number;
  private blocks: Uint32Array[] = [];
  private contexts = 0;

  constructor({ mostWords = 2 ** 26, leastCount = 2 }: TableLimits = {}) {
    this.mostWords = mostWords;
    this.leastCount = leastCount;
  }

  /**
   * Contexts as listContexts wrote them, in order. The lowest count rises when what is there does not fit with it: then
   * the whole would not either, so what it comes to does not depend on how contexts are divided.
   */
  append(block: Uint32Array): void {
    const added = leaveOut(block, this.leastCount);
    this.blocks.push(added);
    this.contexts += countContexts(added);
    while (this.words > this.mostWords) {
      this.leastCount++;
      this.blocks = this.blocks.map((one) => leaveOut(one, this.leastCount));
      this.contexts = this.blocks.reduce((sum, one) => sum + countContexts(one), 0);
    }
  }

  /** The builder is empty then. Memory: twice the table. */
  finish(): Uint32Array {
    const table = new Uint32Array(this.words);
    const { contexts, leastCount } = this;
    const buckets = this.buckets;
    let at = headerWords + buckets + 1;
    let bucket = 0;
    let pieces = 0;
    for (const block of this.blocks.splice(0)) {
      table.set(block, at);
      for (const end = at + block.length; at < end; ) {
        const own = bucketOf(table, at, buckets);
        while (bucket <= own) table[headerWords + bucket++] = at;
        const count = piecesAt(table, at);
        at += contextWords;
        for (let k = 0, before = 0; k < count; k++, at += 2) before = table[at + 1] += before;
        pieces += count;
      }
    }
    while (bucket <= buckets) table[headerWords + bucket++] = at;
    table.set([buckets, contexts, pieces, leastCount]);
    this.contexts = 0;
    return table;
  }

  private get buckets(): number {
    return Math.max(1, this.contexts);
  }

  private get words(): number {
    return headerWords + this.buckets + 1 + this.blocks.reduce((sum, block) => sum + block.length, 0);
  }
}

function piecesAt(words: Uint32Array, at: number): number {
  return words[at + 1] >>> 10;
}

/** ⌊code >> 10 × buckets / 2³²⌋, by 16-bit halves, so that all is exact in a double. */
function bucketOf(words: Uint32Array, at: number, buckets: number): number {
  const low = (words[at] >>> 10) & 0xffff;
  const high = ((words[at + 1] & 0x3ff) << 6) | (words[at] >>> 26);
  return Math.floor((high * buckets + Math.floor((low * buckets) / 0x10000)) / 0x10000);
}

function countContexts(block: Uint32Array): number {
  let contexts = 0;
  for (let at = 0; at < block.length; at += contextWords + 2 * piecesAt(block, at)) contexts++;
  return contexts;
}

/** Without the pieces that stand fewer than `least` times in a context, and the contexts that have no other. In place. */
function leaveOut(block: Uint32Array, least: number): Uint32Array {
  let to = 0;
  for (let at = 0; at < block.length; ) {
    const end = at + contextWords + 2 * piecesAt(block, at);
    const context = to;
    block.copyWithin(to, at, at + contextWords);
    to += contextWords;
    for (at += contextWords; at < end; at += 2) {
      if (block[at + 1] < least) continue;
      block[to] = block[at];
      block[to + 1] = block[at + 1];
      to += 2;
    }
    const pieces = (to - context - contextWords) / 2;
    block[context + 1] = (pieces * 1024) | (block[context + 1] & 0x3ff);
    if (pieces === 0) to = context;
  }
  return block.slice(0, to);
}
