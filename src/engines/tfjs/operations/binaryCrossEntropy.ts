/** The discriminator's loss over real tokens, and its gradient. */
import {
  abs,
  add,
  cast,
  concat,
  div,
  equal,
  exp,
  gather,
  greater,
  log1p,
  maximum,
  mul,
  neg,
  reshape,
  scalar,
  sigmoid,
  sub,
  sum,
  type Tensor,
  tensor1d,
  zeros,
} from '@tensorflow/tfjs-core';
import { lossEpsilon } from '../../../ops/maskedLmHead.js';
import { segmentsOf } from '../../../ops/segments.js';
import type { OperationCall } from '../operationCall.js';
import { keepRows } from '../rows.js';
import { sumOnHost } from '../sums.js';

export function binaryCrossEntropy(call: OperationCall): Tensor[] {
  const isReal = realTokens(call);
  const at = Int32Array.from(isReal.keys()).filter((i) => isReal[i]);
  if (at.length === 0) return [zeros([]), zeros([4])];
  const places = tensor1d(at, 'int32');
  const x = gather(reshape(call.inputs[0], [-1]), places);
  const labels = gather(reshape(call.inputs[1], [-1]), places);
  // ln(1 + e^x) − x·label, written so that neither end overflows.
  const linear = sub(maximum(x, 0), mul(x, cast(labels, 'float32')));
  const loss = sumOnHost(add(linear, log1p(exp(neg(abs(x))))), (term) => term);
  const decisions = cast(greater(x, 0), 'int32');
  const counts = [equal(decisions, labels), mul(decisions, labels), decisions, labels];
  return [
    scalar(loss / denominatorOf(call, 3)),
    concat(counts.map((count) => reshape(sum(cast(count, 'float32')), [1]))),
  ];
}

export function binaryCrossEntropyGradient(call: OperationCall): Tensor[] {
  const [logits, labels, , , dLoss] = call.inputs;
  const x = reshape(logits, [-1, 1]);
  // sigmoid(x) − label as s · sigmoid(s · x), s = 1 or −1: nothing cancels.
  const sign = sub(1, mul(2, cast(reshape(labels, [-1, 1]), 'float32')));
  const slope = mul(sign, sigmoid(mul(sign, x)));
  const scaled = mul(slope, div(dLoss, denominatorOf(call, 3)));
  return [keepRows(reshape(scaled, [-1, 1]), realTokens(call))];
}

/** Real tokens of the whole batch, and what keeps a batch without any from dividing by zero. */
function denominatorOf({ host }: OperationCall, position: number): number {
  return host(position)[1] + lossEpsilon;
}

function realTokens({ inputTypes, host }: OperationCall): boolean[] {
  const [rows, places] = inputTypes[1].shape;
  const isReal = new Array<boolean>(rows * places).fill(false);
  for (const { row, start, length } of segmentsOf(host(2) as Int32Array, undefined, inputTypes[2].shape[1])) {
    isReal.fill(true, row * places + start, row * places + start + length);
  }
  return isReal;
}
