/**
 * Attention and its gradient with all (B, A, T, T) probabilities in memory, twice over: four batched products, and walls
 * as a large negative number that is added where a query may not look. Finite values stay behind them; NaN comes through.
 */
import { add, div, exp, log, max, mul, reshape, sub, sum, type Tensor, tensor, transpose } from '@tensorflow/tfjs-core';
import { segmentsOf } from '../../../ops/segments.js';
import { dropoutFactors } from '../draws.js';
import type { OperationCall } from '../operationCall.js';
import { product } from '../products.js';

/** Added to a score behind a wall: e to its power is 0, and no score is of its size. */
const beyondWall = -1e30;

export function attention(call: OperationCall): Tensor[] {
  const [q, k, v] = call.inputs.slice(0, 3).map((x) => split(x, call));
  const walls = wallsOf(call, 3);
  const scores = scoresOf(q, k, walls);
  const largest = max(scores, 3, true);
  const exponentials = exp(sub(scores, largest));
  // A padding query sees nothing at all: everything of it becomes 0 afterwards.
  const denominators = sum(exponentials, 3, true);
  const probabilities = withDropout(div(exponentials, denominators), dropoutOf(call, 4));
  const context = product(probabilities, v);
  const logSumExp = add(largest, log(denominators));
  return [join(walls ? mul(context, walls.isReal) : context, call), walls ? mul(logSumExp, walls.isReal) : logSumExp];
}

export function attentionGradient(call: OperationCall): Tensor[] {
  const [q, k, v, context] = call.inputs.slice(0, 4).map((x) => split(x, call));
  const dContext = split(call.inputs[7], call);
  const walls = wallsOf(call, 5);
  const factors = dropoutOf(call, 6);
  const logSumExp = reshape(call.inputs[4], [...q.shape.slice(0, 3), 1]);
  const probabilities = exp(sub(scoresOf(q, k, walls), logSumExp));
  // Σ_j p_ij factor_ij (dContext_i · v_j) = dContext_i · context_i: no probability is needed for it.
  const shared = sum(mul(dContext, context), 3, true);
  const dProbabilities = withDropout(product(dContext, v, { b: true }), factors);
  const dScores = mul(mul(probabilities, sub(dProbabilities, shared)), scaleOf(q));
  return [
    product(dScores, k),
    product(dScores, q, { a: true }),
    product(withDropout(probabilities, factors), dContext, { a: true }),
  ].map((gradient) => join(gradient, call));
}

interface Walls {
  /** 0 or `beyondWall`, (B, 1, T, T). */
  readonly added: Tensor;
  /** 1 for a query inside a segment, else 0, (B, 1, T, 1). */
  readonly isReal: Tensor;
}

/** undefined where every query sees the whole of its row. */
function wallsOf({ inputTypes, host }: OperationCall, position: number): Walls | undefined {
  const [rows, places] = inputTypes[0].shape;
  const lengths = host(position);
  const segments = [...segmentsOf(lengths as Int32Array, undefined, inputTypes[position].shape[1])];
  if (segments.length === rows && segments.every(({ length }) => length === places)) return undefined;
  const added = new Float32Array(rows * places * places).fill(beyondWall);
  const isReal = new Float32Array(rows * places);
  for (const { row, start, length } of segments) {
    isReal.fill(1, row * places + start, row * places + start + length);
    for (let i = start; i < start + length; i++) {
      const from = (row * places + i) * places + start;
      added.fill(0, from, from + length);
    }
  }
  return { added: tensor(added, [rows, 1, places, places]), isReal: tensor(isReal, [rows, 1, places, 1]) };
}

/** q kᵀ / √d, (B, A, T, T). */
function scoresOf(q: Tensor, k: Tensor, walls: Walls | undefined): Tensor {
  const scores = mul(product(q, k, { b: true }), scaleOf(q));
  return walls ? add(scores, walls.added) : scores;
}

function scaleOf({ shape }: Tensor): number {
  return 1 / Math.sqrt(shape[shape.length - 1]);
}

/** Decisions of (B, A, T, T) in this order. */
function dropoutOf({ inputTypes, attributes, host }: OperationCall, position: number): Tensor | undefined {
  const [rows, places] = inputTypes[0].shape;
  return dropoutFactors([rows, Number(attributes.heads), places, places], attributes, host(position) as Int32Array);
}

function withDropout(x: Tensor, factors: Tensor | undefined): Tensor {
  return factors ? mul(x, factors) : x;
}

/** (B, T, A · d) → (B, A, T, d). */
function split(x: Tensor, { attributes }: OperationCall): Tensor {
  const [rows, places, width] = x.shape;
  const heads = Number(attributes.heads);
  return transpose(reshape(x, [rows, places, heads, width / heads]), [0, 2, 1, 3]);
}

/** (B, A, T, d) → (B, T, A · d). */
function join(x: Tensor, { inputTypes }: OperationCall): Tensor {
  return reshape(transpose(x, [0, 2, 1, 3]), [...inputTypes[0].shape]);
}
