/** Dense layers: three products, each in the form that TensorFlow is fastest at, with the elementwise rest in blocks. */
import type { Activation } from '../../../ops/activation.js';
import { lastOf, rowsOf, type TensorType } from '../../../ops/operation.js';
import type { Wire } from '../graph.js';
import type { Nodes } from '../nodes.js';
import { batchProduct, type Emit, type EmitCall, plus, product, rounded } from './call.js';

export const linear: Emit<{ activation: Activation }> = (call) => {
  const { graph, inputs, inputTypes, outputTypes, attributes, precision } = call;
  const [x, weight, bias] = inputs;
  const [outWidth, inWidth] = inputTypes[1].shape;
  const { shape } = outputTypes[0];
  // In float32, where the sums are longer than the rows, MatMul takes a third more time than the same as a batch of one.
  const multiply = precision === 'float32' && inWidth > outWidth ? batchProduct : product;
  const sum = multiply(call, asRows(graph, x, inputTypes[0]), weight, { b: true });
  // TensorFlow makes one node of a MatMul and this, which rounds to the precision once.
  const pre = bias ? graph.biasAdd(sum, graph.cast(bias, precision)) : sum;
  const { activation } = attributes;
  if (activation === 'none') return [graph.reshape(pre, shape)];
  const [y] = graph.block(['activate', activation, call.isOperand[0]], [pre], (nodes, [pre]) => [
    rounded(nodes, activate(nodes, activation, pre, halfway(nodes, activation, pre)), call, 0),
  ]);
  return [y, pre].map((output) => graph.reshape(output, shape));
};

/** What an activation and its slope are both made of: tanh x, or 1 + erf(x / √2). */
function halfway(nodes: Nodes, activation: Activation, x: Wire): Wire {
  if (activation === 'tanh') return nodes.tanh(x);
  return nodes.add(nodes.erf(nodes.mul(x, nodes.float(Math.SQRT1_2))), nodes.float(1));
}

function activate(nodes: Nodes, activation: Activation, x: Wire, half: Wire): Wire {
  return activation === 'tanh' ? half : nodes.mul(nodes.mul(x, nodes.float(0.5)), half);
}

export const activationGradient: Emit<{ activation: Activation }> = (call) => {
  const { graph, inputs, attributes } = call;
  const { activation } = attributes;
  return graph.block(['activation_gradient', activation, ...call.isOperand], inputs, (nodes, [dy, x]) => {
    const half = halfway(nodes, activation, x);
    return [nodes.mul(dy, slope(nodes, activation, x, half)), activate(nodes, activation, x, half)].map((output, i) =>
      rounded(nodes, output, call, i),
    );
  });
};

function slope(nodes: Nodes, activation: Activation, x: Wire, half: Wire): Wire {
  if (activation === 'tanh') return nodes.sub(nodes.float(1), nodes.square(half));
  // Φ(x) + x φ(x)
  const cumulative = nodes.mul(nodes.float(0.5), half);
  const bell = nodes.exp(nodes.mul(nodes.float(-0.5), nodes.square(x)));
  return nodes.add(cumulative, nodes.mul(x, nodes.mul(nodes.float(1 / Math.sqrt(2 * Math.PI)), bell)));
}

export const linearInputGradient: Emit = (call) => {
  const { graph, inputs, inputTypes, outputTypes } = call;
  const [dy, weight, previous] = inputs;
  const dx = graph.reshape(product(call, asRows(graph, dy, inputTypes[0]), weight, {}), outputTypes[0].shape);
  return [plus(graph, dx, previous)];
};

export const linearWeightGradient: Emit = (call) => {
  const { graph, inputs, inputTypes } = call;
  const [dy, x, previous] = inputs;
  const operands = [asRows(graph, dy, inputTypes[0]), asRows(graph, x, inputTypes[1])] as const;
  const isVector = lastOf(inputTypes[0].shape) === 1;
  const dWeight = isVector ? weightOfOne(call, ...operands) : product(call, ...operands, { a: true });
  return [plus(graph, dWeight, previous)];
};

/** Of a single output: the library's product of a vector cuts its sum by the number of threads, which bits would show. */
function weightOfOne({ graph, precision }: EmitCall, dy: Wire, x: Wire): Wire {
  const operands = [dy, x].map((operand) => graph.cast(operand, precision));
  const [sums] = graph.block(['weight_of_one', precision], operands, (nodes, [dy, x]) => [
    nodes.cast(nodes.sum(nodes.mul(dy, x), [0], true), precision),
  ]);
  return sums;
}

/** In bfloat16 a product with ones, which takes half the time; in float32 that would depend on the number of threads. */
export const biasGradient: Emit = (call) => {
  const { graph, inputs, inputTypes, outputTypes, precision } = call;
  const [dy, previous] = inputs;
  const rows = asRows(graph, dy, inputTypes[0]);
  const count = rowsOf(inputTypes[0].shape);
  const sums =
    precision === 'float32'
      ? graph.block(['column_sums'], [rows], (nodes, [rows]) => [nodes.sum(rows, [0])])[0]
      : product(call, graph.constant('float32', [1, count], new Float32Array(count).fill(1)), rows, {});
  return [plus(graph, graph.reshape(sums, outputTypes[0].shape), previous)];
};

/** All axes but the last folded into one. */
export function asRows(nodes: Nodes, x: Wire, type: TensorType): Wire {
  return nodes.reshape(x, matrixOf(type));
}

export function matrixOf({ shape }: TensorType): number[] {
  return [rowsOf(shape), lastOf(shape)];
}
