/**
 * How far attention and its gradient may be from the float64 reference, element by element: the formula of
 * src/ops/attention.ts walked once more with the error of every value beside it.
 *
 * Each step takes the errors of what it reads and adds its own: γ(n) of a sum's absolute terms, `productError` of a matrix
 * product's, the exponential of a score's error for a probability. So the bounds hold for engines that keep the
 * denominators and for those that compute all again, with float32 products and with rounded ones.
 */
import { dropoutFactor, dropoutThreshold, readDraw } from '../../src/ops/dropout.js';
import type { Shape, Values } from '../../src/ops/operation.js';
import { segmentsOf } from '../../src/ops/segments.js';
import { compound, gamma, type ProductRounding, productError, unitRoundoff } from './roundoff.js';

export interface AttentionSite {
  readonly shape: Shape;
  readonly heads: number;
  readonly dropout: number;
  readonly stream: number;
  readonly lengths: Values;
  readonly draw: Values;
}

/** One head of one segment. */
export interface Head {
  /** Places of the row that see each other. */
  readonly places: readonly number[];
  readonly width: number;
  /** First element of a place in q, k, v and context. */
  start(place: number): number;
  /** Of a place in the logarithms of the denominators. */
  statistic(place: number): number;
  /** What dropout multiplies a probability by. */
  factor(query: number, key: number): number;
}

export function* headsOf({ shape, heads, dropout, stream, lengths, draw }: AttentionSite): Generator<Head> {
  const [rows, length, all] = shape;
  const width = all / heads;
  const drawn = readDraw(draw);
  const threshold = dropoutThreshold(dropout);
  for (const { row, start, length: count } of segmentsOf(lengths, undefined, lengths.length / rows)) {
    const places = Array.from({ length: count }, (_, i) => start + i);
    for (let head = 0; head < heads; head++) {
      const first = ((drawn.firstRow + row) * heads + head) * length * length;
      yield {
        places,
        width,
        start: (place) => (row * length + place) * all + head * width,
        statistic: (place) => (row * heads + head) * length + place,
        factor: (query, key) =>
          threshold === 0 ? 1 : dropoutFactor(drawn, stream, threshold, first + query * length + key),
      };
    }
  }
}

/** Of context and of the logarithms of the denominators. */
export function attentionErrors(
  site: AttentionSite,
  { q, k, v }: Record<'q' | 'k' | 'v', Values>,
  products: ProductRounding,
): Float64Array[] {
  const context = new Float64Array(q.length);
  const logSumExp = new Float64Array(site.shape[0] * site.shape[1] * site.heads);
  for (const head of headsOf(site)) {
    const { places, width, start, statistic, factor } = head;
    for (const i of places) {
      const query = queryOf(head, i, q, k, products);
      logSumExp[statistic(i)] = query.logSumExpError;
      for (const [n, j] of places.entries()) {
        const error =
          query.probabilities[n] * factor(i, j) * compound(query.errors[n], productError(places.length + 3, products));
        for (let e = 0; e < width; e++) context[start(i) + e] += error * Math.abs(v[start(j) + e]);
      }
    }
  }
  return [context, logSumExp];
}

/** Of dq, dk and dv. */
export function attentionGradientErrors(
  site: AttentionSite,
  { q, k, v, dContext }: Record<'q' | 'k' | 'v' | 'dContext', Values>,
  products: ProductRounding,
): Float64Array[] {
  const [dq, dk, dv] = Array.from({ length: 3 }, () => new Float64Array(q.length));
  for (const head of headsOf(site)) {
    const { places, width, start, factor } = head;
    const scale = 1 / Math.sqrt(width);
    const ofSum = productError(places.length + 3, products);
    for (const i of places) {
      const { probabilities, errors } = queryOf(head, i, q, k, products);
      const factors = places.map((j) => factor(i, j));
      const kept = places.map((j) => dot(dContext, start(i), v, start(j), width));
      // dP · factor of a key, and Σ p dP · factor of all: the second also as dContext · context.
      const ofKept = kept.map(({ size }, n) => size * factors[n] * productError(width + 3, products));
      const shared = sumOf(places, (n) => probabilities[n] * kept[n].sum * factors[n]);
      const sizes = places.map((_, n) => probabilities[n] * kept[n].size * factors[n]);
      const size = sumOf(places, (n) => sizes[n]);
      const ofTerm = productError(width + places.length + 8, products);
      const ofShared = sumOf(places, (n) => sizes[n] * compound(errors[n], ofTerm));
      for (const [n, j] of places.entries()) {
        const difference = kept[n].sum * factors[n] - shared;
        const ofDifference = ofKept[n] + ofShared + 2 * unitRoundoff * (kept[n].size * factors[n] + size);
        const dScore = probabilities[n] * scale * difference;
        const error =
          Math.abs(dScore) * compound(errors[n], ofSum) +
          probabilities[n] * scale * ofDifference * (1 + compound(errors[n], ofSum));
        const ofValue = probabilities[n] * factors[n] * compound(errors[n], ofSum);
        for (let e = 0; e < width; e++) {
          dq[start(i) + e] += error * Math.abs(k[start(j) + e]);
          dk[start(j) + e] += error * Math.abs(q[start(i) + e]);
          dv[start(j) + e] += ofValue * Math.abs(dContext[start(i) + e]);
        }
      }
    }
  }
  return [dq, dk, dv];
}

/** The probabilities of a query with their relative errors, and that of the logarithm of their denominator. */
function queryOf({ places, width, start }: Head, i: number, q: Values, k: Values, products: ProductRounding) {
  const scale = 1 / Math.sqrt(width);
  const dots = places.map((j) => dot(q, start(i), k, start(j), width));
  const scores = dots.map(({ sum }) => sum * scale);
  const ofScores = dots.map(({ size }) => size * scale * productError(width + 3, products));
  const most = Math.max(...scores);
  const logSumExp = most + Math.log(sumOf(places, (n) => Math.exp(scores[n] - most)));
  const worst = Math.max(...ofScores);
  // A score's distance from the largest, or from the logarithm, is rounded before its exponential is taken.
  const sizes = Math.max(...dots.map(({ size }) => size * scale)) + Math.abs(logSumExp);
  const rounding = 4 * unitRoundoff * sizes + gamma(places.length + 24);
  return {
    probabilities: scores.map((score) => Math.exp(score - logSumExp)),
    errors: ofScores.map((error) => Math.expm1(error + worst + rounding)),
    logSumExpError: worst + rounding * (1 + Math.abs(logSumExp)),
  };
}

function dot(a: Values, aStart: number, b: Values, bStart: number, width: number): { sum: number; size: number } {
  let sum = 0;
  let size = 0;
  for (let e = 0; e < width; e++) {
    const term = a[aStart + e] * b[bStart + e];
    sum += term;
    size += Math.abs(term);
  }
  return { sum, size };
}

function sumOf(places: readonly number[], term: (n: number) => number): number {
  return places.reduce((sum, _, n) => sum + term(n), 0);
}
