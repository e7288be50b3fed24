/** gelu, tanh and their gradient, from the backend's erf, exp and tanh. */
import { add, clone, erf, exp, mul, onesLike, square, sub, type Tensor, tanh } from '@tensorflow/tfjs-core';
import type { Activation } from '../../../ops/activation.js';
import type { OperationCall } from '../operationCall.js';

export function activate(x: Tensor, activation: Activation): Tensor {
  if (activation === 'gelu') return mul(mul(x, 0.5), add(erf(mul(x, Math.SQRT1_2)), 1));
  if (activation === 'tanh') return tanh(x);
  return clone(x);
}

export function activationGradient({ inputs: [dy, pre], attributes }: OperationCall): Tensor[] {
  const activation = attributes.activation as Activation;
  const [slope, y] = slopeAndValue(pre, activation);
  return [mul(dy, slope), y];
}

function slopeAndValue(x: Tensor, activation: Activation): [Tensor, Tensor] {
  if (activation === 'none') return [onesLike(x), clone(x)];
  if (activation === 'gelu') {
    const twice = add(erf(mul(x, Math.SQRT1_2)), 1);
    const bell = exp(mul(square(x), -0.5));
    const slope = add(mul(twice, 0.5), mul(mul(x, 1 / Math.sqrt(2 * Math.PI)), bell));
    return [slope, mul(mul(x, 0.5), twice)];
  }
  // As (1 − tanh) (1 + tanh): near 1 the square alone would lose what the difference keeps.
  const y = tanh(x);
  return [mul(sub(1, y), add(1, y)), y];
}
