/**
 * Multi-head attention inside walls: softmax(q kᵀ / √d) v for every head, a query seeing only its own segment.
 *
 * Dropout acts on the probabilities. What is kept for the gradient is the logarithm of each softmax's denominator, not
 * the (B, A, T, T) probabilities, which are computed again (Dao et al. 2022). Padding queries give zeros.
 * Decision index of a probability: ((row · A + head) · T + query) · T + key, rows counted over the whole batch.
 */
import { count } from './attributes.js';
import {
  type DropoutAttributes,
  drawType,
  dropoutFactor,
  dropoutRules,
  dropoutThreshold,
  readDraw,
} from './dropout.js';
import {
  type Build,
  expectType,
  float32,
  type OperationDefinition,
  type ReferenceCall,
  type Tensor,
  type TensorType,
} from './operation.js';
import { expectSegments, segmentsOf } from './segments.js';

type AttentionAttributes = DropoutAttributes & { readonly heads: number };

/** q, k, v (B, T, H), lengths (B, S), draw → context (B, T, H), log of the denominators (B, A, T). */
export const attentionOperation: OperationDefinition<AttentionAttributes> = {
  name: 'attention',
  attributes: { ...dropoutRules, heads: count },
  infer([q, k, v, lengths, draw], { heads }) {
    const [rows, places, width] = q.shape;
    expectType('attention', 'q', q, float32(-1, -1, Math.ceil(width / heads) * heads));
    expectType('attention', 'k', k, q);
    expectType('attention', 'v', v, q);
    expectSegments('attention', 'lengths', lengths, rows);
    expectType('attention', 'draw', draw, drawType);
    return [q, float32(rows, heads, places)];
  },
  gradient({ build, inputs, outputs: [context, logSumExp], attributes, outputGradients: [dContext] }) {
    const [q, k, v, lengths, draw] = inputs;
    const gradients = build.apply(
      attentionGradientOperation,
      [q, k, v, context, logSumExp, lengths, draw, dContext],
      attributes,
    );
    return [...gradients, undefined, undefined];
  },
  places: { inputs: [0, 1, 2], outputs: [0], lengths: 3 },
  indices({ inputs: [q] }) {
    return { 3: { segmentsIn: q.shape[1] } };
  },
  operands: [0, 1, 2],
  flops([q], _outputs, _attributes, lengths) {
    return 4 * products(q, lengths);
  },
  reference({ inputs: [q, k, v, lengths, draw], outputs: [context, logSumExp], inputTypes, attributes }) {
    context.fill(0);
    logSumExp.fill(0);
    for (const { at, queries, statistics, factors } of heads(lengths, draw, inputTypes[0], inputTypes[3], attributes)) {
      for (const i of queries) {
        const scores = Float64Array.from(queries, (j) => at.score(q, i, k, j));
        const largest = scores.reduce((a, b) => Math.max(a, b));
        const denominator = scores.reduce((sum, score) => sum + Math.exp(score - largest), 0);
        logSumExp[statistics(i)] = largest + Math.log(denominator);
        for (const [n, j] of queries.entries()) {
          const probability = (Math.exp(scores[n] - largest) / denominator) * factors(i, j);
          const [to, from] = [at.start(i), at.start(j)];
          for (let e = 0; e < at.width; e++) context[to + e] += probability * v[from + e];
        }
      }
    }
  },
};

export function attention(
  build: Build,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  lengths: Tensor,
  draw: Tensor,
  attributes: AttentionAttributes,
): Tensor {
  return build.apply(attentionOperation, [q, k, v, lengths, draw], attributes)[0];
}

/** q, k, v, context (B, T, H), log of the denominators (B, A, T), lengths, draw, dContext → dq, dk, dv (B, T, H). */
export const attentionGradientOperation: OperationDefinition<AttentionAttributes> = {
  name: 'attentionGradient',
  attributes: { ...dropoutRules, heads: count },
  infer([q, k, v, context, logSumExp, lengths, draw, dContext], attributes) {
    expectType('attentionGradient', 'k', k, q);
    expectType('attentionGradient', 'v', v, q);
    expectType('attentionGradient', 'context', context, q);
    expectType('attentionGradient', 'dContext', dContext, q);
    expectType('attentionGradient', 'logSumExp', logSumExp, float32(q.shape[0], attributes.heads, q.shape[1]));
    expectSegments('attentionGradient', 'lengths', lengths, q.shape[0]);
    expectType('attentionGradient', 'draw', draw, drawType);
    return [q, q, q];
  },
  places: { inputs: [0, 1, 2, 3, 7], outputs: [0, 1, 2], lengths: 5 },
  indices({ inputs: [q] }) {
    return { 5: { segmentsIn: q.shape[1] } };
  },
  operands: [0, 1, 2, 3, 4, 7],
  flops([q], _outputs, _attributes, lengths) {
    return 10 * products(q, lengths);
  },
  reference({ inputs, outputs: [dq, dk, dv], inputTypes, attributes }) {
    const [q, k, v, context, logSumExp, lengths, draw, dContext] = inputs;
    for (const gradient of [dq, dk, dv]) gradient.fill(0);
    for (const { at, queries, statistics, factors } of heads(lengths, draw, inputTypes[0], inputTypes[5], attributes)) {
      for (const i of queries) {
        // Σ_j p_ij factor_ij (dContext_i · v_j) = dContext_i · context_i: no probability is needed for it.
        const qi = at.start(i);
        let shared = 0;
        for (let e = 0; e < at.width; e++) shared += dContext[qi + e] * context[qi + e];
        for (const j of queries) {
          const probability = Math.exp(at.score(q, i, k, j) - logSumExp[statistics(i)]);
          const factor = factors(i, j);
          const kj = at.start(j);
          let dProbability = 0;
          for (let e = 0; e < at.width; e++) dProbability += dContext[qi + e] * v[kj + e];
          const dScore = probability * (dProbability * factor - shared) * at.scale;
          for (let e = 0; e < at.width; e++) {
            dq[qi + e] += dScore * k[kj + e];
            dk[kj + e] += dScore * q[qi + e];
            dv[kj + e] += probability * factor * dContext[qi + e];
          }
        }
      }
    }
  },
};

/** Multiply-adds of one product of all heads: of segments of these lengths, or of rows that are full. */
function products({ shape: [rows, places, width] }: TensorType, lengths?: ArrayLike<number>): number {
  const pairs = lengths ? Array.from(lengths).reduce((sum, length) => sum + length ** 2, 0) : rows * places ** 2;
  return pairs * width;
}

type Inputs = ReferenceCall<AttentionAttributes>['inputs'];

/** One (segment, head) after another, with the addressing that the references need. */
function* heads(
  lengths: Inputs[number],
  drawValues: Inputs[number],
  { shape: [, places, width] }: TensorType,
  { shape: [, segmentsARow] }: TensorType,
  attributes: AttentionAttributes,
) {
  const draw = readDraw(drawValues);
  const threshold = dropoutThreshold(attributes.dropout);
  const headWidth = width / attributes.heads;
  const scale = 1 / Math.sqrt(headWidth);
  for (const { row, start: first, length } of segmentsOf(lengths, undefined, segmentsARow)) {
    const queries = Array.from({ length }, (_, i) => first + i);
    for (let head = 0; head < attributes.heads; head++) {
      /** First element of a place in q, k, v and context. */
      const start = (place: number) => (row * places + place) * width + head * headWidth;
      const score = (q: Inputs[number], i: number, k: Inputs[number], j: number) => {
        const [qi, kj] = [start(i), start(j)];
        let sum = 0;
        for (let e = 0; e < headWidth; e++) sum += q[qi + e] * k[kj + e];
        return sum * scale;
      };
      const statistics = (place: number) => (row * attributes.heads + head) * places + place;
      const unit = (draw.firstRow + row) * attributes.heads + head;
      const factors = (i: number, j: number) =>
        threshold === 0 ? 1 : dropoutFactor(draw, attributes.stream, threshold, (unit * places + i) * places + j);
      yield { at: { start, score, scale, width: headWidth }, queries, statistics, factors };
    }
  }
}
