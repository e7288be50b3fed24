/** Layer normalisation, what is added before it, and dropout: blocks over (rows, H). */
import type { DropoutAttributes } from '../../../ops/dropout.js';
import type { TensorType } from '../../../ops/operation.js';
import { type Dropping, dropping } from '../draws.js';
import type { Graph, Wire } from '../graph.js';
import type { Nodes } from '../nodes.js';
import { type Emit, type EmitCall, plus, rounded } from './call.js';
import { asRows, matrixOf } from './linear.js';

export const layerNorm: Emit<{ epsilon: number }> = ({
  graph,
  inputs,
  inputTypes,
  outputTypes,
  attributes: { epsilon },
}) => {
  const [x, gamma, beta] = inputs;
  const outputs = graph.block(
    ['layer_norm', epsilon],
    [asRows(graph, x, inputTypes[0]), gamma, beta],
    (nodes, [x, gamma, beta]) => normalize(nodes, x, gamma, beta, epsilon),
  );
  return shaped(graph, outputs, outputTypes);
};

export const addNorm: Emit<DropoutAttributes & { epsilon: number }> = (call) => {
  const { graph, inputs, inputTypes, outputTypes, attributes } = call;
  const [x, residual, gamma, beta, draw] = inputs;
  const { epsilon } = attributes;
  const rows = [x, residual].map((input) => asRows(graph, input, inputTypes[0]));
  const drop = droppingOf(call, draw, matrixOf(inputTypes[0]));
  const outputs = graph.block(
    ['add_norm', epsilon, drop.name],
    [...rows, gamma, beta, ...drop.inputs],
    (nodes, [x, residual, gamma, beta, ...draws]) => {
      const sum = nodes.add(residual, drop.apply(nodes, x, draws));
      const [y, mean, inverse] = normalize(nodes, sum, gamma, beta, epsilon);
      return [y, sum, mean, inverse];
    },
  );
  return shaped(graph, outputs, outputTypes);
};

/** y, mean (rows), inverse deviation (rows). */
function normalize(nodes: Nodes, x: Wire, gamma: Wire, beta: Wire, epsilon: number): Wire[] {
  const mean = nodes.mean(x, [1], true);
  const centred = nodes.sub(x, mean);
  const variance = nodes.mean(nodes.square(centred), [1], true);
  const inverse = nodes.div(nodes.float(1), nodes.sqrt(nodes.add(variance, nodes.float(epsilon))));
  const y = nodes.add(nodes.mul(nodes.mul(centred, inverse), gamma), beta);
  return [y, nodes.reshape(mean, [-1]), nodes.reshape(inverse, [-1])];
}

export const layerNormGradient: Emit = (call) => {
  const { graph, inputs, inputTypes, outputTypes } = call;
  const [dy, x, gamma, beta, mean, inverse] = inputs;
  const rows = [dy, x].map((input) => asRows(graph, input, inputTypes[0]));
  const outputs = graph.block(
    ['layer_norm_gradient', call.isOperand[1]],
    [...rows, gamma, beta, mean, inverse],
    (nodes, [dy, x, gamma, beta, mean, inverse]) => {
      const column = nodes.expandDims(inverse, 1);
      const normal = nodes.mul(nodes.sub(x, nodes.expandDims(mean, 1)), column);
      const g = nodes.mul(dy, gamma);
      const meanG = nodes.mean(g, [1], true);
      const meanGx = nodes.mean(nodes.mul(g, normal), [1], true);
      const y = nodes.add(nodes.mul(normal, gamma), beta);
      return [nodes.mul(column, nodes.sub(nodes.sub(g, meanG), nodes.mul(normal, meanGx))), rounded(nodes, y, call, 1)];
    },
  );
  return shaped(graph, outputs, outputTypes);
};

export const layerNormParameterGradient: Emit = ({ graph, inputs, inputTypes }) => {
  const [dy, x, mean, inverse, previousGamma, previousBeta] = inputs;
  const rows = [dy, x].map((input) => asRows(graph, input, inputTypes[0]));
  const [dGamma, dBeta] = graph.block(
    ['layer_norm_parameter_gradient'],
    [...rows, mean, inverse],
    (nodes, [dy, x, mean, inverse]) => {
      const normal = nodes.mul(nodes.sub(x, nodes.expandDims(mean, 1)), nodes.expandDims(inverse, 1));
      return [nodes.sum(nodes.mul(dy, normal), [0]), nodes.sum(dy, [0])];
    },
  );
  return [plus(graph, dGamma, previousGamma), plus(graph, dBeta, previousBeta)];
};

export const dropout: Emit<DropoutAttributes> = (call) => {
  const { graph, inputs, inputTypes } = call;
  const [x, draw] = inputs;
  const drop = droppingOf(call, draw, inputTypes[0].shape);
  if (drop.inputs.length === 0) return [x];
  return graph.block(['dropout', drop.name, call.isOperand[0]], [x, ...drop.inputs], (nodes, [x, ...draws]) => [
    rounded(nodes, drop.apply(nodes, x, draws), call, 0),
  ]);
};

/** Dropout of the operation's first input, which its block has in `shape`. */
function droppingOf(call: EmitCall<DropoutAttributes>, draw: Wire, shape: readonly number[]): Dropping {
  const { graph, inputTypes, attributes } = call;
  return dropping(graph, { draw, stream: attributes.stream, shape: inputTypes[0].shape }, attributes.dropout, shape);
}

function shaped(graph: Graph, outputs: readonly Wire[], types: readonly TensorType[]): Wire[] {
  return outputs.map((output, i) => graph.reshape(output, types[i].shape));
}
