/** Dense layers: three products, each in the form that TensorFlow is fastest at, with the elementwise rest in blocks. */
import type { Activation } from '../../../ops/activation.js';
import { lastOf, rowsOf, type TensorType } from '../../../ops/operation.js';
import type { Wire } from '../graph.js';
import type { Nodes } from '../nodes.js';
import { blockName, type Emit, product } from './call.js';

const linear: Emit<{ activation: Activation }> = (call) => {
  const { graph, inputs, inputTypes, outputTypes, attributes } = call;
  const [x, weight, bias] = inputs;
  const sum = product(call, asRows(graph, x, inputTypes[0]), weight, { b: true });
  const { shape } = outputTypes[0];
  if (attributes.activation === 'none') return [graph.reshape(bias ? graph.biasAdd(sum, bias) : sum, shape)];
  const { activation } = attributes;
  const parts = bias ? [sum, bias] : [sum];
  const outputs = graph.block(blockName('activate', activation, parts.length), parts, (nodes, [sum, bias]) => {
    const pre = bias ? nodes.add(sum, bias) : sum;
    return [activate(nodes, activation, pre), pre];
  });
  return outputs.map((output) => graph.reshape(output, shape));
};

function activate(nodes: Nodes, activation: Activation, x: Wire): Wire {
  if (activation === 'tanh') return nodes.tanh(x);
  const erf = nodes.erf(nodes.mul(x, nodes.float(Math.SQRT1_2)));
  return nodes.mul(nodes.mul(x, nodes.float(0.5)), nodes.add(erf, nodes.float(1)));
}

const activationGradient: Emit<{ activation: Activation }> = ({ graph, inputs, attributes: { activation } }) =>
  graph.block(blockName('activation_gradient', activation), inputs, (nodes, [dy, x]) => {
    if (activation === 'tanh') {
      return [nodes.mul(dy, nodes.sub(nodes.float(1), nodes.square(nodes.tanh(x))))];
    }
    // Φ(x) + x φ(x)
    const cumulative = nodes.mul(
      nodes.float(0.5),
      nodes.add(nodes.erf(nodes.mul(x, nodes.float(Math.SQRT1_2))), nodes.float(1)),
    );
    const density = nodes.mul(
      nodes.float(1 / Math.sqrt(2 * Math.PI)),
      nodes.exp(nodes.mul(nodes.float(-0.5), nodes.square(x))),
    );
    return [nodes.mul(dy, nodes.add(cumulative, nodes.mul(x, density)))];
  });

const linearInputGradient: Emit = (call) => {
  const { graph, inputs, inputTypes, outputTypes } = call;
  const [dy, weight, previous] = inputs;
  const dx = graph.reshape(product(call, asRows(graph, dy, inputTypes[0]), weight, {}), outputTypes[0].shape);
  return [previous ? graph.add(previous, dx) : dx];
};

const linearWeightGradient: Emit = (call) => {
  const { graph, inputs, inputTypes } = call;
  const [dy, x, previous] = inputs;
  const dWeight = product(call, asRows(graph, dy, inputTypes[0]), asRows(graph, x, inputTypes[1]), { a: true });
  return [previous ? graph.add(previous, dWeight) : dWeight];
};

const biasGradient: Emit = ({ graph, inputs: [dy, previous], inputTypes }) => {
  const dBias = graph.biasAddGrad(asRows(graph, dy, inputTypes[0]));
  return [previous ? graph.add(previous, dBias) : dBias];
};

/** All axes but the last folded into one. */
export function asRows(nodes: Nodes, x: Wire, { shape }: TensorType): Wire {
  return nodes.reshape(x, [rowsOf(shape), lastOf(shape)]);
}

export const linearOperations = {
  linear,
  activationGradient,
  linearInputGradient,
  linearWeightGradient,
  biasGradient,
};
