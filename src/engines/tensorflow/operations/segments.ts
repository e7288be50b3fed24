/** The walls of a batch (src/ops/segments.ts) as tensors; the same nodes for all who ask. */
import type { Graph, Wire } from '../graph.js';

export interface Walls {
  /** (B, T) int32: number of the segment; S for padding. */
  readonly segment: Wire;
  /** (B, T) int32: place inside the segment. */
  readonly position: Wire;
}

export function wallsOf(graph: Graph, lengths: Wire, places: number): Walls {
  const range = graph.ints(Array.from({ length: places }, (_, i) => i));
  const [segment, position] = graph.block(['walls'], [lengths, range], (nodes, [lengths, range]) => {
    const place = nodes.expandDims(nodes.expandDims(range, 0), 2);
    const isPast = nodes.greaterEqual(place, nodes.expandDims(nodes.cumsum(lengths, 1), 1));
    const past = nodes.cast(isPast, 'int32');
    const start = nodes.sum(nodes.mul(past, nodes.expandDims(lengths, 1)), [2]);
    return [nodes.sum(past, [2]), nodes.sub(nodes.expandDims(range, 0), start)];
  });
  return { segment, position };
}

/** (B, T) int32: the token type, 1 from where `seconds` says inside each segment; of padding, anything. */
export function typesOf(graph: Graph, { segment, position }: Walls, seconds: Wire, segments: number): Wire {
  const numbers = graph.ints(Array.from({ length: segments }, (_, i) => i));
  const inputs = [segment, position, seconds, numbers];
  const [types] = graph.block(['token_types'], inputs, (nodes, [segment, position, seconds, numbers]) => {
    const isOwn = nodes.cast(nodes.equal(nodes.expandDims(segment, 2), numbers), 'int32');
    const second = nodes.sum(nodes.mul(isOwn, nodes.expandDims(seconds, 1)), [2]);
    return [nodes.cast(nodes.greaterEqual(position, second), 'int32')];
  });
  return types;
}
