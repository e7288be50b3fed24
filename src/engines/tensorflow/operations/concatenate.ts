/** Tensors side by side along the last extent, and their columns taken out again. */
import type { Emit } from './call.js';

export const concatenate: Emit = ({ graph, inputs, outputTypes: [{ shape }] }) => {
  const parts = inputs.map((part) => graph.cast(part, 'float32'));
  return [graph.concat(parts, shape.length - 1)];
};

export const concatenateGradient: Emit<{ from: number; width: number }> = (call) => {
  const { graph, inputs, outputTypes, attributes } = call;
  const { shape } = outputTypes[0];
  const begin = graph.ints([...shape.slice(0, -1).map(() => 0), attributes.from]);
  return [graph.slice(inputs[0], begin, shape)];
};
