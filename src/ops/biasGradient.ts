/** dy (…, N), previous (N) or absent → Σ over all rows of dy + previous, (N): the gradient of an added vector. */
import { type Build, expectType, float32, lastOf, type OperationDefinition, sizeOf, type Tensor } from './operation.js';

export const biasGradientOperation: OperationDefinition<Record<string, never>> = {
  name: 'biasGradient',
  infer([dy, previous]) {
    const dBias = float32(lastOf(dy.shape));
    if (previous) expectType('biasGradient', 'previous', previous, dBias);
    return [dBias];
  },
  inPlace: [[0, 1]],
  places: { inputs: [0], outputs: [] },
  operands: [0],
  flops([dy]) {
    return sizeOf(dy.shape);
  },
  reference({ inputs: [dy, previous], outputs: [dBias] }) {
    for (let column = 0; column < dBias.length; column++) {
      let sum = previous ? previous[column] : 0;
      for (let i = column; i < dy.length; i += dBias.length) sum += dy[i];
      dBias[column] = sum;
    }
  },
};

export function biasGradient(build: Build, dy: Tensor, previous?: Tensor): Tensor {
  return build.apply(biasGradientOperation, [dy, previous], {})[0];
}
