/** One parameter's update, into new tensors: a backend may hold a packed copy of the old one. */
import { add, clone, div, mul, sqrt, square, sub, type Tensor } from '@tensorflow/tfjs-core';
import type { AdamWAttributes } from '../../../ops/adamW.js';
import { readDraw } from '../../../ops/dropout.js';
import type { OperationCall } from '../operationCall.js';

export function adamW({ inputs, attributes, host }: OperationCall): Tensor[] {
  const [parameter, m, v, gradient, factor, rate] = inputs;
  const { beta1, beta2, epsilon, epsilonInRoot, weightDecay, rateFactor, biasCorrection } =
    attributes as AdamWAttributes;
  // The norm was not finite: everything stays as it was.
  if (Number.isNaN(host(4)[0])) return [clone(parameter), clone(m), clone(v)];
  const t = readDraw(host(6) as Int32Array).step + 1;
  const correctionM = biasCorrection ? 1 / (1 - beta1 ** t) : 1;
  const correctionV = biasCorrection ? 1 / (1 - beta2 ** t) : 1;
  const g = mul(gradient, factor);
  const nextM = add(mul(m, beta1), mul(g, 1 - beta1));
  const nextV = add(mul(v, beta2), mul(square(g), 1 - beta2));
  const scaledV = mul(nextV, correctionV);
  const root = epsilonInRoot ? sqrt(add(scaledV, epsilon)) : add(sqrt(scaledV), epsilon);
  const direction = add(div(mul(nextM, correctionM), root), mul(parameter, weightDecay));
  return [sub(parameter, mul(direction, mul(rate, rateFactor))), nextM, nextV];
}
