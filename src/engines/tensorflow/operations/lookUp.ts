/** Look-ups by id and by place, and the sums that are their gradients. */
import type { Graph, Wire } from '../graph.js';
import { type Emit, plus } from './call.js';
import { asRows } from './linear.js';
import { typesOf, wallsOf } from './segments.js';

export const embed: Emit = ({ graph, inputs, inputTypes }) => {
  const [ids, lengths, seconds, words, positions, types] = inputs;
  const [[, places], [, segments]] = inputTypes.map(({ shape }) => shape);
  const walls = wallsOf(graph, lengths, places);
  const rows = [
    graph.gather(words, ids, 0),
    graph.gather(positions, walls.position, 0),
    graph.gather(types, typesOf(graph, walls, seconds, segments), 0),
  ];
  return graph.block(['embed', segments], [...rows, walls.segment], (nodes, [word, position, type, segment]) => {
    const isReal = nodes.expandDims(nodes.less(segment, nodes.int(segments)), 2);
    return [nodes.select(isReal, nodes.add(nodes.add(word, position), type), nodes.float(0))];
  });
};

export const embedGradient: Emit<{ pieces: number; positions: number }> = ({
  graph,
  inputs,
  inputTypes,
  attributes,
}) => {
  const [ids, lengths, seconds, dy, previousWords, previousPositions, previousTypes] = inputs;
  const [rows, places, width] = inputTypes[3].shape;
  const [, segments] = inputTypes[1].shape;
  const walls = wallsOf(graph, lengths, places);
  const types = typesOf(graph, walls, seconds, segments);
  // One-hot token types beside the gradient: two columns are a product, not a scattering into two rows.
  const [dReal, firsts] = graph.block(
    ['embed_gradient', segments],
    [dy, walls.segment, types],
    (nodes, [dy, segment, types]) => {
      const isReal = nodes.less(segment, nodes.int(segments));
      const isType = nodes.equal(nodes.expandDims(types, 2), nodes.ints([0, 1]));
      return [nodes.select(nodes.expandDims(isReal, 2), dy, nodes.float(0)), nodes.cast(isType, 'float32')];
    },
  );
  const gradient = graph.reshape(dReal, [rows * places, width]);
  const flat = (numbers: Wire) => graph.reshape(numbers, [rows * places]);
  const dTypes = graph.matMul(graph.reshape(firsts, [rows * places, 2]), gradient, { a: true });
  return [
    addRows(graph, gradient, flat(ids), attributes.pieces, previousWords),
    addRows(graph, gradient, flat(walls.position), attributes.positions, previousPositions),
    plus(graph, dTypes, previousTypes),
  ];
};

/** Rows of x added to rows of `previous`, or of zeros. */
function addRows(graph: Graph, x: Wire, indices: Wire, count: number, previous: Wire | undefined): Wire {
  if (previous === undefined) return graph.segmentSum(x, indices, count);
  return graph.scatterAdd(graph.cast(previous, 'float32'), graph.expandDims(indices, 1), x);
}

export const gatherRows: Emit = ({ graph, inputs: [x, places] }) => [graph.gather(x, places, 1, 1)];

export const scatterRows: Emit<{ places: number }> = ({ graph, inputs, inputTypes, outputTypes, attributes }) => {
  const [dy, places, previous] = inputs;
  const [rows, count] = inputTypes[1].shape;
  const firsts = Int32Array.from({ length: rows }, (_, row) => row * attributes.places);
  const flat = graph.reshape(graph.add(places, graph.constant('int32', [rows, 1], firsts)), [rows * count]);
  const target = previous && asRows(graph, previous, outputTypes[0]);
  const dx = addRows(
    graph,
    graph.cast(asRows(graph, dy, inputTypes[0]), 'float32'),
    flat,
    rows * attributes.places,
    target,
  );
  return [graph.reshape(dx, outputTypes[0].shape)];
};

/** Where a place occurs twice its last value stands: the largest number of those that hit it, found by comparing all. */
export const replace: Emit = ({ graph, inputs, inputTypes }) => {
  const [ids, places, values, counts] = inputs;
  const [[, length], [, most]] = inputTypes.map(({ shape }) => shape);
  const numbers = (count: number) => graph.ints(Array.from({ length: count }, (_, i) => i));
  return graph.block(
    ['replace'],
    [ids, places, values, counts, numbers(length), numbers(most)],
    (nodes, [ids, places, values, counts, place, number]) => {
      const isUsed = nodes.expandDims(nodes.less(number, nodes.expandDims(counts, 1)), 1);
      const isHit = nodes.equal(nodes.expandDims(places, 1), nodes.expandDims(place, 1));
      const last = nodes.max(nodes.select(nodes.and(isHit, isUsed), number, nodes.int(-1)), [2], true);
      const chosen = nodes.select(nodes.equal(number, last), nodes.expandDims(values, 1), nodes.int(0));
      const isReplaced = nodes.greaterEqual(nodes.max(last, [2]), nodes.int(0));
      const replaced = nodes.select(isReplaced, nodes.sum(chosen, [2]), ids);
      return [replaced, nodes.cast(nodes.notEqual(replaced, ids), 'int32')];
    },
  );
};
