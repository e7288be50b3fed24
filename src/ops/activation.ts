/**
 * The activations that a `linear` may end in, and their gradient.
 *
 * gelu is the exact one, x Φ(x) = x (1 + erf(x/√2)) / 2, as ELECTRA and Hugging Face's "gelu" compute it.
 */
import { oneOf } from './attributes.js';
import { type Build, expectType, type OperationDefinition, sizeOf, type Tensor } from './operation.js';

export type Activation = 'none' | 'gelu' | 'tanh';

export const activationRule = oneOf(['none', 'gelu', 'tanh'] satisfies Activation[]);

export function activate(activation: Activation, x: number): number {
  if (activation === 'gelu') return 0.5 * x * (1 + erf(x * Math.SQRT1_2));
  if (activation === 'tanh') return Math.tanh(x);
  return x;
}

function derivative(activation: Activation, x: number): number {
  if (activation === 'gelu') {
    return 0.5 * (1 + erf(x * Math.SQRT1_2)) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI);
  }
  if (activation === 'tanh') return 1 - Math.tanh(x) ** 2;
  return 1;
}

/** erf in float64, to about 1e-16: Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!! · 2/√π · e^(−x²), whose terms are all of one sign. */
export function erf(x: number): number {
  if (Number.isNaN(x)) return x;
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** dy and pre of one shape → dPre = dy · activation′(pre), and y = activation(pre) once more. */
export const activationGradientOperation: OperationDefinition<{ activation: Activation }> = {
  name: 'activationGradient',
  attributes: { activation: activationRule },
  infer([dy, pre]) {
    expectType('activationGradient', 'pre', pre, dy);
    return [dy, dy];
  },
  inPlace: [
    [0, 0],
    [1, 1],
  ],
  places: { inputs: [0, 1], outputs: [0, 1] },
  flops([dy]) {
    return 20 * sizeOf(dy.shape);
  },
  reference({ inputs: [dy, pre], outputs: [dPre, y], attributes }) {
    for (let i = 0; i < dy.length; i++) {
      dPre[i] = dy[i] * derivative(attributes.activation, pre[i]);
      y[i] = activate(attributes.activation, pre[i]);
    }
  },
};

export function activationGradient(build: Build, dy: Tensor, pre: Tensor, activation: Activation): Tensor[] {
  return build.apply(activationGradientOperation, [dy, pre], { activation });
}
