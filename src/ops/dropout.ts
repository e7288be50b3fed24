/**
 * y = x · keep / (1 − p): the draw of every decision is a pure function of (seed, step, stream, index over the batch).
 *
 * Decision i of a stream is 16 bits: half i & 1 (low half first) of draw ⌊i / 2⌋, dropped if below t = round(p · 65536) ≤ 65535;
 * what stays is scaled by 65536 / (65536 − t). The gradient is the same operation on dy: the mask is drawn again, not
 * stored. `draw` is int32 [4]: seed low, seed high, step, first row of this part of the batch, so that a micro-batch
 * draws what its rows would draw in the whole batch (decision index = element + first row · elements a row).
 */

import { drawWord, type Key } from '../random/philox.js';
import { belowOne, word } from './attributes.js';
import {
  type Build,
  expectType,
  int32,
  type OperationDefinition,
  sizeOf,
  type Tensor,
  type Values,
} from './operation.js';

export type DropoutAttributes = {
  /** 0 ≤ p < 1; 0 makes the operation a copy. */
  readonly dropout: number;
  /** The stream of this site (src/random/streams.ts). */
  readonly stream: number;
};

export const dropoutRules = { dropout: belowOne, stream: word };

/** Type of the `draw` input of every operation that draws. */
export const drawType = int32(4);

export interface Draw {
  readonly key: Key;
  readonly step: number;
  readonly firstRow: number;
}

export function readDraw(draw: Values): Draw {
  return { key: { low: draw[0] >>> 0, high: draw[1] >>> 0 }, step: draw[2] >>> 0, firstRow: draw[3] >>> 0 };
}

/** Below 65536, so that something stays for any p < 1. */
export function dropoutThreshold(probability: number): number {
  return Math.min(65535, Math.round(probability * 65536));
}

/** What decision `index` multiplies its element by: 0 or 65536 / (65536 − threshold). */
export function dropoutFactor(draw: Draw, stream: number, threshold: number, index: number): number {
  const word = drawWord(draw.key, stream, draw.step, Math.floor(index / 2));
  const decision = index % 2 === 0 ? word & 0xffff : word >>> 16;
  return decision < threshold ? 0 : 65536 / (65536 - threshold);
}

/** x (B, …), draw → y of x's type. */
export const dropoutOperation: OperationDefinition<DropoutAttributes> = {
  name: 'dropout',
  attributes: dropoutRules,
  infer([x, draw]) {
    expectType('dropout', 'draw', draw, drawType);
    return [x];
  },
  inPlace: [[0, 0]],
  gradient({ build, inputs: [, draw], attributes, outputGradients: [dy] }) {
    return [dropout(build, dy!, draw, attributes), undefined];
  },
  places: { inputs: [0], outputs: [0] },
  flops([x]) {
    return sizeOf(x.shape);
  },
  reference({ inputs: [x, drawValues], outputs: [y], inputTypes: [{ shape }], attributes }) {
    const draw = readDraw(drawValues);
    const threshold = dropoutThreshold(attributes.dropout);
    const first = draw.firstRow * (sizeOf(shape) / shape[0]);
    for (let i = 0; i < x.length; i++) {
      y[i] = threshold === 0 ? x[i] : x[i] * dropoutFactor(draw, attributes.stream, threshold, first + i);
    }
  },
};

/** A copy is never made: with probability 0 the tensor itself comes back. */
export function dropout(build: Build, x: Tensor, draw: Tensor, attributes: DropoutAttributes): Tensor {
  if (dropoutThreshold(attributes.dropout) === 0) return x;
  return build.apply(dropoutOperation, [x, draw], attributes)[0];
}
