/** The global norm over all gradients as one vector, and the clipping factor. */
import {
  add,
  concat,
  div,
  maximum,
  reshape,
  sqrt,
  square,
  sub,
  type Tensor,
  type Tensor1D,
} from '@tensorflow/tfjs-core';
import type { OperationCall } from '../operationCall.js';
import { exactSum } from '../sums.js';

/** Half a rounding from the squares, half from their sum, one from the root. Squares overflow beyond 1.8e19. */
export function globalNorm({ inputs }: OperationCall): Tensor[] {
  const all = concat(inputs.map((gradient) => reshape(gradient, [-1]) as Tensor1D));
  return [sqrt(exactSum(square(all)))];
}

/** One rounding: maxNorm / max(maxNorm, norm). What is not finite makes norm − norm NaN. */
export function clip({ inputs: [norm], attributes }: OperationCall): Tensor[] {
  const maxNorm = Number(attributes.maxNorm);
  return [add(div(maxNorm, maximum(maxNorm, norm)), sub(norm, norm))];
}
