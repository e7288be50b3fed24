/**
 * The operations of fine-tuning together, as a model uses them: over an encoder's values, which the wasm engine holds
 * without their padding, and with gradients through several uses of one value. The float64 engine is the judge.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Engine, Inputs } from '../../src/engines/engine.js';
import { loadEngine } from '../../src/engines/index.js';
import { planPacking } from '../../src/engines/wasm/packing.js';
import { add } from '../../src/ops/arithmetic.js';
import { concatenate } from '../../src/ops/concatenate.js';
import { embed } from '../../src/ops/embed.js';
import { firstToken } from '../../src/ops/firstToken.js';
import { linear } from '../../src/ops/linear.js';
import { meanSquaredError } from '../../src/ops/meanSquaredError.js';
import { float32, int32, sizeOf } from '../../src/ops/operation.js';
import { softmaxCrossEntropy } from '../../src/ops/softmaxCrossEntropy.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import type { Program } from '../../src/program/program.js';
import { randomFloats, randomInts } from '../random.js';

const [rows, places, width, classes] = [5, 9, 13, 3];
/** Two segments, one, none, a full row, one token. */
const lengths = [4, 3, 6, 0, 0, 0, 9, 0, 1, 0];

/** embed → layers around a concatenation → a class and a number by the first token, and where an answer starts. */
function buildStep(): Program {
  const build = new ProgramBuilder();
  const weight = (name: string, ...shape: number[]) => build.variable(name, shape, 'parameter');
  const tables = {
    words: weight('words', 11, width),
    positions: weight('positions', places, width),
    types: weight('types', 2, width),
  };
  const layers = [weight('inner', 4, width), weight('outer', width, width + 4)];
  const heads = [weight('classes', classes, width + 2), weight('extra', 2, width), weight('number', 1, width)];
  const span = weight('span', 1, width);
  const walls = build.input('lengths', int32(rows, 2));
  const seconds = build.input('seconds', int32(rows, 2));
  const denominator = build.input('denominator', float32());
  const x = embed(build, build.input('ids', int32(rows, places)), walls, seconds, tables);
  const states = linear(build, concatenate(build, [linear(build, x, layers[0], undefined, 'gelu'), x]), layers[1]);
  const first = firstToken(build, states, walls);
  const both = concatenate(build, [first, linear(build, first, heads[1])]);
  const chosen = softmaxCrossEntropy(build, linear(build, both, heads[0]), {
    labels: build.input('labels', int32(rows)),
    weights: build.input('weights', float32(rows)),
    denominator,
  });
  const found = softmaxCrossEntropy(build, linear(build, states, span), {
    labels: build.input('starts', int32(rows)),
    lengths: walls,
    allowed: build.input('allowed', int32(rows, places)),
    denominator,
  });
  const numbers = build.input('numbers', float32(rows));
  const guessed = meanSquaredError(build, linear(build, first, heads[2]), numbers, undefined, denominator);
  const loss = add(build, add(build, chosen, found), guessed);
  const all = [...Object.values(tables), ...layers, ...heads, span];
  for (const [name, tensor] of Object.entries({ chosen, found, guessed })) build.output(name, tensor);
  for (const [i, gradient] of build.gradients(loss, all).entries()) build.output(`gradient ${i}`, gradient!);
  return build.finish();
}

const batch: Inputs = {
  lengths: Int32Array.from(lengths),
  seconds: Int32Array.from(lengths, (length) => Math.ceil(length / 2)),
  denominator: Float32Array.of(4),
  ids: randomInts(rows * places, 1, 11),
  labels: Int32Array.of(2, 0, 1, 1, 0),
  weights: Float32Array.of(1, 0.5, 0, 2, 1),
  // The second answer is hidden by the mask, the third lies in a row of padding.
  starts: Int32Array.of(5, 2, 1, 8, 0),
  allowed: Int32Array.from({ length: rows * places }, (_, i) => (i % places === 2 ? 0 : 1)),
  numbers: randomFloats(rows, 2),
};

async function run(engine: Engine, program: Program, threads = 1): Promise<Record<string, ArrayLike<number>>> {
  const runtime = await engine.load({ program }, { threads });
  try {
    const weights = runtime
      .variables()
      .map(({ name, shape }, i) => [name, randomFloats(sizeOf(shape), 60 + i)] as const);
    await runtime.write(new Map(weights));
    return await (await runtime.submit('program', batch)).outputs;
  } finally {
    await runtime.close();
  }
}

test('losses and gradients of a step of fine-tuning are the float64 engine’s', async () => {
  const program = buildStep();
  const { packingOf } = planPacking(program);
  for (const operation of ['firstToken', 'firstTokenGradient', 'softmaxCrossEntropyGradient']) {
    const used = program.operations.filter(({ name }) => name === operation);
    assert.ok(
      used.some(({ inputs, outputs }) => [...inputs, ...outputs].some((tensor) => packingOf.has(tensor))),
      `${operation} is not asked where padding is left out`,
    );
  }
  const expected = await run(await loadEngine('reference'), program);
  for (const name of ['wasm', 'tfjs'] as const) {
    const got = await run(await loadEngine(name), program);
    for (const [output, values] of Object.entries(expected)) {
      const scale = Array.from(values).reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      assert.ok(scale > 0, output);
      // A dozen operations of sums of at most 45 terms, each within γ(64) of its terms.
      for (const [i, value] of Array.from(values).entries()) {
        assert.ok(Math.abs(got[output][i] - value) < 2e-5 * Math.max(scale, 1), `${name}, ${output} at ${i}`);
      }
    }
  }
});

test('the wasm engine’s bits are the same for any number of threads', async () => {
  const program = buildStep();
  const engine = await loadEngine('wasm');
  const alone = await run(engine, program);
  for (const threads of [2, 3, 5]) assert.deepEqual(await run(engine, program, threads), alone);
});
