/**
 * The scalar twin of the batch kernels: the planes of a batch by plain loops, from documents and the rules as written
 * down. It shares the order of examples and Philox with the loader (each tested by itself), and no other code.
 */
import { examplesPerBlock } from '../../src/dataset/examples/blocks.js';
import { ShuffledOrder } from '../../src/dataset/order.js';
import { maskRow, type RowSettings } from './maskingTwin.js';

/** Of the synthetic vocabulary: [PAD] [UNK] [CLS] [SEP] [MASK]. */
export const special = { pad: 0, cls: 2, sep: 3, mask: 4 };

export interface TwinSettings extends Omit<RowSettings, 'special' | 'N' | 'V' | 'step'> {
  B: number;
  isPass: boolean;
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

export function cutExamples(documents: number[][], T: number): number[][] {
  return documents.flatMap((ids) =>
    Array.from({ length: Math.ceil(ids.length / (T - 2)) }, (_, i) => ids.slice(i * (T - 2), (i + 1) * (T - 2))),
  );
}

export function makePlanes(examples: number[][], step: number, settings: TwinSettings): Planes {
  const { B, T, masking, key, isPass, table } = settings;
  const N = Math.floor((masking.maskProb + 0.005) * T);
  const blockExamples = examplesPerBlock(T);
  const order = new ShuffledOrder(examples.length, blockExamples, Math.ceil(examples.length / blockExamples), key);
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
  for (let row = 0; row < B; row++) {
    const position = step * B + row;
    const text = isPass ? examples[position] : examples[order.at(position)];
    const ids = text === undefined ? [] : [special.cls, ...text, special.sep];
    const length = ids.length;
    while (ids.length < T) ids.push(special.pad);
    const { places, seen, count, given } = maskRow(ids, [length], isPass ? position : row, {
      ...settings,
      special,
      N,
      V: settings.vocabularySize,
      step: isPass ? 0 : step,
    });
    planes.places.push(...places);
    planes.seen.push(...seen);
    planes.given?.push(...given!);
    planes.ids.push(...ids);
    planes.lengths.push(length);
    planes.seconds.push(length);
    planes.counts.push(count);
    planes.maskedCount += count;
    planes.tokenCount += length;
  }
  return planes;
}
