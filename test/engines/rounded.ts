/**
 * Programs in float64 with the operands and results of matrix products rounded: what an engine with bfloat16 products
 * computes, but for float32's own errors. Each operation is that of src/ops; attention, whose inner values are rounded
 * too, is written out.
 *
 * Rounded to either neighbour at random, the nearer the likelier, results scatter around the exact ones with no bias and
 * with √2 times the root mean square error of rounding to nearest (δ (1 − δ) of a spacing's square is 1/6 on average,
 * min(δ, 1 − δ)² is 1/12). So a few runs tell how far roundings may move anything that a program computes.
 */
import assert from 'node:assert/strict';
import type { Inputs } from '../../src/engines/engine.js';
import { type Activation, activate } from '../../src/ops/activation.js';
import { operations } from '../../src/ops/index.js';
import { type Attributes, type ReferenceCall, sizeOf, type Values } from '../../src/ops/operation.js';
import { type Program, typesOf } from '../../src/program/program.js';
import { type AttentionSite, type Head, headsOf } from './attention.js';

export type Round = (x: number) => number;

/** To bfloat16, away from 0 with the probability of how far x is on that way: a pure function of (x, seed). */
export function atRandom(seed: number): Round {
  const salt = Math.imul(seed + 1, 0x9e3779b9);
  return (x) => cut(x, (fraction, high, low) => scramble(high ^ scramble(low ^ salt)) < fraction * 2 ** 32);
}

/** To the nearest bfloat16, ties to even. */
export const toNearest: Round = (x) =>
  cut(x, (fraction, high) => fraction > 0.5 || (fraction === 0.5 && (high & bfloat16Unit) !== 0));

/** One in the last place of a bfloat16, in the high word of a float64. */
const bfloat16Unit = 2 ** 13;
const bits = new DataView(new ArrayBuffer(8));

/**
 * x with seven bits behind the leading one, more by one in the last where `isAway`, which is told how far x is on the way.
 * Numbers too small to be normal do not occur.
 */
function cut(x: number, isAway: (fraction: number, high: number, low: number) => boolean): number {
  bits.setFloat64(0, x);
  const [high, low] = [bits.getInt32(0), bits.getUint32(4)];
  const fraction = ((high & (bfloat16Unit - 1)) * 2 ** 32 + low) / (bfloat16Unit * 2 ** 32);
  bits.setInt32(0, (high & -bfloat16Unit) + (fraction > 0 && isAway(fraction, high, low) ? bfloat16Unit : 0));
  bits.setUint32(4, 0);
  return bits.getFloat64(0);
}

/** 32 bits that look random. Source: the finalizer of MurmurHash3. */
function scramble(word: number): number {
  let x = word;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Outputs by name; the program's variables get what they are at its end. */
export function runRounded(
  program: Program,
  variables: Map<string, Float64Array>,
  inputs: Inputs,
  round: Round,
): Record<string, Values> {
  const values: Values[] = [];
  for (const [name, tensor] of Object.entries(program.inputs)) {
    const given = inputs[name];
    values[tensor] = given instanceof Int32Array ? given : Float64Array.from(given);
  }
  for (const [name, { tensor }] of Object.entries(program.variables)) values[tensor] = variables.get(name)!;
  for (const { name, inputs, outputs, attributes } of program.operations) {
    const outputTypes = typesOf(program, outputs);
    for (const [i, { dtype, shape }] of outputTypes.entries()) {
      values[outputs[i]] = dtype === 'int32' ? new Int32Array(sizeOf(shape)) : new Float64Array(sizeOf(shape));
    }
    const call = {
      inputs: inputs.map((tensor) => values[tensor]),
      outputs: outputs.map((tensor) => values[tensor]),
      inputTypes: typesOf(program, inputs),
      outputTypes,
      attributes,
    };
    const rounded = withProducts[name];
    if (rounded) rounded(call, round, name);
    else operations.get(name)!.reference(call);
  }
  for (const [name, { assigned }] of Object.entries(program.variables)) {
    if (assigned !== undefined) variables.set(name, Float64Array.from(values[assigned]));
  }
  return Object.fromEntries(Object.entries(program.outputs).map(([name, tensor]) => [name, values[tensor]]));
}

type Call = ReferenceCall<Attributes>;

const withProducts: Readonly<Record<string, (call: Call, round: Round, name: string) => void>> = {
  linear(call, round) {
    const [y, pre] = call.outputs;
    const activation = call.attributes.activation as Activation;
    const [x, weight, bias] = call.inputs;
    exactly('linear', call, [x.map(round), weight.map(round)], { activation: 'none' });
    for (let i = 0; i < y.length; i++) {
      const sum = round(y[i] + (bias ? round(bias[i % bias.length]) : 0));
      y[i] = activate(activation, sum);
      if (pre) pre[i] = sum;
    }
  },
  linearInputGradient: addedProduct,
  linearWeightGradient: addedProduct,
  biasGradient(call, round) {
    const [dy, previous] = call.inputs;
    const [sums] = call.outputs;
    exactly('biasGradient', call, [dy.map(round)]);
    for (let i = 0; i < sums.length; i++) sums[i] = round(sums[i]) + (previous ? previous[i] : 0);
  },
  maskedLmHead(call, round) {
    const { inputs, inputTypes } = headOfProducts(call, round);
    exactly('maskedLmHead', { ...call, inputTypes }, inputs);
  },
  maskedLmHeadGradient(call, round) {
    const { inputs, inputTypes } = headOfProducts(call, round);
    const [hidden, table, bias, , , , , , ...previous] = call.inputs;
    const { shape } = inputTypes[0];
    const identity = inputTypes[1].shape;
    const outputTypes = [shape, identity, [bias.length]].map((shape) => ({ dtype: 'float32', shape }) as const);
    // The gradient of hidden states with the identity as table is that of the logits.
    const outputs = outputTypes.map(({ shape }) => new Float64Array(sizeOf(shape)));
    exactly('maskedLmHeadGradient', { ...call, inputTypes, outputTypes, outputs }, inputs.slice(0, 8));
    const dLogits = outputs[0].map(round);
    const [dHidden, dTable, dBias] = call.outputs;
    const [hiddenType, tableType] = call.inputTypes;
    const products = { inputTypes: [inputTypes[0], tableType], outputTypes: [hiddenType], attributes: {} };
    exactly('linearInputGradient', { ...products, inputs: [], outputs: [dHidden] }, [dLogits, table.map(round)]);
    const ofTable = { inputTypes: [inputTypes[0], hiddenType], outputTypes: [tableType], attributes: {} };
    exactly('linearWeightGradient', { ...ofTable, inputs: [], outputs: [dTable] }, [dLogits, hidden.map(round)]);
    for (const sums of [dHidden, dTable]) sums.set(sums.map(round));
    dBias.set(outputs[2]);
    for (const [i, gradient] of call.outputs.entries()) {
      if (previous[i]) gradient.set(gradient.map((value, at) => value + previous[i][at]));
    }
  },
  attention(call, round) {
    const [q, k, v, lengths, draw] = call.inputs;
    const [context, logSumExp] = call.outputs;
    const operands = [q, k, v].map((values) => values.map(round));
    for (const head of headsOf(siteOf(call, lengths, draw))) {
      const { places, width, start, statistic } = head;
      for (const i of places) {
        const query = queryOf(head, i, operands[0], operands[1], round);
        logSumExp[statistic(i)] = query.logSumExp;
        for (const [n, j] of places.entries()) {
          for (let e = 0; e < width; e++) context[start(i) + e] += query.kept[n] * operands[2][start(j) + e];
        }
      }
    }
    roundAll(context, round);
  },
  attentionGradient(call, round) {
    const [q, k, v, context, logSumExp, lengths, draw, dContext] = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => call.inputs[i]);
    const [forQuery, forKey, forValue, forContext] = [q, k, v, dContext].map((values) => values.map(round));
    const [dq, dk, dv] = call.outputs;
    for (const head of headsOf(siteOf(call, lengths, draw))) {
      const { places, width, start, factor, statistic } = head;
      for (const i of places) {
        const { probabilities, kept } = queryOf(head, i, forQuery, forKey, round, logSumExp[statistic(i)]);
        const dKept = places.map((j) => round(dot(forContext, start(i), forValue, start(j), width)) * factor(i, j));
        const shared = dot(forContext, start(i), context, start(i), width);
        for (const [n, j] of places.entries()) {
          const dScore = round((probabilities[n] * (dKept[n] - shared)) / Math.sqrt(width));
          for (let e = 0; e < width; e++) {
            dq[start(i) + e] += dScore * forKey[start(j) + e];
            dk[start(j) + e] += dScore * forQuery[start(i) + e];
            dv[start(j) + e] += kept[n] * forContext[start(i) + e];
          }
        }
      }
    }
    for (const gradient of [dq, dk, dv]) roundAll(gradient, round);
  },
};

/** The head of rounded products as hidden states and the identity as table, which has them as its logits, but for the bias. */
function headOfProducts(call: Call, round: Round): Pick<Call, 'inputs' | 'inputTypes'> {
  const [hidden, table, bias, ...rest] = call.inputs;
  const [hiddenType, tableType, ...restTypes] = call.inputTypes;
  const pieces = bias.length;
  const type = { dtype: 'float32', shape: [...hiddenType.shape.slice(0, 2), pieces] } as const;
  const products = new Float64Array(sizeOf(type.shape));
  operations.get('linear')!.reference({
    inputs: [hidden.map(round), table.map(round)],
    outputs: [products],
    inputTypes: [hiddenType, tableType],
    outputTypes: [type],
    attributes: { activation: 'none' },
  });
  const identity = Float64Array.from({ length: pieces * pieces }, (_, i) => (i % (pieces + 1) === 0 ? 1 : 0));
  return {
    inputs: [products.map(round), identity, bias, ...rest],
    inputTypes: [type, { dtype: 'float32', shape: [pieces, pieces] }, ...restTypes],
  };
}

/** The reference of an operation on other inputs. */
function exactly(name: string, call: Call, inputs: readonly (Values | undefined)[], changed: Attributes = {}): void {
  const attributes = { ...call.attributes, ...changed };
  operations.get(name)!.reference({ ...call, inputs: inputs as readonly Values[], attributes });
}

/** Two operands, and what their product is added to. */
function addedProduct(call: Call, round: Round, name: string): void {
  const [a, b, previous] = call.inputs;
  const [sum] = call.outputs;
  exactly(name, call, [a.map(round), b.map(round)]);
  for (let i = 0; i < sum.length; i++) sum[i] = round(sum[i]) + (previous ? previous[i] : 0);
}

function siteOf({ inputTypes: [{ shape }], attributes }: Call, lengths: Values, draw: Values) {
  return { ...(attributes as Pick<AttentionSite, 'heads' | 'dropout' | 'stream'>), shape, lengths, draw };
}

/** Probabilities, what dropout leaves of them as operands, and the logarithm of their denominator, if it is not given. */
function queryOf(head: Head, i: number, q: Values, k: Values, round: Round, given?: number) {
  const { places, width, start, factor } = head;
  const scores = places.map((j) => round(dot(q, start(i), k, start(j), width)) / Math.sqrt(width));
  const most = Math.max(...scores);
  const logSumExp = given ?? most + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - most), 0));
  const probabilities = scores.map((score) => Math.exp(score - logSumExp));
  return { probabilities, kept: probabilities.map((p, n) => round(p * factor(i, places[n]))), logSumExp };
}

function dot(a: Values, aStart: number, b: Values, bStart: number, width: number): number {
  let sum = 0;
  for (let e = 0; e < width; e++) sum += a[aStart + e] * b[bStart + e];
  return sum;
}

function roundAll(values: Values, round: Round): void {
  for (let i = 0; i < values.length; i++) values[i] = round(values[i]);
}

/** Euclidean. */
export function distance(a: Numbers, b: Numbers): number {
  assert.equal(a.length, b.length);
  return Math.sqrt(Array.from(a).reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0));
}

/** Of the distances of `runs` from `exact`. */
export function rootMeanSquare(runs: readonly Numbers[], exact: Numbers): number {
  return Math.sqrt(runs.reduce((sum, run) => sum + distance(run, exact) ** 2, 0) / runs.length);
}

type Numbers = ArrayLike<number>;
