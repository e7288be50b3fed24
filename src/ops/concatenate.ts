/** Tensors side by side along the last extent; the gradient of each is its columns. */
import { count, offset } from './attributes.js';
import { type Build, expectType, float32, lastOf, type OperationDefinition, type Tensor } from './operation.js';

/** Any number of tensors (…, Nᵢ) → (…, Σ Nᵢ). */
export const concatenateOperation: OperationDefinition<Record<string, never>> = {
  name: 'concatenate',
  infer(parts) {
    const leading = parts[0].shape.slice(0, -1);
    for (const [i, part] of parts.entries()) expectType('concatenate', `input ${i}`, part, float32(...leading, -1));
    return [
      float32(
        ...leading,
        parts.reduce((sum, { shape }) => sum + lastOf(shape), 0),
      ),
    ];
  },
  gradient({ build, inputs, outputGradients: [dy], needed }) {
    let from = 0;
    return inputs.map(({ shape }, i) => {
      const attributes = { from, width: lastOf(shape) };
      from += lastOf(shape);
      return needed[i] ? build.apply(concatenateGradientOperation, [dy], attributes)[0] : undefined;
    });
  },
  places: { inputs: 'all', outputs: [0] },
  flops() {
    return 0;
  },
  reference({ inputs, outputs: [y], inputTypes, outputTypes }) {
    const total = lastOf(outputTypes[0].shape);
    let from = 0;
    for (const [n, part] of inputs.entries()) {
      const width = lastOf(inputTypes[n].shape);
      for (let i = 0; i < part.length; i++) y[Math.floor(i / width) * total + from + (i % width)] = part[i];
      from += width;
    }
  },
};

export function concatenate(build: Build, parts: readonly Tensor[]): Tensor {
  return build.apply(concatenateOperation, parts, {})[0];
}

/** dy (…, N) → its columns [from, from + width), (…, width). */
export const concatenateGradientOperation: OperationDefinition<{ from: number; width: number }> = {
  name: 'concatenateGradient',
  attributes: { from: offset, width: count },
  infer([dy], { from, width }) {
    const leading = dy.shape.slice(0, -1);
    expectType('concatenateGradient', 'dy', dy, float32(...leading, Math.max(from + width, lastOf(dy.shape))));
    return [float32(...leading, width)];
  },
  places: { inputs: [0], outputs: [0] },
  flops() {
    return 0;
  },
  reference({ inputs: [dy], outputs: [dx], inputTypes, attributes: { from, width } }) {
    const total = lastOf(inputTypes[0].shape);
    for (let i = 0; i < dx.length; i++) dx[i] = dy[Math.floor(i / width) * total + from + (i % width)];
  },
};
