/**
 * Attention head by head: two batched products around a softmax in a block. Its gradient names the forward's scores,
 * probabilities and decisions again, which are the nodes that are there already.
 */
import type { DropoutAttributes } from '../../../ops/dropout.js';
import type { TensorType } from '../../../ops/operation.js';
import { type Dropping, dropping } from '../draws.js';
import type { Graph, Wire } from '../graph.js';
import type { Nodes } from '../nodes.js';
import { batchProduct, type Emit, type EmitCall } from './call.js';
import { wallsOf } from './segments.js';

type AttentionAttributes = DropoutAttributes & { readonly heads: number };

const attention: Emit<AttentionAttributes> = (call) => {
  const { graph, inputs, inputTypes, outputTypes } = call;
  const [q, k, v, lengths, draw] = inputs;
  const { kept, logSumExp } = probabilities(call, { q, k, lengths, draw }, inputTypes[3]);
  const context = batchProduct(call, kept, headsOf(call, v), {});
  return [mergeHeads(graph, context, outputTypes[0]), logSumExp];
};

const attentionGradient: Emit<AttentionAttributes> = (call) => {
  const { graph, inputs, inputTypes, outputTypes } = call;
  const [q, k, v, , , lengths, draw, dContext] = inputs;
  const { value, drop } = probabilities(call, { q, k, lengths, draw }, inputTypes[5]);
  const dHeads = headsOf(call, dContext);
  const dKept = batchProduct(call, dHeads, headsOf(call, v), { b: true });
  const scale = scaleOf(call);
  // What dropout kept is made again here rather than stored.
  const [dScores, kept] = graph.block(
    ['attention_gradient', drop.name, scale, call.precision],
    [value, dKept, ...drop.inputs],
    (nodes, [value, dKept, ...draws]) => {
      const dValue = drop.apply(nodes, dKept, draws);
      const shared = nodes.sum(nodes.mul(value, dValue), [3], true);
      const dScores = nodes.mul(nodes.mul(value, nodes.sub(dValue, shared)), nodes.float(scale));
      return [dScores, drop.apply(nodes, value, draws)].map((operand) => nodes.cast(operand, call.precision));
    },
  );
  const dq = batchProduct(call, dScores, headsOf(call, k), {});
  const dk = batchProduct(call, dScores, headsOf(call, q), { a: true });
  const dv = batchProduct(call, kept, dHeads, { a: true });
  return [dq, dk, dv].map((gradient, i) => mergeHeads(graph, gradient, outputTypes[i]));
};

/** (B, A, T, T): softmax inside the walls, and what dropout leaves of it for a product; logSumExp (B, A, T). */
function probabilities(
  call: EmitCall<AttentionAttributes>,
  { q, k, lengths, draw }: Record<'q' | 'k' | 'lengths' | 'draw', Wire>,
  lengthsType: TensorType,
): { value: Wire; kept: Wire; drop: Dropping; logSumExp: Wire } {
  const { graph, inputTypes, attributes, precision } = call;
  const [rows, places] = inputTypes[0].shape;
  const { heads, stream, dropout } = attributes;
  const scores = batchProduct(call, headsOf(call, q), headsOf(call, k), { b: true });
  const { segment } = wallsOf(graph, lengths, places);
  const shape = [rows, heads, places, places];
  const drop = dropping(graph, { draw, stream, shape }, dropout, shape);
  const scale = scaleOf(call);
  const segments = lengthsType.shape[1];
  const [value, logSumExp, kept] = graph.block(
    ['attention', drop.name, scale, segments, precision],
    [scores, segment, ...drop.inputs],
    (nodes, [scores, segment, ...draws]) => {
      const [value, logSumExp] = softmax(nodes, nodes.mul(scores, nodes.float(scale)), segment, segments);
      return [value, logSumExp, nodes.cast(drop.apply(nodes, value, draws), precision)];
    },
  );
  return { value, kept, drop, logSumExp };
}

/** Zeros for queries that belong to no segment. */
function softmax(nodes: Nodes, scores: Wire, segment: Wire, segments: number): [Wire, Wire] {
  const ofQuery = nodes.expandDims(nodes.expandDims(segment, 1), 3);
  const ofKey = nodes.expandDims(nodes.expandDims(segment, 1), 1);
  const isReal = nodes.less(ofQuery, nodes.int(segments));
  const isSeen = nodes.and(nodes.equal(ofQuery, ofKey), isReal);
  const most = nodes.max(nodes.select(isSeen, scores, nodes.float(-3e38)), [3], true);
  const terms = nodes.select(isSeen, nodes.exp(nodes.sub(scores, most)), nodes.float(0));
  const total = nodes.sum(terms, [3], true);
  // A row without a term: its total is 0, and 0 / 1 is what its places get.
  const denominator = nodes.select(isReal, total, nodes.float(1));
  const logSumExp = nodes.select(isReal, nodes.add(most, nodes.log(denominator)), nodes.float(0));
  return [nodes.div(terms, denominator), nodes.sum(logSumExp, [3])];
}

/** 1 / √d */
function scaleOf({ inputTypes, attributes }: EmitCall<AttentionAttributes>): number {
  return 1 / Math.sqrt(inputTypes[0].shape[2] / attributes.heads);
}

/** (B, T, H) → (B, A, T, d) */
function headsOf(call: EmitCall<AttentionAttributes>, x: Wire): Wire {
  const { graph, inputTypes, attributes, precision } = call;
  const [rows, places, width] = inputTypes[0].shape;
  const split = graph.reshape(graph.cast(x, precision), [rows, places, attributes.heads, width / attributes.heads]);
  return graph.transpose(split, [0, 2, 1, 3]);
}

/** (B, A, T, d) → (B, T, H) */
function mergeHeads(graph: Graph, x: Wire, { shape }: TensorType): Wire {
  return graph.reshape(graph.transpose(x, [0, 2, 1, 3]), shape);
}

export const attentionOperations = { attention, attentionGradient };
