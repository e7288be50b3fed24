/** What the passes take away and what they must leave, on programs of a few operations and on ELECTRA's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Outputs } from '../../src/engines/engine.js';
import { referenceEngine } from '../../src/engines/reference/reference.js';
import { buildDiscriminate, buildEvaluate, buildTrain } from '../../src/model/electra.js';
import { encode } from '../../src/model/encoder.js';
import { parameterName, parametersOf } from '../../src/model/parameters.js';
import { add, scale } from '../../src/ops/arithmetic.js';
import { drawType, dropout } from '../../src/ops/dropout.js';
import { float32, int32 } from '../../src/ops/operation.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import { shareCommonSubexpressions } from '../../src/program/commonSubexpressions.js';
import { removeDeadCode } from '../../src/program/deadCode.js';
import type { Program } from '../../src/program/program.js';
import { tinyModel, tinySettings } from '../model/tiny.js';

const namesOf = ({ operations }: Program) => operations.map(({ name }) => name);

async function run(program: Program, x: readonly number[], v: readonly number[]): Promise<Outputs> {
  const runtime = await referenceEngine.load({ program });
  await runtime.write(new Map([['v', Float32Array.from(v)]]));
  const inputs = { x: Float32Array.from(x), ...('draw' in program.inputs && { draw: Int32Array.of(1, 2, 3, 4) }) };
  const outputs = await (await runtime.submit('program', inputs)).outputs;
  return { ...outputs, v: await runtime.read('v') };
}

test('what nobody reads goes; outputs, what a variable becomes, and what those need stay', async () => {
  const build = new ProgramBuilder();
  const x = build.input('x', float32(2));
  const v = build.variable('v', [2], 'parameter');
  build.input('unread', float32(1));
  scale(build, scale(build, x, 5), 7);
  build.output('y', scale(build, x, 3));
  build.assign('v', add(build, v, scale(build, x, 2)));
  const program = build.finish();
  assert.deepEqual(namesOf(program), ['scale', 'scale', 'add']);
  assert.equal(program.tensors.length, 6);
  assert.ok('unread' in program.inputs);
  const { unread: _, ...inputs } = program.inputs;
  const { y, v: after } = await run({ ...program, inputs }, [1, 2], [10, 20]);
  assert.deepEqual([...y, ...after], [3, 6, 12, 24]);
});

test('equal operations are one, and so are those that read what was equal; two outputs may then be one tensor', async () => {
  const build = new ProgramBuilder();
  const x = build.input('x', float32(2));
  const v = build.variable('v', [2], 'parameter');
  const [once, again, other] = [3, 3, 4].map((factor) => scale(build, x, factor));
  build.output('a', add(build, once, v));
  build.output('b', add(build, again, v));
  build.output('c', add(build, other, v));
  build.assign('v', add(build, again, v));
  const program = build.finish();
  assert.deepEqual(namesOf(program), ['scale', 'scale', 'add', 'add']);
  assert.equal(program.outputs.a, program.outputs.b);
  const { a, b, c, v: after } = await run(program, [1, 2], [10, 20]);
  assert.deepEqual([...a, ...b, ...c, ...after], [13, 26, 13, 26, 14, 28, 13, 26]);
});

test('two heads that both ask for the encoder share one', () => {
  const { model, shape } = tinySettings(tinyModel({ hidden_dropout_prob: 0.1 }));
  const countOf = (heads: number) => {
    const build = new ProgramBuilder();
    const shapes = new Map(parametersOf(model).map(({ name, shape }) => [name, shape]));
    const weights = (key: string) => {
      const name = parameterName(model, 'discriminator', key);
      return build.variable(name, shapes.get(name)!, 'parameter');
    };
    const inputs = {
      ids: build.input('ids', int32(shape.rows, shape.places)),
      lengths: build.input('lengths', int32(shape.rows, shape.segments)),
      seconds: build.input('seconds', int32(shape.rows, shape.segments)),
      draw: build.input('draw', drawType),
    };
    for (let head = 0; head < heads; head++) {
      const encoder = { part: 'discriminator', config: model.discriminator, weights, isTraining: true } as const;
      build.output(`${head}`, scale(build, encode(build, encoder, inputs), head + 2));
    }
    return build.finish().operations.length;
  };
  assert.equal(countOf(2), countOf(1) + 1);
});

test('draws are equal only if their streams are', async () => {
  const build = new ProgramBuilder();
  const x = build.input('x', float32(64));
  build.variable('v', [1], 'parameter');
  const draw = build.input('draw', drawType);
  const [a, b, c] = [5, 6, 5].map((stream) => dropout(build, x, draw, { dropout: 0.5, stream }));
  for (const [name, tensor] of Object.entries({ a, b, c })) build.output(name, tensor);
  const program = build.finish();
  assert.equal(program.operations.length, 2);
  const values = await run(program, new Array(64).fill(1), [0]);
  assert.deepEqual(values.a, values.c);
  assert.notDeepEqual(values.a, values.b);
});

test('nothing is left to take from a program that a pass has seen, and it is as it was', () => {
  const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-6, biasCorrection: false, weightDecay: 0, maxGradNorm: 1 };
  const settings = tinySettings(tinyModel({ hidden_dropout_prob: 0.1 }));
  const programs = [
    buildTrain({ ...settings, optimizer, exposesAll: true }),
    buildEvaluate(settings),
    buildDiscriminate(settings.model, settings.shape),
  ];
  for (const program of programs) {
    assert.deepEqual(removeDeadCode(program), program);
    assert.deepEqual(shareCommonSubexpressions(program), program);
  }
});
