/**
 * y = layerNorm(residual + dropout(x)): the end of every sublayer of a post-norm encoder, in one pass over memory.
 * Its gradient is layerNorm's; the branch of x gets it through the same dropout mask, drawn again.
 */
import { notNegative } from './attributes.js';
import {
  type DropoutAttributes,
  drawType,
  dropout,
  dropoutFactor,
  dropoutRules,
  dropoutThreshold,
  readDraw,
} from './dropout.js';
import { layerNormGradient, layerNormParameterGradient, normalize } from './layerNorm.js';
import {
  type Build,
  expectType,
  float32,
  lastOf,
  type OperationDefinition,
  rowsOf,
  sizeOf,
  type Tensor,
} from './operation.js';

type AddNormAttributes = DropoutAttributes & { readonly epsilon: number };

/** x, residual (B, …, H), gamma (H), beta (H), draw → y, sum (B, …, H), mean (rows), inverse deviation (rows). */
export const addNormOperation: OperationDefinition<AddNormAttributes> = {
  name: 'addNorm',
  attributes: { ...dropoutRules, epsilon: notNegative },
  infer([x, residual, gamma, beta, draw]) {
    const width = lastOf(x.shape);
    expectType('addNorm', 'residual', residual, x);
    expectType('addNorm', 'gamma', gamma, float32(width));
    expectType('addNorm', 'beta', beta, float32(width));
    expectType('addNorm', 'draw', draw, drawType);
    const statistics = float32(rowsOf(x.shape));
    return [x, x, statistics, statistics];
  },
  inPlace: [
    [1, 0],
    [1, 1],
  ],
  accumulates: [2, 3],
  gradient({ build, inputs, outputs: [, sum, mean, inverse], attributes, outputGradients: [dy], previous, remade }) {
    const [, , gamma, beta, draw] = inputs;
    const [dGamma, dBeta] = layerNormParameterGradient(build, dy!, sum, mean, inverse, previous[2], previous[3]);
    const [dSum, y] = layerNormGradient(build, dy!, sum, gamma, beta, mean, inverse);
    remade(0, y);
    const { dropout: probability, stream } = attributes;
    return [dropout(build, dSum, draw, { dropout: probability, stream }), dSum, dGamma, dBeta, undefined];
  },
  places: { inputs: [0, 1], outputs: [0, 1, 2, 3] },
  flops([x]) {
    return 10 * sizeOf(x.shape);
  },
  reference({ inputs, outputs: [y, sum, mean, inverse], inputTypes: [{ shape }], attributes }) {
    const [x, residual, gamma, beta, drawValues] = inputs;
    const draw = readDraw(drawValues);
    const threshold = dropoutThreshold(attributes.dropout);
    const first = draw.firstRow * (sizeOf(shape) / shape[0]);
    for (let i = 0; i < x.length; i++) {
      const factor = threshold === 0 ? 1 : dropoutFactor(draw, attributes.stream, threshold, first + i);
      sum[i] = residual[i] + x[i] * factor;
    }
    normalize(sum, gamma, beta, attributes.epsilon, y, mean, inverse);
  },
};

export function addNorm(
  build: Build,
  x: Tensor,
  residual: Tensor,
  gamma: Tensor,
  beta: Tensor,
  draw: Tensor,
  attributes: AddNormAttributes,
): Tensor {
  return build.apply(addNormOperation, [x, residual, gamma, beta, draw], attributes)[0];
}
