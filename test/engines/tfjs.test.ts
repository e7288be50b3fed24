/**
 * The eager engine as a whole: the wasm engine's draws, new tensors for what has changed, nothing left behind, and what
 * it takes from the process and from the file system.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { backend, memory } from '@tensorflow/tfjs-core';
import type { Engine, Inputs, Outputs, TypedArray } from '../../src/engines/engine.js';
import { openBackend } from '../../src/engines/tfjs/backend.js';
import { createTfjsEngine, plainTfjsEngine, tfjsEngine } from '../../src/engines/tfjs/tfjs.js';
import { wasmEngine } from '../../src/engines/wasm/wasm.js';
import { GalvaniError } from '../../src/errors.js';
import { buildTrain } from '../../src/model/electra.js';
import { add, scale } from '../../src/ops/arithmetic.js';
import { dropout } from '../../src/ops/dropout.js';
import { linear } from '../../src/ops/linear.js';
import { float32, int32, sizeOf } from '../../src/ops/operation.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import type { Program } from '../../src/program/program.js';
import { randomWeights, tinyBatch, tinyModel, tinySettings } from '../model/tiny.js';
import { randomFloats } from '../random.js';

const engines: [string, Engine][] = [
  ['tfjs', tfjsEngine],
  ['tfjs-plain', plainTfjsEngine],
];

const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-6, biasCorrection: true, weightDecay: 0.01, maxGradNorm: 1 };
/** ELECTRA-Small's. */
const rate = Float32Array.of(5e-4);

function trainProgram(dropoutProb: number) {
  const model = tinyModel({ hidden_dropout_prob: dropoutProb, attention_probs_dropout_prob: dropoutProb });
  return { model, program: buildTrain({ ...tinySettings(model), optimizer }) };
}

async function run(engine: Engine, program: Program, inputs: Inputs): Promise<Outputs> {
  const runtime = await engine.load({ program }, { threads: 1 });
  try {
    return await (await runtime.submit('program', inputs)).outputs;
  } finally {
    await runtime.close();
  }
}

/** Losses of each step, and all variables after the last. */
async function train(engine: Engine, dropoutProb: number, steps: number) {
  const { model, program } = trainProgram(dropoutProb);
  const runtime = await engine.load({ program }, { threads: 1 });
  try {
    await randomWeights(runtime, model, 3);
    const losses: number[] = [];
    for (let step = 0; step < steps; step++) {
      const inputs = { ...tinyBatch(step % 4), draw: Int32Array.of(5, 6, step, 0), rate };
      const { mlmLoss, rtdLoss } = await (await runtime.submit('program', inputs)).outputs;
      losses.push(mlmLoss[0] + 50 * rtdLoss[0]);
    }
    return { losses, state: await runtime.snapshot() };
  } finally {
    await runtime.close();
  }
}

for (const [name, engine] of engines) {
  describe(name, () => {
    test('what dropout leaves is what it leaves on the wasm engine, bit for bit', async () => {
      for (const [shape, firstRow] of [
        [[3, 5, 7], 0],
        [[2, 33], 5],
        [[1, 4097], -3],
      ] as const) {
        const build = new ProgramBuilder();
        const x = build.input('x', float32(...shape));
        build.output('y', dropout(build, x, build.input('draw', int32(4)), { dropout: 0.1, stream: 0x10002 }));
        const program = build.finish();
        const size = sizeOf(shape);
        const inputs = { x: randomFloats(size, 1, 1), draw: Int32Array.of(-1, 7, 9, firstRow) };
        // −0 counts as 0: which of the two a dropped value leaves is nobody's promise.
        const [own, expected] = await Promise.all([engine, wasmEngine].map((one) => run(one, program, inputs)));
        assert.deepEqual(
          own.y.map((value) => value + 0),
          expected.y.map((value) => value + 0),
        );
      }
    });

    test('100 steps with and without dropout follow the wasm engine’s losses to 1e-4 of each', async () => {
      for (const dropoutProb of [0, 0.1]) {
        const expected = await train(wasmEngine, dropoutProb, 100);
        const { losses } = await train(engine, dropoutProb, 100);
        assert.notEqual(losses[99], losses[0]);
        for (const [step, loss] of losses.entries()) {
          const error = Math.abs(loss - expected.losses[step]);
          assert.ok(
            error <= 1e-4 * Math.abs(expected.losses[step]),
            `step ${step}: ${loss} for ${expected.losses[step]}`,
          );
        }
      }
    });

    test('equal runs give equal bits', async () => {
      assert.deepEqual(await train(engine, 0.1, 5), await train(engine, 0.1, 5));
    });

    test('a product reads the weights that the step before left', async () => {
      const build = new ProgramBuilder();
      const weight = build.variable('weight', [8, 8], 'parameter');
      const x = build.input('x', float32(4, 8));
      build.output('y', linear(build, x, weight));
      build.assign('weight', scale(build, weight, 2));
      const runtime = await engine.load({ program: build.finish() });
      await runtime.write(new Map([['weight', new Float32Array(64).fill(1)]]));
      for (let step = 0; step < 4; step++) {
        const { y } = await (await runtime.submit('program', { x: new Float32Array(32).fill(1) })).outputs;
        assert.deepEqual([...new Set(y)], [8 * 2 ** step]);
      }
      await runtime.close();
    });

    test('nothing is left behind by steps, failed steps, reading, writing and closing', async () => {
      const { model, program } = trainProgram(0.1);
      const failing = { ...program, operations: [...program.operations] };
      failing.operations[program.operations.length - 3] = { ...program.operations[0], name: 'nothing' };
      await openBackend('wasm', false);
      const before = memory().numTensors;
      const runtime = await engine.load({ program, failing });
      await randomWeights(runtime, model, 3);
      const step = async (name: string) => {
        const inputs = { ...tinyBatch(1), draw: Int32Array.of(5, 6, 0, 0), rate };
        await (await runtime.submit(name, inputs)).outputs;
        await runtime.snapshot();
      };
      await step('program');
      const after = memory();
      const state = await runtime.snapshot();
      for (let i = 0; i < 5; i++) await assert.rejects(step('failing'), /got nothing/);
      // A run that fails changes nothing.
      assert.deepEqual(await runtime.snapshot(), state);
      for (let i = 0; i < 5; i++) await step('program');
      await runtime.write(state);
      assert.equal(memory().numTensors, after.numTensors);
      assert.equal(memory().numBytes, after.numBytes);
      await runtime.close();
      assert.equal(memory().numTensors, before);
    });

    test('inputs may be refilled as soon as they are consumed, and runs keep their order', async () => {
      const build = new ProgramBuilder();
      const total = build.variable('total', [3], 'moment');
      const sum = add(build, total, build.input('x', float32(3)));
      build.assign('total', sum);
      build.output('sum', sum);
      const runtime = await engine.load({ program: build.finish() });
      const x = new Float32Array(new SharedArrayBuffer(12));
      const sums: Promise<Outputs>[] = [];
      const reads: Promise<TypedArray>[] = [];
      for (let i = 1; i <= 4; i++) {
        x.fill(i);
        const ticket = await runtime.submit('program', { x });
        await ticket.consumed;
        x.fill(-99);
        sums.push(ticket.outputs);
        reads.push(runtime.read('total'));
      }
      assert.deepEqual(
        (await Promise.all(sums)).map(({ sum }) => sum[1]),
        [1, 3, 6, 10],
      );
      assert.deepEqual(
        (await Promise.all(reads)).map((values) => values[2]),
        [1, 3, 6, 10],
      );
      await runtime.close();
    });

    test('a profiled step times every operation once, in their order, and counts as a step', async () => {
      const { model, program } = trainProgram(0);
      const runtime = await engine.load({ program });
      await randomWeights(runtime, model, 3);
      const before = await runtime.snapshot();
      const inputs = { ...tinyBatch(1), draw: Int32Array.of(5, 6, 0, 0), rate };
      const { stepMs, operations } = await runtime.profile('program', inputs);
      assert.deepEqual(
        operations.map(({ name, scope }) => `${name} in ${scope}`),
        program.operations.map(({ name, scope }) => `${name} in ${scope}`),
      );
      assert.ok(operations.reduce((sum, { ms }) => sum + ms, 0) <= stepMs);
      assert.notDeepEqual(await runtime.snapshot(), before);
      await runtime.close();
    });
  });
}

test('two runtimes, with the kernels and without, take turns without disturbing each other', async () => {
  const alone = [await train(tfjsEngine, 0.1, 3), await train(plainTfjsEngine, 0.1, 3)];
  const together = await Promise.all([tfjsEngine, plainTfjsEngine].map((engine) => train(engine, 0.1, 3)));
  assert.deepEqual(together, alone);
});

test('a backend that nobody has registered, and a precision that it has not, are refused with what to do', async () => {
  await assert.rejects(createTfjsEngine({ backend: 'webgl' }).load({}), (error) => {
    assert.ok(error instanceof GalvaniError);
    assert.match(error.message, /expected a registered backend of TensorFlow\.js, got "webgl"\. Import its package/);
    return true;
  });
  await assert.rejects(tfjsEngine.load({}, { precision: 'bfloat16' }), GalvaniError);
});

test('programs beyond the memory of WebAssembly are refused before anything is allocated', async () => {
  const build = new ProgramBuilder();
  const weight = build.variable('weight', [1_100_000, 1000], 'parameter');
  build.output('y', linear(build, build.input('x', float32(1, 1000)), weight));
  await assert.rejects(tfjsEngine.load({ infer: build.finish() }), (error) => {
    assert.ok(error instanceof GalvaniError);
    assert.match(error.message, /fit into 4\.00 GiB, the memory of WebAssembly, got 4\.10 GiB/);
    return true;
  });
});

test('memory that the backend is refused is an error, not address 0', async () => {
  await openBackend('wasm', false);
  const { wasm } = backend() as BackendWasm;
  assert.throws(
    () => (wasm as unknown as { _malloc(bytes: number): number })._malloc(2 ** 32 - 1),
    (error) => {
      assert.ok(error instanceof GalvaniError);
      assert.match(error.message, /expected 4096\.0 MiB more of memory, got a refusal at \d+ MiB/);
      return true;
    },
  );
});

test('the backend leaves no listeners for errors of the whole process', async () => {
  await openBackend('wasm', false);
  for (const name of ['uncaughtException', 'unhandledRejection']) {
    const listeners = process.listeners(name as 'exit').map(String);
    assert.ok(!listeners.some((text) => /ExitStatus|throw reason/.test(text)), name);
  }
});

test('all that the engine imports can be loaded by a page; one file imports from Node, when it finds itself there', () => {
  const start = fileURLToPath(new URL('../../src/engines/tfjs/tfjs.js', import.meta.url));
  const seen = new Set<string>();
  const later = new Set<string>();
  const visit = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = readFileSync(file, 'utf8');
    if (/\bimport\(/.test(text)) later.add(path.basename(file));
    for (const [, target] of text.matchAll(/^(?:import|export)\b[^;]*?from '([^']+)'/gm)) {
      assert.ok(!target.startsWith('node:'), `${target} is imported by ${file}`);
      if (target.startsWith('.')) visit(path.resolve(path.dirname(file), target));
    }
  };
  visit(start);
  assert.ok(seen.size > 60);
  assert.deepEqual([...later], ['platform.js']);
});
