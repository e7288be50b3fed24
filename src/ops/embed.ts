/**
 * The input of an encoder: word + position + token type, one table each. Positions restart in each segment.
 * Padding gets zeros and gives no gradient. The gradient adds to what other uses of the tables have contributed
 * (ELECTRA's word table has three: two look-ups and the generator's output layer).
 */
import { count } from './attributes.js';
import { type Build, expectType, float32, int32, type OperationDefinition, sizeOf, type Tensor } from './operation.js';
import { expectSegments, segmentsOf } from './segments.js';

/** ids (B, T), lengths, seconds (B, S), words (V, E), positions (P ≥ T, E), types (2, E) → (B, T, E). */
export const embedOperation: OperationDefinition<Record<string, never>> = {
  name: 'embed',
  infer([ids, lengths, seconds, words, positions, types]) {
    expectType('embed', 'ids', ids, int32(-1, -1));
    const [rows, places] = ids.shape;
    expectSegments('embed', 'lengths', lengths, rows);
    expectType('embed', 'seconds', seconds, lengths);
    const width = words.shape[1];
    expectType('embed', 'words', words, float32(-1, width));
    expectType('embed', 'positions', positions, float32(Math.max(places, positions.shape[0]), width));
    expectType('embed', 'types', types, float32(2, width));
    return [float32(rows, places, width)];
  },
  accumulates: [3, 4, 5],
  gradient({ build, inputs: [ids, lengths, seconds, words, positions, types], outputGradients: [dy], previous }) {
    const tables = [words, positions, types];
    const gradients = embedGradient(build, ids, lengths, seconds, dy!, tables, previous.slice(3));
    return [undefined, undefined, undefined, ...gradients];
  },
  places: { inputs: [], outputs: [0], lengths: 1 },
  indices({ inputs: [ids, , , words] }) {
    return { 0: { below: words.shape[0] }, 1: { segmentsIn: ids.shape[1] } };
  },
  flops(_inputs, [sum]) {
    return 2 * sizeOf(sum.shape);
  },
  reference({ inputs: [ids, lengths, seconds, words, positions, types], outputs: [sum], inputTypes, outputTypes }) {
    const [, places, width] = outputTypes[0].shape;
    sum.fill(0);
    for (const { row, start, length, second } of segmentsOf(lengths, seconds, inputTypes[1].shape[1])) {
      for (let place = 0; place < length; place++) {
        const at = row * places + start + place;
        for (let i = 0; i < width; i++) {
          sum[at * width + i] =
            words[ids[at] * width + i] + positions[place * width + i] + types[(place < second ? 0 : width) + i];
        }
      }
    }
  },
};

export interface Tables {
  readonly words: Tensor;
  readonly positions: Tensor;
  readonly types: Tensor;
}

export function embed(build: Build, ids: Tensor, lengths: Tensor, seconds: Tensor, tables: Tables): Tensor {
  return build.apply(embedOperation, [ids, lengths, seconds, tables.words, tables.positions, tables.types], {})[0];
}

/**
 * ids (B, T), lengths, seconds (B, S), dy (B, T, E), then for words, positions and types what was there before or
 * nothing → the gradients of the three tables. The extents of the tables are attributes.
 */
export const embedGradientOperation: OperationDefinition<{ pieces: number; positions: number }> = {
  name: 'embedGradient',
  attributes: { pieces: count, positions: count },
  infer([ids, lengths, seconds, dy, previousWords, previousPositions, previousTypes], { pieces, positions }) {
    expectType('embedGradient', 'ids', ids, int32(-1, -1));
    expectSegments('embedGradient', 'lengths', lengths, ids.shape[0]);
    expectType('embedGradient', 'seconds', seconds, lengths);
    expectType('embedGradient', 'dy', dy, float32(...ids.shape, -1));
    const width = dy.shape[2];
    const tables = [float32(pieces, width), float32(positions, width), float32(2, width)];
    if (previousWords) expectType('embedGradient', 'previous words', previousWords, tables[0]);
    if (previousPositions) expectType('embedGradient', 'previous positions', previousPositions, tables[1]);
    if (previousTypes) expectType('embedGradient', 'previous types', previousTypes, tables[2]);
    return tables;
  },
  inPlace: [
    [0, 4],
    [1, 5],
    [2, 6],
  ],
  places: { inputs: [3], outputs: [], lengths: 1 },
  indices({ inputs: [ids], attributes: { pieces } }) {
    return { 0: { below: pieces }, 1: { segmentsIn: ids.shape[1] } };
  },
  flops([, , , dy]) {
    return 3 * sizeOf(dy.shape);
  },
  reference({ inputs, outputs: [dWords, dPositions, dTypes], inputTypes }) {
    const [ids, lengths, seconds, dy, ...previous] = inputs;
    for (const [i, gradient] of [dWords, dPositions, dTypes].entries()) {
      if (previous[i]) gradient.set(previous[i]);
      else gradient.fill(0);
    }
    const [, places, width] = inputTypes[3].shape;
    for (const { row, start, length, second } of segmentsOf(lengths, seconds, inputTypes[1].shape[1])) {
      for (let place = 0; place < length; place++) {
        const at = row * places + start + place;
        for (let i = 0; i < width; i++) {
          dWords[ids[at] * width + i] += dy[at * width + i];
          dPositions[place * width + i] += dy[at * width + i];
          dTypes[(place < second ? 0 : width) + i] += dy[at * width + i];
        }
      }
    }
  },
};

function embedGradient(
  build: Build,
  ids: Tensor,
  lengths: Tensor,
  seconds: Tensor,
  dy: Tensor,
  [words, positions]: readonly Tensor[],
  previous: readonly (Tensor | undefined)[],
): Tensor[] {
  return build.apply(embedGradientOperation, [ids, lengths, seconds, dy, ...previous], {
    pieces: words.shape[0],
    positions: positions.shape[0],
  });
}
