/** Dense layers: three products, each in the form that TensorFlow is fastest at, with the elementwise rest in blocks. */
import type { Activation } from '../../../ops/activation.js';
import { lastOf, rowsOf, type TensorType } from '../../../ops/operation.js';
import type { Wire } from '../graph.js';
import type { Nodes } from '../nodes.js';
import { batchProduct, type Emit, type EmitCall, plus, product, rounded } from './call.js';

const linear: Emit<{ activation: Activation }> = (call) => {
  const { graph, inputs, inputTypes, outputTypes, attributes, precision } = call;
  const [x, weight, bias] = inputs;
  const [outWidth, inWidth] = inputTypes[1].shape;
  const { shape } = outputTypes[0];
  // Where the sums are longer than the rows, MatMul takes a third more time than the same as a batch of one.
  const multiply = inWidth > outWidth ? batchProduct : product;
  const sum = multiply(call, asRows(graph, x, inputTypes[0]), weight, { b: true });
  const { activation } = attributes;
  if (activation !== 'none') {
    const parts = bias ? [sum, bias] : [sum];
    const outputs = graph.block(
      ['activate', activation, call.isOperand[0], parts.length],
      parts,
      (nodes, [sum, bias]) => {
        const pre = bias ? nodes.add(sum, bias) : sum;
        // The gradient gets what the product's own precision holds of it.
        return [rounded(nodes, activate(nodes, activation, pre), call, 0), nodes.cast(pre, precision)];
      },
    );
    return outputs.map((output) => graph.reshape(output, shape));
  }
  if (bias === undefined) return [graph.reshape(sum, shape)];
  // One node with the product in float32; in bfloat16 the sum is float32's.
  if (sum.dtype === 'float32') return [graph.reshape(graph.biasAdd(sum, bias), shape)];
  const [y] = graph.block(['add_bias', call.isOperand[0]], [sum, bias], (nodes, [sum, bias]) => [
    rounded(nodes, nodes.add(sum, bias), call, 0),
  ]);
  return [graph.reshape(y, shape)];
};

function activate(nodes: Nodes, activation: Activation, x: Wire): Wire {
  if (activation === 'tanh') return nodes.tanh(x);
  const erf = nodes.erf(nodes.mul(x, nodes.float(Math.SQRT1_2)));
  return nodes.mul(nodes.mul(x, nodes.float(0.5)), nodes.add(erf, nodes.float(1)));
}

const activationGradient: Emit<{ activation: Activation }> = (call) => {
  const { graph, inputs, attributes } = call;
  const { activation } = attributes;
  return graph.block(['activation_gradient', activation, call.isOperand[0]], inputs, (nodes, [dy, x]) => [
    rounded(nodes, nodes.mul(dy, slope(nodes, activation, x)), call, 0),
  ]);
};

function slope(nodes: Nodes, activation: Activation, x: Wire): Wire {
  if (activation === 'tanh') return nodes.sub(nodes.float(1), nodes.square(nodes.tanh(x)));
  // Φ(x) + x φ(x)
  const erf = nodes.erf(nodes.mul(x, nodes.float(Math.SQRT1_2)));
  const cumulative = nodes.mul(nodes.float(0.5), nodes.add(erf, nodes.float(1)));
  const bell = nodes.exp(nodes.mul(nodes.float(-0.5), nodes.square(x)));
  return nodes.add(cumulative, nodes.mul(x, nodes.mul(nodes.float(1 / Math.sqrt(2 * Math.PI)), bell)));
}

const linearInputGradient: Emit = (call) => {
  const { graph, inputs, inputTypes, outputTypes } = call;
  const [dy, weight, previous] = inputs;
  const dx = graph.reshape(product(call, asRows(graph, dy, inputTypes[0]), weight, {}), outputTypes[0].shape);
  return [plus(graph, dx, previous)];
};

const linearWeightGradient: Emit = (call) => {
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

const biasGradient: Emit = ({ graph, inputs: [dy, previous], inputTypes }) => {
  const [dBias] = graph.block(['column_sums'], [asRows(graph, dy, inputTypes[0])], (nodes, [dy]) => [
    nodes.sum(dy, [0]),
  ]);
  return [plus(graph, dBias, previous)];
};

/** All axes but the last folded into one. */
export function asRows(nodes: Nodes, x: Wire, type: TensorType): Wire {
  return nodes.reshape(x, matrixOf(type));
}

export function matrixOf({ shape }: TensorType): number[] {
  return [rowsOf(shape), lastOf(shape)];
}

export const linearOperations = {
  linear,
  activationGradient,
  linearInputGradient,
  linearWeightGradient,
  biasGradient,
};
