/** Layer normalisation over rows, with and without dropout and residual, and its gradients. */
import { add, mean, mul, reshape, rsqrt, square, sub, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { drop } from '../draws.js';
import { asRows, type OperationCall, plus } from '../operationCall.js';
import { sumOfColumns } from '../sums.js';

export function layerNorm({ inputs: [x, gamma, beta], attributes }: OperationCall): Tensor[] {
  return normalize(asRows(x), gamma, beta, Number(attributes.epsilon));
}

export function addNorm(call: OperationCall): Tensor[] {
  const [x, residual, gamma, beta] = call.inputs;
  const dropped = drop(x, call.inputTypes[0].shape, call.attributes, call.host(4) as Int32Array);
  const whole = asRows(add(residual, dropped));
  const [y, means, inverse] = normalize(whole, gamma, beta, Number(call.attributes.epsilon));
  return [y, whole, means, inverse];
}

/** x (R, H) → y (R, H), mean (R, 1), inverse deviation (R, 1). */
function normalize(x: Tensor2D, gamma: Tensor, beta: Tensor, epsilon: number): Tensor[] {
  const means = mean(x, 1, true);
  const centred = sub(x, means);
  const inverse = rsqrt(add(mean(square(centred), 1, true), epsilon));
  return [add(mul(mul(centred, inverse), gamma), beta), means, inverse];
}

/** With x̂ = (x − mean) · inverse and g = dy γ:  dx = inverse (g − mean(g) − x̂ mean(g x̂)). */
export function layerNormGradient({ inputs: [dy, x, gamma, beta, means, inverse] }: OperationCall): Tensor[] {
  const g = mul(asRows(dy), gamma);
  const normal = standardize(x, means, inverse);
  const shared = mul(normal, mean(mul(g, normal), 1, true));
  return [mul(sub(sub(g, mean(g, 1, true)), shared), asColumn(inverse)), add(mul(normal, gamma), beta)];
}

export function layerNormParameterGradient({ inputs }: OperationCall): Tensor[] {
  const [dy, x, means, inverse, previousGamma, previousBeta] = inputs;
  const rows = asRows(dy);
  const dGamma = sumOfColumns(mul(rows, standardize(x, means, inverse)));
  return [plus(dGamma, previousGamma), plus(sumOfColumns(rows), previousBeta)];
}

function standardize(x: Tensor, means: Tensor, inverse: Tensor): Tensor {
  return mul(sub(asRows(x), asColumn(means)), asColumn(inverse));
}

function asColumn(x: Tensor): Tensor2D {
  return reshape(x, [-1, 1]);
}
