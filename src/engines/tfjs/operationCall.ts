/** What the functions of operations/ are handed: one operation of a program with its tensors, and what they share. */
import { add, reshape, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import type { Attributes, TensorType } from '../../ops/operation.js';

export interface OperationCall {
  /** An absent input is undefined; a function that reads it is a bug of the function. */
  readonly inputs: readonly Tensor[];
  readonly inputTypes: readonly TensorType[];
  readonly outputTypes: readonly TensorType[];
  readonly attributes: Attributes;
  /** An input's values on the host: as they came in for an input of the program, else read back once a run. */
  host(position: number): Int32Array | Float32Array;
}

/**
 * One operation → its outputs, as tensors of their own in any shape of the right size; what else it makes is freed for
 * it. Inputs are never written: a backend may keep what it has derived from them.
 */
export type OperationFunction = (call: OperationCall) => Tensor[];

/** All axes but the last folded into one. */
export function asRows(x: Tensor): Tensor2D {
  return reshape(x, [-1, x.shape[x.rank - 1]]);
}

/** x + previous, where there is one. */
export function plus(x: Tensor, previous: Tensor | undefined): Tensor {
  return previous ? add(x, reshape(previous, x.shape)) : x;
}
