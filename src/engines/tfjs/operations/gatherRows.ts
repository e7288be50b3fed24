/** Rows and ids at places, and rows added back to them. */
import { gather, reshape, type Tensor } from '@tensorflow/tfjs-core';
import { asRows, type OperationCall, plus } from '../operationCall.js';
import { flatPlaces, sumByRow } from '../rows.js';

export function gatherRows({ inputs: [x], inputTypes, host }: OperationCall): Tensor[] {
  const places = flatPlaces(host(1), inputTypes[1].shape[1], inputTypes[0].shape[1]);
  return [gather(asRows(x), places)];
}

export function gatherIds({ inputs: [ids], inputTypes, host }: OperationCall): Tensor[] {
  const places = flatPlaces(host(1), inputTypes[1].shape[1], inputTypes[0].shape[1]);
  return [gather(reshape(ids, [-1]), places)];
}

export function scatterRows({ inputs: [dy, , previous], inputTypes, outputTypes, host }: OperationCall): Tensor[] {
  const [rows, length, width] = outputTypes[0].shape;
  const places = flatPlaces(host(1), inputTypes[1].shape[1], length);
  const dx = reshape(sumByRow(asRows(dy), places, rows * length), [rows, length, width]);
  return [plus(dx, previous)];
}
