/**
 * Attention head by head: two batched products around a softmax in a block. Of what is (B, A, T, T), only the scores are
 * kept for the gradient, as their product gave them, and dropout's bits: both are nodes that are there already when the
 * gradient names them again.
 */
import type { DropoutAttributes } from '../../../ops/dropout.js';
import type { TensorType } from '../../../ops/operation.js';
import { type Dropping, dropping } from '../draws.js';
import type { Graph, Wire } from '../graph.js';
import type { Nodes } from '../nodes.js';
import { batchProduct, type Emit, type EmitCall } from './call.js';
import { wallsOf } from './segments.js';

type AttentionAttributes = DropoutAttributes & { readonly heads: number };

export const attention: Emit<AttentionAttributes> = (call) => {
  const { graph, inputs, inputTypes, outputTypes, precision } = call;
  const [q, k, v, lengths, draw] = inputs;
  const { scores, scale, segment, segments, drop } = scoresOf(call, { q, k, lengths, draw }, inputTypes[3]);
  const [kept, logSumExp] = graph.block(
    ['attention', drop.name, scale, segments, precision],
    [scores, segment, ...drop.inputs],
    (nodes, [scores, segment, ...draws]) => {
      const { isReal, isSeen } = seen(nodes, segment, segments);
      const scaled = nodes.mul(scores, nodes.float(scale));
      const most = nodes.max(nodes.select(isSeen, scaled, nodes.float(-3e38)), [3], true);
      const terms = nodes.select(isSeen, nodes.exp(nodes.sub(scaled, most)), nodes.float(0));
      // A row without a term: its total is 0, and 0 / 1 is what its places get.
      const total = nodes.select(isReal, nodes.sum(terms, [3], true), nodes.float(1));
      const logSumExp = nodes.select(isReal, nodes.add(most, nodes.log(total)), nodes.float(0));
      const kept = drop.apply(nodes, nodes.div(terms, total), draws);
      return [nodes.cast(kept, precision), nodes.sum(logSumExp, [3])];
    },
  );
  const context = batchProduct(call, kept, headsOf(call, v), {});
  return [mergeHeads(graph, context, outputTypes[0]), logSumExp];
};

export const attentionGradient: Emit<AttentionAttributes> = (call) => {
  const { graph, inputs, inputTypes, outputTypes, precision } = call;
  const [q, k, v, context, logSumExp, lengths, draw, dContext] = inputs;
  const { scores, scale, segment, segments, drop } = scoresOf(call, { q, k, lengths, draw }, inputTypes[5]);
  const dHeads = headsOf(call, dContext);
  const dKept = batchProduct(call, dHeads, headsOf(call, v), { b: true });
  const rows = [context, graph.cast(dContext, precision)].map((x) => splitHeads(call, x));
  const [dScores, kept] = graph.block(
    ['attention_gradient', drop.name, scale, segments, precision],
    [scores, logSumExp, segment, dKept, ...rows, ...drop.inputs],
    (nodes, [scores, logSumExp, segment, dKept, context, dContext, ...draws]) => {
      const { isSeen } = seen(nodes, segment, segments);
      const logarithm = nodes.sub(nodes.mul(scores, nodes.float(scale)), nodes.expandDims(logSumExp, 3));
      const probability = nodes.select(isSeen, nodes.exp(logarithm), nodes.float(0));
      // Σ_j kept_ij (dContext_i · v_j) = dContext_i · context_i: a sum over the width of a head in place of the places.
      const sums = nodes.sum(nodes.mul(context, dContext), [3]);
      const shared = nodes.expandDims(nodes.transpose(sums, [0, 2, 1]), 3);
      const dProbability = nodes.sub(drop.apply(nodes, dKept, draws), shared);
      const dScores = nodes.mul(nodes.mul(probability, dProbability), nodes.float(scale));
      return [dScores, drop.apply(nodes, probability, draws)].map((operand) => nodes.cast(operand, precision));
    },
  );
  const dq = batchProduct(call, dScores, headsOf(call, k), {});
  const dk = batchProduct(call, dScores, headsOf(call, q), { a: true });
  const dv = batchProduct(call, kept, dHeads, { a: true });
  return [dq, dk, dv].map((gradient, i) => mergeHeads(graph, gradient, outputTypes[i]));
};

interface Scores {
  /** (B, A, T, T): q kᵀ; to be multiplied by `scale`, 1 / √d. */
  readonly scores: Wire;
  readonly scale: number;
  /** Of each place (B, T), out of `segments`. */
  readonly segment: Wire;
  readonly segments: number;
  /** Of the probabilities. */
  readonly drop: Dropping;
}

function scoresOf(
  call: EmitCall<AttentionAttributes>,
  { q, k, lengths, draw }: Record<'q' | 'k' | 'lengths' | 'draw', Wire>,
  lengthsType: TensorType,
): Scores {
  const { graph, inputTypes, attributes } = call;
  const [rows, places, width] = inputTypes[0].shape;
  const { heads, stream, dropout } = attributes;
  const shape = [rows, heads, places, places];
  return {
    scores: batchProduct(call, headsOf(call, q), headsOf(call, k), { b: true }),
    scale: 1 / Math.sqrt(width / heads),
    segment: wallsOf(graph, lengths, places).segment,
    segments: lengthsType.shape[1],
    drop: dropping(graph, { draw, stream, shape }, dropout, shape),
  };
}

/** Which queries (B, 1, T, 1) belong to a segment, and which keys (B, 1, T, T) they see. */
function seen(nodes: Nodes, segment: Wire, segments: number): { isReal: Wire; isSeen: Wire } {
  const ofQuery = nodes.expandDims(nodes.expandDims(segment, 1), 3);
  const ofKey = nodes.expandDims(nodes.expandDims(segment, 1), 1);
  const isReal = nodes.less(ofQuery, nodes.int(segments));
  return { isReal, isSeen: nodes.and(nodes.equal(ofQuery, ofKey), isReal) };
}

/** (B, T, H) → (B, A, T, d) */
function headsOf(call: EmitCall<AttentionAttributes>, x: Wire): Wire {
  const { graph, precision } = call;
  return graph.transpose(splitHeads(call, graph.cast(x, precision)), [0, 2, 1, 3]);
}

/** (B, T, H) → (B, T, A, d) */
function splitHeads({ graph, inputTypes, attributes: { heads } }: EmitCall<AttentionAttributes>, x: Wire): Wire {
  const [rows, places, width] = inputTypes[0].shape;
  return graph.reshape(x, [rows, places, heads, width / heads]);
}

/** (B, A, T, d) → (B, T, H) */
function mergeHeads(graph: Graph, x: Wire, { shape }: TensorType): Wire {
  return graph.reshape(graph.transpose(x, [0, 2, 1, 3]), shape);
}
