/** Tensors side by side along the last extent, and their columns taken out again. */
import { concat, slice, type Tensor } from '@tensorflow/tfjs-core';
import { asRows, type OperationCall } from '../operationCall.js';

export function concatenate({ inputs }: OperationCall): Tensor[] {
  return [concat(inputs.map(asRows), 1)];
}

export function concatenateGradient({ inputs: [dy], attributes }: OperationCall): Tensor[] {
  return [slice(asRows(dy), [0, Number(attributes.from)], [-1, Number(attributes.width)])];
}
