/**
 * One parameter's update by Adam with decoupled weight decay (Loshchilov & Hutter 2019).
 *
 *   g ← factor · g        m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²
 *   p ← p − rate · rateFactor · ( c₁ m / (√(c₂ v) + ε) + weightDecay · p )         ε outside the root, or
 *                               ( c₁ m / √(c₂ v + ε) + weightDecay · p )           inside it (epsilonInRoot)
 *
 * c₁ = 1 / (1 − β₁ᵗ), c₂ = 1 / (1 − β₂ᵗ) with t = step + 1, or both 1 without bias correction, as the original
 * ELECTRA has it (google-research/electra 8a46635, model/optimization.py). A factor of NaN changes nothing.
 */
import { anyNumber, belowOne, flag, notNegative } from './attributes.js';
import { drawType } from './dropout.js';
import { type Build, expectType, float32, type OperationDefinition, sizeOf, type Tensor } from './operation.js';

export type AdamWAttributes = {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly epsilonInRoot: boolean;
  readonly weightDecay: number;
  readonly rateFactor: number;
  readonly biasCorrection: boolean;
};

/** parameter, m, v, gradient of one shape, factor [], rate [], draw (its step counts) → parameter, m, v after it. */
export const adamWOperation: OperationDefinition<AdamWAttributes> = {
  name: 'adamW',
  attributes: {
    beta1: belowOne,
    beta2: belowOne,
    epsilon: notNegative,
    epsilonInRoot: flag,
    weightDecay: notNegative,
    rateFactor: anyNumber,
    biasCorrection: flag,
  },
  infer([parameter, m, v, gradient, factor, rate, draw]) {
    expectType('adamW', 'm', m, parameter);
    expectType('adamW', 'v', v, parameter);
    expectType('adamW', 'gradient', gradient, parameter);
    expectType('adamW', 'factor', factor, float32());
    expectType('adamW', 'rate', rate, float32());
    expectType('adamW', 'draw', draw, drawType);
    return [parameter, parameter, parameter];
  },
  inPlace: [
    [0, 0],
    [1, 1],
    [2, 2],
  ],
  flops([parameter]) {
    return 15 * sizeOf(parameter.shape);
  },
  reference({ inputs, outputs: [newParameter, newM, newV], attributes }) {
    const [parameter, m, v, gradient, factor, rate, draw] = inputs;
    const { beta1, beta2, epsilon, epsilonInRoot, weightDecay, rateFactor, biasCorrection } = attributes;
    const t = (draw[2] >>> 0) + 1;
    const correctionM = biasCorrection ? 1 / (1 - beta1 ** t) : 1;
    const correctionV = biasCorrection ? 1 / (1 - beta2 ** t) : 1;
    const still = Number.isNaN(factor[0]);
    for (let i = 0; i < parameter.length; i++) {
      const g = factor[0] * gradient[i];
      const nextM = beta1 * m[i] + (1 - beta1) * g;
      const nextV = beta2 * v[i] + (1 - beta2) * g * g;
      const root = epsilonInRoot ? Math.sqrt(correctionV * nextV + epsilon) : Math.sqrt(correctionV * nextV) + epsilon;
      const step = rate[0] * rateFactor * ((correctionM * nextM) / root + weightDecay * parameter[i]);
      newParameter[i] = still ? parameter[i] : parameter[i] - step;
      newM[i] = still ? m[i] : nextM;
      newV[i] = still ? v[i] : nextV;
    }
  },
};

export function adamW(
  build: Build,
  state: { parameter: Tensor; m: Tensor; v: Tensor },
  gradient: Tensor,
  step: { factor: Tensor; rate: Tensor; draw: Tensor },
  attributes: AdamWAttributes,
): { parameter: Tensor; m: Tensor; v: Tensor } {
  const inputs = [state.parameter, state.m, state.v, gradient, step.factor, step.rate, step.draw];
  const [parameter, m, v] = build.apply(adamWOperation, inputs, attributes);
  return { parameter, m, v };
}
