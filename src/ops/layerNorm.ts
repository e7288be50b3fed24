/**
 * y = γ (x − mean) / √(variance + ε) + β over the last axis, and its gradient.
 * The variance is the mean of the squared differences (Hugging Face, TensorFlow's contrib.layers.layer_norm).
 */
import { notNegative } from './attributes.js';
import {
  type Build,
  expectType,
  float32,
  lastOf,
  type OperationDefinition,
  rowsOf,
  sizeOf,
  type Tensor,
  type Values,
} from './operation.js';

/** x (…, H), gamma (H), beta (H) → y (…, H), mean (rows), inverse deviation (rows). */
export const layerNormOperation: OperationDefinition<{ epsilon: number }> = {
  name: 'layerNorm',
  attributes: { epsilon: notNegative },
  infer([x, gamma, beta]) {
    const width = lastOf(x.shape);
    expectType('layerNorm', 'gamma', gamma, float32(width));
    expectType('layerNorm', 'beta', beta, float32(width));
    const statistics = float32(rowsOf(x.shape));
    return [x, statistics, statistics];
  },
  inPlace: [],
  accumulates: [1, 2],
  gradient({ build, inputs: [x, gamma, beta], outputs: [, mean, inverse], outputGradients: [dy], previous, remade }) {
    const [dGamma, dBeta] = layerNormParameterGradient(build, dy!, x, mean, inverse, previous[1], previous[2]);
    const [dx, y] = layerNormGradient(build, dy!, x, gamma, beta, mean, inverse);
    remade(0, y);
    return [dx, dGamma, dBeta];
  },
  places: { inputs: [0], outputs: [0, 1, 2] },
  flops([x]) {
    return 8 * sizeOf(x.shape);
  },
  reference({ inputs: [x, gamma, beta], outputs: [y, mean, inverse], attributes }) {
    normalize(x, gamma, beta, attributes.epsilon, y, mean, inverse);
  },
};

/** The forward pass in float64, shared with `addNorm`. */
export function normalize(
  x: Values,
  gamma: Values,
  beta: Values,
  epsilon: number,
  y: Values,
  mean: Values,
  inverse: Values,
): void {
  const width = gamma.length;
  for (let row = 0; row < mean.length; row++) {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += x[row * width + i];
    mean[row] = sum / width;
    let squares = 0;
    for (let i = 0; i < width; i++) squares += (x[row * width + i] - mean[row]) ** 2;
    inverse[row] = 1 / Math.sqrt(squares / width + epsilon);
    scaleNormal(x, gamma, beta, mean, inverse, y, row);
  }
}

/** One row of y, when its mean and inverse deviation are known. */
function scaleNormal(
  x: Values,
  gamma: Values,
  beta: Values,
  mean: Values,
  inverse: Values,
  y: Values,
  row: number,
): void {
  const start = row * gamma.length;
  for (let i = 0; i < gamma.length; i++) {
    y[start + i] = (x[start + i] - mean[row]) * inverse[row] * gamma[i] + beta[i];
  }
}

export function layerNorm(build: Build, x: Tensor, gamma: Tensor, beta: Tensor, epsilon: number): Tensor {
  return build.apply(layerNormOperation, [x, gamma, beta], { epsilon })[0];
}

/** dy, x (…, H), gamma, beta (H), mean, inverse deviation (rows) → dx, and y once more (…, H). */
export const layerNormGradientOperation: OperationDefinition<Record<string, never>> = {
  name: 'layerNormGradient',
  infer([dy, x, gamma, beta, mean, inverse]) {
    expectType('layerNormGradient', 'x', x, dy);
    expectType('layerNormGradient', 'gamma', gamma, float32(lastOf(dy.shape)));
    expectType('layerNormGradient', 'beta', beta, gamma);
    expectType('layerNormGradient', 'mean', mean, float32(rowsOf(dy.shape)));
    expectType('layerNormGradient', 'inverse', inverse, mean);
    return [dy, dy];
  },
  inPlace: [
    [0, 0],
    [1, 1],
  ],
  places: { inputs: [0, 1, 4, 5], outputs: [0, 1] },
  flops([dy]) {
    return 14 * sizeOf(dy.shape);
  },
  reference({ inputs: [dy, x, gamma, beta, mean, inverse], outputs: [dx, y] }) {
    // With x̂ = (x − mean) · inverse and g = dy γ:  dx = inverse (g − mean(g) − x̂ mean(g x̂)).
    const width = gamma.length;
    for (let row = 0; row < mean.length; row++) {
      let meanG = 0;
      let meanGx = 0;
      for (let i = 0; i < width; i++) {
        const g = dy[row * width + i] * gamma[i];
        meanG += g / width;
        meanGx += (g * (x[row * width + i] - mean[row]) * inverse[row]) / width;
      }
      for (let i = 0; i < width; i++) {
        const normal = (x[row * width + i] - mean[row]) * inverse[row];
        dx[row * width + i] = inverse[row] * (dy[row * width + i] * gamma[i] - meanG - normal * meanGx);
      }
      scaleNormal(x, gamma, beta, mean, inverse, y, row);
    }
  },
};

export function layerNormGradient(
  build: Build,
  dy: Tensor,
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  mean: Tensor,
  inverse: Tensor,
): Tensor[] {
  return build.apply(layerNormGradientOperation, [dy, x, gamma, beta, mean, inverse], {});
}

/** dy, x (…, H), mean, inverse (rows), previous dγ and dβ or absent → dγ (H), dβ (H). */
export const layerNormParameterGradientOperation: OperationDefinition<Record<string, never>> = {
  name: 'layerNormParameterGradient',
  infer([dy, x, mean, inverse, previousGamma, previousBeta]) {
    expectType('layerNormParameterGradient', 'x', x, dy);
    expectType('layerNormParameterGradient', 'mean', mean, float32(rowsOf(dy.shape)));
    expectType('layerNormParameterGradient', 'inverse', inverse, mean);
    const parameter = float32(lastOf(dy.shape));
    if (previousGamma) expectType('layerNormParameterGradient', 'previous gamma', previousGamma, parameter);
    if (previousBeta) expectType('layerNormParameterGradient', 'previous beta', previousBeta, parameter);
    return [parameter, parameter];
  },
  inPlace: [
    [0, 4],
    [1, 5],
  ],
  places: { inputs: [0, 1, 2, 3], outputs: [] },
  flops([dy]) {
    return 5 * sizeOf(dy.shape);
  },
  reference({ inputs: [dy, x, mean, inverse, previousGamma, previousBeta], outputs: [dGamma, dBeta] }) {
    const width = dGamma.length;
    for (let i = 0; i < width; i++) {
      let gamma = previousGamma ? previousGamma[i] : 0;
      let beta = previousBeta ? previousBeta[i] : 0;
      for (let row = 0; row < mean.length; row++) {
        gamma += dy[row * width + i] * (x[row * width + i] - mean[row]) * inverse[row];
        beta += dy[row * width + i];
      }
      dGamma[i] = gamma;
      dBeta[i] = beta;
    }
  },
};

export function layerNormParameterGradient(
  build: Build,
  dy: Tensor,
  x: Tensor,
  mean: Tensor,
  inverse: Tensor,
  previousGamma?: Tensor,
  previousBeta?: Tensor,
): Tensor[] {
  return build.apply(layerNormParameterGradientOperation, [dy, x, mean, inverse, previousGamma, previousBeta], {});
}
