/** A choice among the open columns of each row: sums over columns in tensors, what is one number a row on the host. */
import {
  div,
  exp,
  fill,
  max,
  mul,
  reshape,
  scalar,
  sub,
  type Tensor,
  type Tensor2D,
  tensor1d,
  tensor2d,
  where,
  zerosLike,
} from '@tensorflow/tfjs-core';
import { lossEpsilon } from '../../../ops/maskedLmHead.js';
import { openColumns } from '../../../ops/softmaxCrossEntropy.js';
import type { OperationCall } from '../operationCall.js';
import { sumOfRows } from '../sums.js';

export function softmaxCrossEntropy(call: OperationCall): Tensor[] {
  const { rows, columns, isOpen, label, weight } = choiceOf(call);
  const open = tensor2d(Uint8Array.from(isOpen, Number), [rows, columns], 'bool');
  const x = where(open, reshape(call.inputs[0], [rows, columns]), fill([rows, columns], -3e38)) as Tensor2D;
  const largest = max(x, 1, true);
  const terms = where(open, exp(sub(x, largest)), zerosLike(x)) as Tensor2D;
  const totals = sumOfRows(terms).dataSync();
  const most = largest.dataSync();
  const logits = x.dataSync();
  let loss = 0;
  const logSumExp = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const hasOpen = isOpen.slice(row * columns, (row + 1) * columns).includes(true);
    if (hasOpen) logSumExp[row] = most[row] + Math.log(totals[row]);
    if (isOpen[label(row)]) loss += weight(row) * (Math.log(totals[row]) + (most[row] - logits[label(row)]));
  }
  return [scalar(loss / (call.host(5)[0] + lossEpsilon)), tensor1d(logSumExp)];
}

export function softmaxCrossEntropyGradient(call: OperationCall): Tensor[] {
  const { rows, columns, isOpen, label, weight } = choiceOf(call);
  const [logits, , , , , , logSumExp, dLoss] = call.inputs;
  const x = reshape(logits, [rows, columns]);
  const target = new Float32Array(rows * columns);
  const isSeen = new Uint8Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    if (!isOpen[label(row)]) continue;
    target[label(row)] = 1;
    for (let i = row * columns; i < (row + 1) * columns; i++) isSeen[i] = isOpen[i] ? 1 : 0;
  }
  const slope = sub(exp(sub(x, reshape(logSumExp, [rows, 1]))), tensor2d(target, [rows, columns]));
  const weights = tensor2d(
    Float32Array.from({ length: rows }, (_, row) => weight(row)),
    [rows, 1],
  );
  const scaled = mul(slope, mul(weights, div(dLoss, call.host(5)[0] + lossEpsilon)));
  return [where(tensor2d(isSeen, [rows, columns], 'bool'), scaled, zerosLike(x))];
}

function choiceOf({ inputs, inputTypes, host }: OperationCall) {
  const [rows, columns] = inputTypes[0].shape;
  const [lengths, allowed, weights] = [2, 3, 4].map((position) => (inputs[position] ? host(position) : undefined));
  const labels = host(1);
  return {
    rows,
    columns,
    isOpen: openColumns(lengths, allowed, rows, columns),
    /** Number of the label's logit among all. */
    label: (row: number) => row * columns + labels[row],
    weight: (row: number) => weights?.[row] ?? 1,
  };
}
