/** The global norm over all gradients, and the clipping factor. */
import { add, div, maximum, scalar, sub, type Tensor } from '@tensorflow/tfjs-core';
import type { OperationCall } from '../operationCall.js';
import { sumOnHost } from '../sums.js';

/** Squares are summed in float64, so no norm that float32 holds overflows on the way. */
export function globalNorm({ inputs }: OperationCall): Tensor[] {
  const squares = inputs.reduce((sum, gradient) => sum + sumOnHost(gradient, (value) => value * value), 0);
  return [scalar(Math.sqrt(squares))];
}

/** One rounding: maxNorm / max(maxNorm, norm). What is not finite makes norm − norm NaN. */
export function clip({ inputs: [norm], attributes }: OperationCall): Tensor[] {
  const maxNorm = Number(attributes.maxNorm);
  return [add(div(maxNorm, maximum(maxNorm, norm)), sub(norm, norm))];
}
