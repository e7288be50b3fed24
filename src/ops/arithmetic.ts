/** The few elementwise operations that a loss is put together with: a constant, a sum of two, a multiple. */
import { anyNumber } from './attributes.js';
import { type Build, expectType, float32, type OperationDefinition, sizeOf, type Tensor } from './operation.js';

/** → value [], the seed of a gradient. */
export const constantOperation: OperationDefinition<{ value: number }> = {
  name: 'constant',
  attributes: { value: anyNumber },
  infer() {
    return [float32()];
  },
  flops() {
    return 0;
  },
  reference({ outputs: [y], attributes }) {
    y[0] = attributes.value;
  },
};

export function constant(build: Build, value: number): Tensor {
  return build.apply(constantOperation, [], { value })[0];
}

/** x and y of one type → x + y. */
export const addOperation: OperationDefinition<Record<string, never>> = {
  name: 'add',
  infer([x, y]) {
    expectType('add', 'x', x, float32(...x.shape));
    expectType('add', 'y', y, x);
    return [x];
  },
  inPlace: [
    [0, 0],
    [0, 1],
  ],
  gradient({ outputGradients: [dSum] }) {
    return [dSum, dSum];
  },
  places: { inputs: [0, 1], outputs: [0] },
  flops([x]) {
    return sizeOf(x.shape);
  },
  reference({ inputs: [x, y], outputs: [sum] }) {
    for (let i = 0; i < x.length; i++) sum[i] = x[i] + y[i];
  },
};

export function add(build: Build, x: Tensor, y: Tensor): Tensor {
  return build.apply(addOperation, [x, y], {})[0];
}

/** x → factor · x. */
export const scaleOperation: OperationDefinition<{ factor: number }> = {
  name: 'scale',
  attributes: { factor: anyNumber },
  infer([x]) {
    expectType('scale', 'x', x, float32(...x.shape));
    return [x];
  },
  inPlace: [[0, 0]],
  gradient({ build, attributes, outputGradients: [dy] }) {
    return [scale(build, dy!, attributes.factor)];
  },
  places: { inputs: [0], outputs: [0] },
  flops([x]) {
    return sizeOf(x.shape);
  },
  reference({ inputs: [x], outputs: [y], attributes }) {
    for (let i = 0; i < x.length; i++) y[i] = attributes.factor * x[i];
  },
};

export function scale(build: Build, x: Tensor, factor: number): Tensor {
  return build.apply(scaleOperation, [x], { factor })[0];
}
