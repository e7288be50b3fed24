/**
 * Puts an engine through every operation, forward and gradient, against the float64 references of src/ops on the same
 * float32 inputs. Independent of the engine: a test file calls `describeConformance` once for each engine and build.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Engine, Inputs, LoadOptions, Outputs } from '../../src/engines/engine.js';
import { operations } from '../../src/ops/index.js';
import type { Values } from '../../src/ops/operation.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import type { Program } from '../../src/program/program.js';
import { type Case, conformanceCases, runReference, valuesOf } from './cases.js';
import { bfloat16Products, float32Products, type ProductRounding } from './roundoff.js';

/** Names of operations that an engine may leave out are given in `except`, each with its reason in the test's file. */
export function describeConformance(
  title: string,
  engine: Engine,
  options: LoadOptions = {},
  except: readonly string[] = [],
): void {
  const products = options.precision === 'bfloat16' ? bfloat16Products : float32Products;
  const cases = conformanceCases().filter(({ operation }) => !except.includes(operation));
  describe(`${title} agrees with the float64 reference`, () => {
    test('no operation is left out', () => {
      const asked = new Set(cases.map(({ operation }) => operation));
      const missing = [...operations.keys()].filter((name) => !asked.has(name) && !except.includes(name));
      assert.deepEqual(missing, []);
    });
    for (const name of operations.keys()) {
      const own = cases.filter(({ operation }) => operation === name);
      if (own.length === 0) continue;
      test(`${name}, ${own.length} shapes`, async () => {
        const programs = Object.fromEntries(own.map((one, i) => [`case ${i}`, programOf(one)]));
        const runtime = await engine.load(programs, options);
        try {
          for (const [i, one] of own.entries()) {
            const ticket = await runtime.submit(`case ${i}`, inputsOf(one));
            judge(one, await ticket.outputs, products);
          }
        } finally {
          await runtime.close();
        }
      });
    }
  });
}

/** One operation, every output of it an output of the program. */
export function programOf({ operation, inputs, attributes }: Case): Program {
  const definition = operations.get(operation);
  if (!definition) throw new Error(`no operation ${operation}`);
  const build = new ProgramBuilder();
  const tensors = inputs.map((input, i) => (input ? build.input(`input ${i}`, input.type) : undefined));
  for (const [i, tensor] of build.apply(definition, tensors, attributes).entries()) build.output(`output ${i}`, tensor);
  return build.finish();
}

export function inputsOf({ inputs }: Case): Inputs {
  return Object.fromEntries(inputs.flatMap((input, i) => (input ? [[`input ${i}`, input.values]] : [])));
}

function judge(one: Case, got: Outputs, products: ProductRounding): void {
  const expected = runReference(one, (values) => values);
  const bounds = one.bounds({
    inputs: one.inputs.map((input) => valuesOf(input, (values) => values)) as Values[],
    outputs: expected,
    products,
    absolute: () => runReference(one, (values) => values.map(Math.abs)),
  });
  const actual = expected.map((_, i) => got[`output ${i}`] as Values);
  for (const [output, values] of expected.entries()) {
    assert.equal(actual[output].length, values.length);
    if (one.judged?.includes(output)) continue;
    const bound = bounds[output];
    for (let i = 0; i < values.length; i++) {
      const allowed = typeof bound === 'number' ? bound : bound[i];
      const isRight = Object.is(actual[output][i], values[i]) || Math.abs(actual[output][i] - values[i]) <= allowed;
      assert.ok(
        isRight,
        `${one.operation} ${one.title}, output ${output} at ${i}: ${actual[output][i]}, not ${values[i]} ± ${allowed}`,
      );
    }
  }
  const complaint = one.accepts?.(actual, expected, products);
  assert.equal(complaint, undefined, `${one.operation} ${one.title}: ${complaint}`);
}
