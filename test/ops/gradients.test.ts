/**
 * Every gradient rule against central differences in float64: for random dy, the derivative of Σ dy · y by each element.
 *
 * With h = 1e-5 the difference quotient is wrong by about h² · y‴ / 6 (1e-11 for values of order one) and by rounding,
 * 2e-16 / h; the limit of 1e-7 of the tensor's largest gradient lies far above both and far below any wrong term.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { referenceEngine } from '../../src/engines/reference/reference.js';
import { operations } from '../../src/ops/index.js';
import { type Attributes, float32, int32, sizeOf, type TensorType } from '../../src/ops/operation.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import { randomFloats, randomInts } from '../random.js';

const h = 1e-5;
const limit = 1e-7;

/** A float32 input is differentiated; its values are random unless given. int32 inputs are given. */
interface Given {
  type: TensorType;
  values?: Float64Array | Int32Array;
  constant?: boolean;
}

interface Case {
  claim: string;
  operation: string;
  inputs: (Given | undefined)[];
  attributes?: Attributes;
}

const ints = (shape: number[], ...values: number[]): Given => ({
  type: int32(...shape),
  values: Int32Array.from(values),
});
const floats = (...shape: number[]): Given => ({ type: float32(...shape) });
const draw = ints([4], 7, 11, 3, 5);
const denominators: Given = { type: float32(2), values: Float64Array.of(5, 9), constant: true };

const denominator: Given = { type: float32(), values: Float64Array.of(4), constant: true };

const rows = 3;
const places = 5;
const lengths = ints([rows, 2], 3, 2, 1, 3, 5, 0);
const seconds = ints([rows, 2], 1, 2, 1, 2, 3, 0);
const ids: Given = { type: int32(rows, places), values: randomInts(rows * places, 5, 7) };
const dropout = { dropout: 0.3, stream: 77 };

const cases: Case[] = [
  {
    claim: 'linear',
    operation: 'linear',
    inputs: [floats(2, 3, 4), floats(5, 4), floats(5)],
    attributes: { activation: 'none' },
  },
  {
    claim: 'linear without bias',
    operation: 'linear',
    inputs: [floats(6, 4), floats(5, 4), undefined],
    attributes: { activation: 'none' },
  },
  {
    claim: 'linear with gelu',
    operation: 'linear',
    inputs: [floats(6, 4), floats(5, 4), floats(5)],
    attributes: { activation: 'gelu' },
  },
  {
    claim: 'linear with tanh',
    operation: 'linear',
    inputs: [floats(6, 4), floats(5, 4), floats(5)],
    attributes: { activation: 'tanh' },
  },
  {
    claim: 'layerNorm',
    operation: 'layerNorm',
    inputs: [floats(3, 2, 7), floats(7), floats(7)],
    attributes: { epsilon: 1e-12 },
  },
  {
    claim: 'addNorm with dropout',
    operation: 'addNorm',
    inputs: [floats(3, 2, 7), floats(3, 2, 7), floats(7), floats(7), draw],
    attributes: { ...dropout, epsilon: 1e-12 },
  },
  {
    claim: 'addNorm',
    operation: 'addNorm',
    inputs: [floats(6, 7), floats(6, 7), floats(7), floats(7), draw],
    attributes: { dropout: 0, stream: 1, epsilon: 1e-3 },
  },
  { claim: 'dropout', operation: 'dropout', inputs: [floats(4, 9), draw], attributes: dropout },
  {
    claim: 'embed with two segments a row',
    operation: 'embed',
    inputs: [ids, lengths, seconds, floats(7, 3), floats(6, 3), floats(2, 3)],
  },
  {
    claim: 'attention inside walls',
    operation: 'attention',
    inputs: [floats(rows, places, 6), floats(rows, places, 6), floats(rows, places, 6), lengths, draw],
    attributes: { heads: 2, dropout: 0, stream: 1 },
  },
  {
    claim: 'attention with dropout on the probabilities',
    operation: 'attention',
    inputs: [floats(rows, places, 6), floats(rows, places, 6), floats(rows, places, 6), lengths, draw],
    attributes: { heads: 3, ...dropout },
  },
  {
    claim: 'gatherRows with a place twice',
    operation: 'gatherRows',
    inputs: [floats(2, 4, 3), ints([2, 3], 1, 3, 1, 0, 2, 2)],
  },
  {
    claim: 'maskedLmHead',
    operation: 'maskedLmHead',
    inputs: [
      floats(2, 3, 4),
      floats(7, 4),
      floats(7),
      ints([2, 3], 1, 6, 0, 4, 2, 2),
      ints([2], 3, 2),
      denominators,
      draw,
    ],
    attributes: { temperature: 1, disallowCorrect: false, sample: true, stream: 4 },
  },
  {
    claim: 'binaryCrossEntropy',
    operation: 'binaryCrossEntropy',
    inputs: [
      floats(rows, places, 1),
      { type: int32(rows, places), values: randomInts(rows * places, 9, 2) },
      lengths,
      denominators,
    ],
  },
  {
    claim: 'softmaxCrossEntropy over classes',
    operation: 'softmaxCrossEntropy',
    inputs: [floats(4, 3), ints([4], 2, 0, 0, 1), undefined, undefined, undefined, denominator],
  },
  {
    claim: 'softmaxCrossEntropy over allowed places inside walls, one answer not shown',
    operation: 'softmaxCrossEntropy',
    inputs: [
      floats(rows, places, 1),
      ints([rows], 3, 1, 4),
      lengths,
      ints([rows, places], 0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1),
      { type: float32(rows), values: Float64Array.of(1, 0.5, 2), constant: true },
      denominator,
    ],
  },
  {
    claim: 'meanSquaredError',
    operation: 'meanSquaredError',
    inputs: [floats(5, 1), { ...floats(5), constant: true }, undefined, denominator],
  },
  {
    claim: 'meanSquaredError with weights',
    operation: 'meanSquaredError',
    inputs: [
      floats(3, 1),
      { ...floats(3), constant: true },
      { type: float32(3), values: Float64Array.of(1, 0, 2), constant: true },
      denominator,
    ],
  },
  {
    claim: 'firstToken with a row that has none',
    operation: 'firstToken',
    inputs: [floats(rows, places, 3), ints([rows, 2], 3, 2, 0, 0, 0, 4)],
  },
  { claim: 'concatenate', operation: 'concatenate', inputs: [floats(2, 3, 2), floats(2, 3, 1), floats(2, 3, 4)] },
  { claim: 'add', operation: 'add', inputs: [floats(4, 3), floats(4, 3)] },
  { claim: 'scale', operation: 'scale', inputs: [floats(4, 3)], attributes: { factor: -2.5 } },
];

/** Runs forward and gradient of one operation; `previous` is added where the rule says that it accumulates. */
async function run(one: Case, values: (Float64Array | Int32Array | undefined)[], dy: Float64Array, previous: boolean) {
  const definition = operations.get(one.operation)!;
  const build = new ProgramBuilder();
  const isVariable = one.inputs.map((input) => input?.type.dtype === 'float32');
  const tensors = one.inputs.map((input, i) => {
    if (!input) return undefined;
    return isVariable[i] ? build.variable(`x${i}`, input.type.shape, 'parameter') : build.input(`x${i}`, input.type);
  });
  const outputs = build.apply(definition, tensors, one.attributes ?? {});
  build.output('y', outputs[0]);
  const dyTensor = build.variable('dy', outputs[0].shape, 'parameter');
  const needed = one.inputs.map((input, i) => isVariable[i] && !input?.constant);
  const results = definition.gradient!({
    build,
    inputs: tensors as never,
    outputs,
    attributes: one.attributes ?? {},
    remade: () => {},
    outputGradients: outputs.map((_, i) => (i === 0 ? dyTensor : undefined)),
    needed,
    previous: one.inputs.map((input, i) =>
      previous && needed[i] && definition.accumulates?.includes(i)
        ? build.variable(`previous${i}`, input!.type.shape, 'gradient')
        : undefined,
    ),
  });
  for (const [i, result] of results.entries()) if (needed[i]) build.output(`d${i}`, result!);
  const runtime = await referenceEngine.load({ step: build.finish() });
  const variables = runtime.variables().map(({ name, shape }) => {
    if (name === 'dy') return [name, dy] as const;
    const own = name.startsWith('x') ? values[Number(name.slice(1))]! : new Float64Array(sizeOf(shape)).fill(0.5);
    return [name, own] as const;
  });
  await runtime.write(new Map(variables));
  const inputs = Object.fromEntries(
    one.inputs.flatMap((input, i) => (input && !isVariable[i] ? [[`x${i}`, values[i] as Int32Array]] : [])),
  );
  return (await runtime.submit('step', inputs)).outputs;
}

describe('gradient rules agree with central differences', () => {
  for (const [serial, one] of cases.entries()) {
    test(one.claim, async () => {
      const values = one.inputs.map((input, i) =>
        input
          ? (input.values ?? Float64Array.from(randomFloats(sizeOf(input.type.shape), 100 * serial + i)))
          : undefined,
      );
      const types = one.inputs.map((input) => input?.type) as TensorType[];
      const size = sizeOf(operations.get(one.operation)!.infer(types, one.attributes ?? {})[0].shape);
      const dy = Float64Array.from(randomFloats(size, 999 + serial));
      const outputs = await run(one, values, dy, false);
      const withPrevious = await run(one, values, dy, true);
      const definition = operations.get(one.operation)!;
      for (const [i, input] of one.inputs.entries()) {
        if (input?.type.dtype !== 'float32' || input.constant) continue;
        const expected = new Float64Array(sizeOf(input.type.shape));
        for (let element = 0; element < expected.length; element++) {
          const [up, down] = await Promise.all(
            [h, -h].map(async (step) => {
              const moved = (values[i] as Float64Array).slice();
              moved[element] += step;
              const { y } = await run(one, values.with(i, moved), dy, false);
              return Array.from(y).reduce((sum, value, n) => sum + value * dy[n], 0);
            }),
          );
          expected[element] = (up - down) / (2 * h);
        }
        compare(`d${i}`, outputs[`d${i}`], expected);
        const added = definition.accumulates?.includes(i) ? 0.5 : 0;
        compare(
          `d${i} + previous`,
          withPrevious[`d${i}`],
          expected.map((value) => value + added),
        );
      }
    });
  }

  test('every operation with a gradient rule is among them', () => {
    const covered = new Set(cases.map((one) => one.operation));
    for (const [name, definition] of operations) if (definition.gradient) assert.ok(covered.has(name), name);
  });
});

function compare(what: string, actual: ArrayLike<number>, expected: Float64Array): void {
  const largest = expected.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  for (const [i, value] of expected.entries()) {
    const error = Math.abs(actual[i] - value);
    assert.ok(error <= limit * Math.max(largest, 1e-3), `${what}[${i}]: ${actual[i]} for ${value}`);
  }
}
