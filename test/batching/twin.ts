/**
 * The scalar twin of the loader: the planes of any batch by plain loops over lists, from documents and the rules as written
 * down. It shares Philox and the keyed permutation with the loader (each tested by itself), and no other code.
 */
import type { ExampleKind } from '../../src/dataset/examples/kinds.js';
import { keyedPermutation, permute } from '../../src/random/permutation.js';
import type { Key } from '../../src/random/philox.js';
import { streams } from '../../src/random/streams.js';
import { cutPlainly } from '../dataset/officialTwin.js';
import { packPlainly } from '../dataset/packedTwin.js';
import { maskRow, type RowSettings } from './maskingTwin.js';

/** Of the synthetic vocabulary: [PAD] [UNK] [CLS] [SEP] [MASK]. */
export const special = { pad: 0, cls: 2, sep: 3, mask: 4 };

/** Segments of a row, each of part A and part B (empty where there is none), without special tokens. */
export type Example = [number[], number[]][];

/** One dataset of a mixture. */
export interface TwinSource {
  examples: Example[];
  weight?: number;
  /** Examples of a block and blocks of a window; where they are left out, the dataset is one window of one block. */
  blockExamples?: number;
  windowBlocks?: number;
}

export interface TwinSettings extends Omit<RowSettings, 'special' | 'N' | 'V' | 'step'> {
  B: number;
  /** S; default 1. */
  S?: number;
  isPass: boolean;
  isBucketed?: boolean;
  vocabularySize: number;
}

export interface Planes {
  ids: number[];
  lengths: number[];
  seconds: number[];
  places: number[];
  seen: number[];
  counts: number[];
  given: number[] | undefined;
  maskedCount: number;
  tokenCount: number;
}

/** Documents of one line each. */
export function cutExamples(documents: number[][], T: number): Example[] {
  return makeExamples(
    'documents',
    documents.map((ids, ordinal) => ({ ordinal, lines: [ids] })),
    T,
    1,
  );
}

/** Those documents that are on one side of the split; `ordinal` counts all of them. */
export function makeExamples(
  kind: ExampleKind,
  documents: { ordinal: number; lines: number[][] }[],
  T: number,
  blockExamples: number,
): Example[] {
  const texts = documents.map(({ lines }) => lines.flat());
  switch (kind) {
    case 'documents':
      return texts.flatMap((ids) =>
        Array.from(
          { length: Math.ceil(ids.length / (T - 2)) },
          (_, i): Example => [[ids.slice(i * (T - 2), (i + 1) * (T - 2)), []]],
        ),
      );
    case 'official':
    case 'official-strict':
      return documents.flatMap(({ ordinal, lines }, document) =>
        cutPlainly(
          lines.map((line) => line.length),
          ordinal,
          T,
          kind === 'official' ? 'carried' : 'discarded',
        ).map(
          ([first, second]): Example => [
            [first.map((token) => texts[document][token]), second.map((token) => texts[document][token])],
          ],
        ),
      );
    case 'packed': {
      const all = texts.flat();
      const lengths = texts.map((ids) => ids.length);
      const mostSegments = Math.max(1, Math.floor(T / 4));
      return packPlainly(lengths, T, blockExamples, mostSegments).map((row) =>
        row.map(([start, tokens]): Example[number] => [all.slice(start, start + tokens), []]),
      );
    }
  }
}

/** Finds which example stands in each row, counted through all batches. */
export class RowTwin {
  private readonly dataset: number[] = [];
  private readonly own: number[] = [];
  private readonly epochs = new Map<string, number[]>();
  private readonly taken: number[];

  constructor(
    private readonly sources: TwinSource[],
    private readonly settings: { key: Key; isPass: boolean },
  ) {
    this.taken = sources.map(() => 0);
    if (settings.isPass) {
      for (const [i, { examples }] of sources.entries()) {
        this.dataset.push(...examples.map(() => i));
        this.own.push(...examples.keys());
      }
    }
  }

  /** Undefined behind the end of a pass. */
  find(row: number): { dataset: number; number: number; example: Example } | undefined {
    const { isPass } = this.settings;
    if (isPass && row >= this.own.length) return undefined;
    while (this.own.length <= row) this.deal();
    const [dataset, own] = [this.dataset[row], this.own[row]];
    const { examples } = this.sources[dataset];
    const epoch = Math.floor(own / examples.length);
    const number = isPass ? own : this.orderOf(dataset, epoch)[own % examples.length];
    return { dataset, number, example: examples[number] };
  }

  /** The next row: the first dataset takes it if that is due by its weight, else the second if that is due by its weight
   * among the rest, … */
  private deal(): void {
    const total = this.sources.reduce((sum, { weight = 1 }) => sum + weight, 0);
    const weights = this.sources.map(({ weight = 1 }) => BigInt(Math.round((weight / total) * 2 ** 26)));
    let rest = BigInt(this.own.length);
    for (let i = 0; ; i++) {
      const sum = weights.slice(i).reduce((a, b) => a + b, 0n);
      const due = ((rest + 1n) * weights[i]) / sum;
      if (due > BigInt(this.taken[i])) {
        this.dataset.push(i);
        this.own.push(this.taken[i]++);
        return;
      }
      rest -= BigInt(this.taken[i]);
    }
  }

  private orderOf(dataset: number, epoch: number): number[] {
    const name = `${dataset} ${epoch}`;
    const known = this.epochs.get(name);
    if (known) return known;
    const { examples, blockExamples = examples.length, windowBlocks = 1 } = this.sources[dataset];
    const blocks = Math.ceil(examples.length / blockExamples);
    const ofBlocks = keyedPermutation(blocks, this.settings.key, streams.blockOrder, epoch, 8 * dataset);
    const inOrder = Array.from({ length: blocks }, (_, i) => permute(ofBlocks, i));
    const windows = Math.ceil(blocks / windowBlocks);
    const order: number[] = [];
    for (let window = 0; window < windows; window++) {
      const some = inOrder
        .slice(Math.floor((window * blocks) / windows), Math.floor(((window + 1) * blocks) / windows))
        .flatMap((block) => [...examples.keys()].slice(block * blockExamples, (block + 1) * blockExamples));
      const draws = 2 ** 40 * dataset + 8 * window;
      const shuffled = keyedPermutation(some.length, this.settings.key, streams.exampleOrder, epoch, draws);
      order.push(...some.map((_, i) => some[permute(shuffled, i)]));
    }
    this.epochs.set(name, order);
    return order;
  }
}

export function makePlanes(rows: RowTwin, step: number, settings: TwinSettings): Planes {
  const { B, T, S = 1, masking, isPass, table, isBucketed } = settings;
  const N = Math.floor((masking.maskProb + 0.005) * T);
  const planes: Planes = {
    ids: [],
    lengths: [],
    seconds: [],
    places: [],
    seen: [],
    counts: [],
    given: table ? [] : undefined,
    maskedCount: 0,
    tokenCount: 0,
  };
  const texts: number[][] = [];
  for (let row = 0; row < B; row++) {
    const position = step * B + row;
    const ids: number[] = [];
    const lengths: number[] = [];
    const seconds: number[] = [];
    for (const [first, second] of rows.find(position)?.example ?? []) {
      const segment = [special.cls, ...first, special.sep];
      seconds.push(segment.length);
      if (second.length > 0) segment.push(...second, special.sep);
      lengths.push(segment.length);
      ids.push(...segment);
    }
    const length = ids.length;
    while (ids.length < T) ids.push(special.pad);
    while (lengths.length < S) {
      lengths.push(0);
      seconds.push(0);
    }
    const { places, seen, count, given } = maskRow(ids, lengths, isPass ? position : row, {
      ...settings,
      special,
      N,
      V: settings.vocabularySize,
      step: isPass ? 0 : step,
    });
    planes.places.push(...places);
    planes.seen.push(...seen);
    planes.given?.push(...given!);
    texts.push(ids);
    planes.lengths.push(...lengths);
    planes.seconds.push(...seconds);
    planes.counts.push(count);
    planes.maskedCount += count;
    planes.tokenCount += length;
  }
  const eighth = Math.ceil(T / 8);
  const longest = Math.max(
    ...texts.map((_, row) => planes.lengths.slice(row * S, (row + 1) * S).reduce((a, b) => a + b)),
  );
  const width = isBucketed ? Math.min(T, Math.ceil(longest / eighth) * eighth) : T;
  planes.ids = texts.flatMap((ids) => ids.slice(0, width));
  return planes;
}
