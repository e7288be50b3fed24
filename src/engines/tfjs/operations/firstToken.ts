/** The first token of each row, and its gradient added to zeros or to what was there. */
import { concat, reshape, slice, type Tensor, zeros } from '@tensorflow/tfjs-core';
import { rowsWithTokens } from '../../../ops/firstToken.js';
import { type OperationCall, plus } from '../operationCall.js';
import { keepRows } from '../rows.js';

export function firstToken(call: OperationCall): Tensor[] {
  const [rows, , width] = call.inputTypes[0].shape;
  const first = slice(call.inputs[0], [0, 0, 0], [rows, 1, width]);
  return [keepRows(reshape(first, [rows, width]), hasTokens(call))];
}

export function firstTokenGradient(call: OperationCall): Tensor[] {
  const [rows, places, width] = call.outputTypes[0].shape;
  const first = reshape(keepRows(reshape(call.inputs[0], [rows, width]), hasTokens(call)), [rows, 1, width]);
  const dx = places === 1 ? first : concat([first, zeros([rows, places - 1, width])], 1);
  return [plus(dx, call.inputs[2])];
}

function hasTokens({ inputTypes, host }: OperationCall): boolean[] {
  const real = new Set(rowsWithTokens(host(1) as Int32Array, inputTypes[1]));
  return Array.from({ length: inputTypes[1].shape[0] }, (_, row) => real.has(row));
}
