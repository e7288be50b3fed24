/** The first token of each row, and its gradient set before zeros. */
import type { Wire } from '../graph.js';
import type { Nodes } from '../nodes.js';
import { type Emit, plus } from './call.js';

export const firstToken: Emit = ({ graph, inputs: [x, lengths], inputTypes }) => {
  const [rows, , width] = inputTypes[0].shape;
  const first = graph.reshape(graph.slice(x, graph.ints([0, 0, 0]), [rows, 1, width]), [rows, width]);
  return graph.block(['first_token'], [first, lengths], (nodes, [first, lengths]) => [
    nodes.select(hasTokens(nodes, lengths), first, nodes.float(0)),
  ]);
};

export const firstTokenGradient: Emit<{ places: number }> = ({ graph, inputs, inputTypes, attributes }) => {
  const [dy, lengths, previous] = inputs;
  const [rows, width] = inputTypes[0].shape;
  const places = graph.ints(Array.from({ length: attributes.places }, (_, i) => i));
  const [dx] = graph.block(
    ['first_token_gradient'],
    [graph.reshape(dy, [rows, 1, width]), lengths, graph.reshape(places, [attributes.places, 1])],
    (nodes, [dy, lengths, places]) => {
      const isFirst = nodes.equal(places, nodes.int(0));
      const isSeen = nodes.and(nodes.expandDims(hasTokens(nodes, lengths), 1), isFirst);
      return [nodes.select(isSeen, dy, nodes.float(0))];
    },
  );
  return [plus(graph, dx, previous)];
};

/** (B, 1) */
function hasTokens(nodes: Nodes, lengths: Wire): Wire {
  return nodes.greater(nodes.max(lengths, [1], true), nodes.int(0));
}
