/** Constants, sums and multiples, element by element. */
import { add, mul, scalar, type Tensor } from '@tensorflow/tfjs-core';
import type { OperationCall } from '../operationCall.js';

export function constant({ attributes }: OperationCall): Tensor[] {
  return [scalar(Number(attributes.value))];
}

export function addTwo({ inputs: [x, y] }: OperationCall): Tensor[] {
  return [add(x, y)];
}

export function scale({ inputs: [x], attributes }: OperationCall): Tensor[] {
  return [mul(x, Number(attributes.factor))];
}
