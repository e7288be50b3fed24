/** The three products of a linear layer and the sum for its bias. */
import { add, type Tensor } from '@tensorflow/tfjs-core';
import type { Activation } from '../../../ops/activation.js';
import { asRows, type OperationCall, plus } from '../operationCall.js';
import { product } from '../products.js';
import { sumOfColumns } from '../sums.js';
import { activate } from './activation.js';

export function linear({ inputs: [x, weight, bias], attributes }: OperationCall): Tensor[] {
  const activation = attributes.activation as Activation;
  const pre = affine(x, weight, bias);
  return activation === 'none' ? [pre] : [activate(pre, activation), pre];
}

/** x Wᵀ + b, (rows, N). */
export function affine(x: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor {
  const y = product(asRows(x), weight, { b: true });
  return bias ? add(y, bias) : y;
}

export function linearInputGradient({ inputs: [dy, weight, previous] }: OperationCall): Tensor[] {
  return [plus(product(asRows(dy), weight), previous)];
}

export function linearWeightGradient({ inputs: [dy, x, previous] }: OperationCall): Tensor[] {
  return [plus(product(asRows(dy), asRows(x), { a: true }), previous)];
}

export function biasGradient({ inputs: [dy, previous] }: OperationCall): Tensor[] {
  return [plus(sumOfColumns(asRows(dy)), previous)];
}
