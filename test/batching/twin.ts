/**
 * The scalar twin of the batch kernels: the planes of a batch by plain loops, from documents and the rules as written
 * down. It shares the order of examples and Philox with the loader (each tested by itself), and no other code.
 */
import { ExampleOrder, examplesPerBlock } from '../../src/dataset/order.js';
import { drawWord, integerOfWord, type Key } from '../../src/random/philox.js';
import { streams } from '../../src/random/streams.js';

/** Of the synthetic vocabulary: [PAD] [UNK] [CLS] [SEP] [MASK]. */
export const special = { pad: 0, cls: 2, sep: 3, mask: 4 };

export interface TwinSettings {
  B: number;
  T: number;
  maskProb: number;
  key: Key;
  isPass: boolean;
  /** Alias table of replacements, or undefined. */
  table?: Uint32Array;
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
  const { B, T, maskProb, key, isPass, table } = settings;
  const N = Math.floor((maskProb + 0.005) * T);
  const order = new ExampleOrder(examples.length, examplesPerBlock(T - 2), key);
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
    const draw = (stream: number, index: number) => drawWord(key, stream, isPass ? 0 : step, index);
    const firstDraw = (isPass ? position : row) * N;
    const candidates = ids.flatMap((id, place) =>
      place < length && !Object.values(special).includes(id) ? [place] : [],
    );
    const wanted = Math.min(Math.max(roundHalfEven(maskProb * length), 1), N);
    const count = length === 0 ? 0 : Math.min(wanted, candidates.length);
    for (let j = 0; j < N; j++) {
      if (j >= count) {
        planes.places.push(0);
        planes.seen.push(ids[0]);
        planes.given?.push(ids[0]);
        continue;
      }
      const picked = j + integerOfWord(draw(streams.masks, firstDraw + j), candidates.length - j);
      [candidates[j], candidates[picked]] = [candidates[picked], candidates[j]];
      const isMasked = draw(streams.maskChoice, firstDraw + j) / 2 ** 32 < 0.85;
      planes.places.push(candidates[j]);
      planes.seen.push(isMasked ? special.mask : ids[candidates[j]]);
      if (table === undefined) continue;
      const column = integerOfWord(draw(streams.replacement, 2 * (firstDraw + j)), table.length / 2);
      const coin = draw(streams.replacement, 2 * (firstDraw + j) + 1);
      planes.given?.push(coin < table[2 * column] ? column : table[2 * column + 1]);
    }
    planes.ids.push(...ids);
    planes.lengths.push(length);
    planes.seconds.push(length);
    planes.counts.push(count);
    planes.maskedCount += count;
    planes.tokenCount += length;
  }
  return planes;
}

export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
