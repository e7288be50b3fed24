/** What a step ends in: the global norm, its clipping factor, AdamW; and the arithmetic that a loss is put together with. */
import type { AdamWAttributes } from '../../../ops/adamW.js';
import { sizeOf } from '../../../ops/operation.js';
import { host, type Wire } from '../graph.js';
import type { Nodes } from '../nodes.js';
import { type Emit, plus } from './call.js';
import { asRows } from './linear.js';

export const constant: Emit<{ value: number }> = ({ graph, attributes: { value } }) => [graph.float(value)];
export const add: Emit = ({ graph, inputs: [x, y] }) => [plus(graph, x, y)];
export const scale: Emit<{ factor: number }> = ({ graph, inputs: [x], attributes: { factor } }) => [
  graph.mul(graph.cast(x, 'float32'), graph.float(factor)),
];

/**
 * Sums by XLA, whose order is fixed; TensorFlow's own L2Loss differs in the last bit from process to process. Columns
 * first, since XLA makes no SIMD of a sum over everything. Vectors of one size are a matrix: a model has hundreds.
 */
export const globalNorm: Emit = ({ graph, inputs, inputTypes }) => {
  const matrices: Wire[] = [];
  const vectors = new Map<number, Wire[]>();
  for (const [i, gradient] of inputs.entries()) {
    const { shape } = inputTypes[i];
    if (shape.length > 1) matrices.push(asRows(graph, gradient, inputTypes[i]));
    else vectors.set(sizeOf(shape), [...(vectors.get(sizeOf(shape)) ?? []), graph.reshape(gradient, [sizeOf(shape)])]);
  }
  for (const equal of vectors.values()) {
    matrices.push(graph.pack(equal.map((gradient) => graph.cast(gradient, 'float32'))));
  }
  const sums = (nodes: Nodes, [x]: Wire[]) => [nodes.sum(nodes.square(x), [0])];
  const squares = graph.concat(matrices.flatMap((matrix) => graph.block(['square_sums'], [matrix], sums)));
  return graph.block(['root_of_sum'], [squares], (nodes, [squares]) => [nodes.sqrt(nodes.sum(squares, [0]))]);
};

export const clip: Emit<{ maxNorm: number }> = ({ graph, inputs, attributes: { maxNorm } }) =>
  graph.block(['clip', maxNorm], inputs, (nodes, [norm]) => {
    const excess = nodes.div(norm, nodes.float(maxNorm));
    const factor = nodes.div(nodes.float(1), nodes.maximum(nodes.float(1), excess));
    return [nodes.select(nodes.isFinite(norm), factor, nodes.float(Number.NaN))];
  });

export const adamW: Emit<AdamWAttributes> = ({ graph, inputs, attributes }) => {
  const [parameter, m, v, gradient, factor, rate, draw] = inputs;
  const { beta1, beta2, epsilon, epsilonInRoot, weightDecay, rateFactor, biasCorrection } = attributes;
  const corrections = [beta1, beta2].map((beta) => (biasCorrection ? correction(graph, draw, beta) : graph.float(1)));
  return graph.block(
    ['adam_w', beta1, beta2, epsilon, epsilonInRoot, weightDecay, rateFactor],
    [parameter, m, v, gradient, factor, rate, ...corrections],
    (nodes, [parameter, m, v, gradient, factor, rate, correctionM, correctionV]) => {
      const isStill = nodes.isNan(factor);
      const g = nodes.mul(factor, gradient);
      const mixed = (old: Wire, beta: number, fresh: Wire) =>
        nodes.add(nodes.mul(nodes.float(beta), old), nodes.mul(nodes.float(1 - beta), fresh));
      const nextM = mixed(m, beta1, g);
      const nextV = mixed(v, beta2, nodes.square(g));
      const square = nodes.mul(correctionV, nextV);
      const root = epsilonInRoot
        ? nodes.sqrt(nodes.add(square, nodes.float(epsilon)))
        : nodes.add(nodes.sqrt(square), nodes.float(epsilon));
      const direction = nodes.div(nodes.mul(correctionM, nextM), root);
      const decayed =
        weightDecay === 0 ? direction : nodes.add(direction, nodes.mul(nodes.float(weightDecay), parameter));
      const step = nodes.mul(nodes.mul(rate, nodes.float(rateFactor)), decayed);
      return [
        nodes.select(isStill, parameter, nodes.sub(parameter, step)),
        nodes.select(isStill, m, nextM),
        nodes.select(isStill, v, nextV),
      ];
    },
  );
};

/** 1 / (1 − βᵗ) with t = step + 1, in float64: 1 − 0.999 has lost 15 bits in float32. */
function correction(nodes: Nodes, draw: Wire, beta: number): Wire {
  return nodes.on(host, () => {
    const step = nodes.reshape(nodes.slice(draw, nodes.ints([2]), [1]), []);
    const t = nodes.add(nodes.cast(nodes.bitcast(step, 'uint32'), 'float64'), nodes.double(1));
    const rest = nodes.sub(nodes.double(1), nodes.pow(nodes.double(beta), t));
    return nodes.cast(nodes.div(nodes.double(1), rest), 'float32');
  });
}
