/**
 * y = activation(x Wᵀ + b): the affine map of every dense layer, weights in Hugging Face's layout (out, in).
 *
 * The three matrix products of training are three operations: x Wᵀ forward, dy W for the input, dyᵀ x for the
 * weight. The two of the gradient can add to a target, since tied tables and residual streams have several uses.
 */
import { type Activation, activate, activationGradient, activationRule } from './activation.js';
import { biasGradient } from './biasGradient.js';
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

/**
 * x (…, K), weight (N, K), bias (N) or absent → y (…, N); with an activation also the value before it, which the
 * gradient reads.
 */
export const linearOperation: OperationDefinition<{ activation: Activation }> = {
  name: 'linear',
  attributes: { activation: activationRule },
  infer([x, weight, bias], { activation }) {
    const outWidth = weight.shape[0];
    expectType('linear', 'weight', weight, float32(-1, lastOf(x.shape)));
    if (bias) expectType('linear', 'bias', bias, float32(outWidth));
    const y = float32(...x.shape.slice(0, -1), outWidth);
    return activation === 'none' ? [y] : [y, y];
  },
  accumulates: [0, 1, 2],
  gradient({ build, inputs, outputs, attributes: { activation }, outputGradients, needed, previous, remade }) {
    const [x, weight, bias] = inputs;
    let dPre = outputGradients[0]!;
    if (activation !== 'none') {
      const [slope, y] = activationGradient(build, dPre, outputs[1], activation);
      remade(0, y);
      dPre = slope;
    }
    return [
      needed[0] ? linearInputGradient(build, dPre, weight, previous[0]) : undefined,
      needed[1] ? linearWeightGradient(build, dPre, x, previous[1]) : undefined,
      bias && needed[2] ? biasGradient(build, dPre, previous[2]) : undefined,
    ];
  },
  places: { inputs: [0], outputs: [0, 1] },
  operands: [0, 1],
  flops([x, weight]) {
    return 2 * rowsOf(x.shape) * sizeOf(weight.shape);
  },
  reference({ inputs: [x, weight, bias], outputs: [y, pre], inputTypes, attributes }) {
    const [outWidth, inWidth] = inputTypes[1].shape;
    for (let row = 0; row < x.length / inWidth; row++) {
      for (let out = 0; out < outWidth; out++) {
        let sum = bias ? bias[out] : 0;
        for (let k = 0; k < inWidth; k++) sum += x[row * inWidth + k] * weight[out * inWidth + k];
        if (pre) pre[row * outWidth + out] = sum;
        y[row * outWidth + out] = activate(attributes.activation, sum);
      }
    }
  },
};

export function linear(
  build: Build,
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  activation: Activation = 'none',
): Tensor {
  return build.apply(linearOperation, [x, weight, bias], { activation })[0];
}

/** dy (…, N), weight (N, K), previous (…, K) or absent → dx = dy W + previous, (…, K). */
export const linearInputGradientOperation: OperationDefinition<Record<string, never>> = {
  name: 'linearInputGradient',
  infer([dy, weight, previous]) {
    expectType('linearInputGradient', 'weight', weight, float32(lastOf(dy.shape), -1));
    const dx = float32(...dy.shape.slice(0, -1), weight.shape[1]);
    if (previous) expectType('linearInputGradient', 'previous', previous, dx);
    return [dx];
  },
  inPlace: [[0, 2]],
  places: { inputs: [0, 2], outputs: [0] },
  operands: [0, 1],
  flops([dy, weight]) {
    return 2 * rowsOf(dy.shape) * sizeOf(weight.shape);
  },
  reference({ inputs: [dy, weight, previous], outputs: [dx], inputTypes }) {
    const [outWidth, inWidth] = inputTypes[1].shape;
    if (previous) dx.set(previous);
    else dx.fill(0);
    for (let row = 0; row < dy.length / outWidth; row++) {
      for (let out = 0; out < outWidth; out++) {
        const [gradient, to, from] = [dy[row * outWidth + out], row * inWidth, out * inWidth];
        for (let k = 0; k < inWidth; k++) dx[to + k] += gradient * weight[from + k];
      }
    }
  },
};

export function linearInputGradient(build: Build, dy: Tensor, weight: Tensor, previous?: Tensor): Tensor {
  return build.apply(linearInputGradientOperation, [dy, weight, previous], {})[0];
}

/** dy (…, N), x (…, K), previous (N, K) or absent → dW = dyᵀ x + previous, (N, K). */
export const linearWeightGradientOperation: OperationDefinition<Record<string, never>> = {
  name: 'linearWeightGradient',
  infer([dy, x, previous]) {
    expectType('linearWeightGradient', 'x', x, float32(...dy.shape.slice(0, -1), -1));
    const dWeight = float32(lastOf(dy.shape), lastOf(x.shape));
    if (previous) expectType('linearWeightGradient', 'previous', previous, dWeight);
    return [dWeight];
  },
  inPlace: [[0, 2]],
  places: { inputs: [0, 1], outputs: [] },
  operands: [0, 1],
  flops([dy, x]) {
    return 2 * sizeOf(dy.shape) * lastOf(x.shape);
  },
  reference({ inputs: [dy, x, previous], outputs: [dWeight], inputTypes }) {
    const outWidth = lastOf(inputTypes[0].shape);
    const inWidth = lastOf(inputTypes[1].shape);
    if (previous) dWeight.set(previous);
    else dWeight.fill(0);
    for (let row = 0; row < dy.length / outWidth; row++) {
      for (let out = 0; out < outWidth; out++) {
        const [gradient, to, from] = [dy[row * outWidth + out], out * inWidth, row * inWidth];
        for (let k = 0; k < inWidth; k++) dWeight[to + k] += gradient * x[from + k];
      }
    }
  },
};

export function linearWeightGradient(build: Build, dy: Tensor, x: Tensor, previous?: Tensor): Tensor {
  return build.apply(linearWeightGradientOperation, [dy, x, previous], {})[0];
}
