/**
 * Clipping by the global norm: one norm over all gradients, then one factor that `adamW` multiplies every gradient by.
 * The factor of a norm that is not finite is NaN, which makes the update leave everything as it was: a run that meets
 * an overflow still holds its last good weights.
 */
import { positive } from './attributes.js';
import { type Build, expectType, float32, type OperationDefinition, sizeOf, type Tensor } from './operation.js';

/** Any number of float32 tensors → √ Σ of all squares, []. */
export const globalNormOperation: OperationDefinition<Record<string, never>> = {
  name: 'globalNorm',
  infer(gradients) {
    for (const gradient of gradients) expectType('globalNorm', 'gradient', gradient, float32(...gradient.shape));
    return [float32()];
  },
  flops(gradients) {
    return gradients.reduce((sum, { shape }) => sum + 2 * sizeOf(shape), 0);
  },
  reference({ inputs, outputs: [norm] }) {
    let squares = 0;
    for (const gradient of inputs) for (const value of gradient) squares += value * value;
    norm[0] = Math.sqrt(squares);
  },
};

export function globalNorm(build: Build, gradients: readonly Tensor[]): Tensor {
  return build.apply(globalNormOperation, gradients, {})[0];
}

/** norm [] → 1 / max(1, norm / maxNorm), or NaN when the norm is not finite, []. */
export const clipOperation: OperationDefinition<{ maxNorm: number }> = {
  name: 'clip',
  attributes: { maxNorm: positive },
  infer([norm]) {
    expectType('clip', 'norm', norm, float32());
    return [norm];
  },
  flops() {
    return 2;
  },
  reference({ inputs: [norm], outputs: [factor], attributes }) {
    factor[0] = Number.isFinite(norm[0]) ? 1 / Math.max(1, norm[0] / attributes.maxNorm) : Number.NaN;
  },
};

export function clip(build: Build, norm: Tensor, maxNorm: number): Tensor {
  return build.apply(clipOperation, [norm], { maxNorm })[0];
}
