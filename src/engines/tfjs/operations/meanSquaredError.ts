/** The loss of a regression and its gradient. */
import { div, mul, reshape, scalar, square, sub, type Tensor } from '@tensorflow/tfjs-core';
import { lossEpsilon } from '../../../ops/maskedLmHead.js';
import type { OperationCall } from '../operationCall.js';
import { sumOnHost } from '../sums.js';

export function meanSquaredError(call: OperationCall): Tensor[] {
  const sum = sumOnHost(weighted(call, square(errors(call))), (term) => term);
  return [scalar(sum / (call.host(3)[0] + lossEpsilon))];
}

export function meanSquaredErrorGradient(call: OperationCall): Tensor[] {
  const scale = mul(2, div(call.inputs[4], call.host(3)[0] + lossEpsilon));
  return [mul(scale, weighted(call, errors(call)))];
}

function errors({ inputs: [predictions, targets] }: OperationCall): Tensor {
  return sub(reshape(predictions, [-1]), targets);
}

function weighted({ inputs: [, , weights] }: OperationCall, x: Tensor): Tensor {
  return weights ? mul(weights, x) : x;
}
