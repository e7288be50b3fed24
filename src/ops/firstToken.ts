/**
 * The state of each row's first token: of [CLS], for who reads a whole row by it. A row without tokens gives zeros and
 * gets no gradient.
 */
import { count } from './attributes.js';
import {
  type Build,
  expectType,
  float32,
  type OperationDefinition,
  sizeOf,
  type Tensor,
  type TensorType,
} from './operation.js';
import { expectSegments, segmentsOf } from './segments.js';

/** x (B, T, H), lengths (B, S) → (B, H). */
export const firstTokenOperation: OperationDefinition<Record<string, never>> = {
  name: 'firstToken',
  infer([x, lengths]) {
    expectType('firstToken', 'x', x, float32(-1, -1, -1));
    expectSegments('firstToken', 'lengths', lengths, x.shape[0]);
    return [float32(x.shape[0], x.shape[2])];
  },
  accumulates: [0],
  gradient({ build, inputs: [x, lengths], outputGradients: [dy], previous }) {
    const [dx] = build.apply(firstTokenGradientOperation, [dy, lengths, previous[0]], { places: x.shape[1] });
    return [dx, undefined];
  },
  places: { inputs: [0], outputs: [], lengths: 1 },
  indices({ inputs: [x] }) {
    return { 1: { segmentsIn: x.shape[1] } };
  },
  flops() {
    return 0;
  },
  reference({ inputs: [x, lengths], outputs: [y], inputTypes }) {
    const [, places, width] = inputTypes[0].shape;
    y.fill(0);
    for (const row of rowsWithTokens(lengths as Int32Array, inputTypes[1])) {
      y.set(x.subarray(row * places * width, row * places * width + width), row * width);
    }
  },
};

export function firstToken(build: Build, x: Tensor, lengths: Tensor): Tensor {
  return build.apply(firstTokenOperation, [x, lengths], {})[0];
}

/** dy (B, H), lengths (B, S), previous (B, T, H) or absent → dx (B, T, H). Attribute: T. */
export const firstTokenGradientOperation: OperationDefinition<{ places: number }> = {
  name: 'firstTokenGradient',
  attributes: { places: count },
  infer([dy, lengths, previous], { places }) {
    expectType('firstTokenGradient', 'dy', dy, float32(-1, -1));
    expectSegments('firstTokenGradient', 'lengths', lengths, dy.shape[0]);
    const dx = float32(dy.shape[0], places, dy.shape[1]);
    if (previous) expectType('firstTokenGradient', 'previous', previous, dx);
    return [dx];
  },
  inPlace: [[0, 2]],
  places: { inputs: [2], outputs: [0], lengths: 1 },
  indices({ attributes: { places } }) {
    return { 1: { segmentsIn: places } };
  },
  flops([dy]) {
    return sizeOf(dy.shape);
  },
  reference({ inputs: [dy, lengths, previous], outputs: [dx], inputTypes, outputTypes }) {
    const [, places, width] = outputTypes[0].shape;
    if (previous) dx.set(previous);
    else dx.fill(0);
    for (const row of rowsWithTokens(lengths as Int32Array, inputTypes[1])) {
      for (let i = 0; i < width; i++) dx[row * places * width + i] += dy[row * width + i];
    }
  },
};

/** Numbers of the rows that have a token, in order. */
export function rowsWithTokens(lengths: Int32Array, { shape: [, segments] }: TensorType): number[] {
  return [...new Set([...segmentsOf(lengths, undefined, segments)].map(({ row }) => row))];
}
