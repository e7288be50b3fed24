/**
 * The eager engine as a whole: equal bits, new tensors for what has changed, nothing left behind, and what it takes from
 * the process and from the file system.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import '@tensorflow/tfjs-backend-cpu';
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { backend, memory } from '@tensorflow/tfjs-core';
import type { Engine, Outputs, Runtime, TypedArray } from '../../src/engines/engine.js';
import { loadEngine } from '../../src/engines/index.js';
import { openBackend } from '../../src/engines/tfjs/backend.js';
import { loadKernels } from '../../src/engines/tfjs/page.js';
import { createTfjsEngine, plainTfjsEngine, tfjsEngine } from '../../src/engines/tfjs/tfjs.js';
import { importsOf } from '../../src/engines/wasm/imports.js';
import { GalvaniError } from '../../src/errors.js';
import { add, scale } from '../../src/ops/arithmetic.js';
import { linear } from '../../src/ops/linear.js';
import { maskedLmHead } from '../../src/ops/maskedLmHead.js';
import { float32, int32 } from '../../src/ops/operation.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import type { Program } from '../../src/program/program.js';
import { release } from '../../src/release.js';
import { randomWeights, tinyBatch } from '../model/tiny.js';
import { train, trainProgram } from './agreement.js';

const engineFolder = fileURLToPath(new URL('../../src/engines/tfjs/', import.meta.url));

const engines: [string, Engine][] = [
  ['tfjs', tfjsEngine],
  ['tfjs-plain', plainTfjsEngine],
  ['tfjs on the backend cpu', createTfjsEngine({ backend: 'cpu' })],
];

/** A program that adds x to a variable, and puts out the sum. */
function adding(): Program {
  const build = new ProgramBuilder();
  const total = build.variable('total', [3], 'moment');
  const sum = add(build, total, build.input('x', float32(3)));
  build.assign('total', sum);
  build.output('sum', sum);
  return build.finish();
}

/** ELECTRA-Small's. */
const rate = Float32Array.of(5e-4);

for (const [name, engine] of engines) {
  describe(name, () => {
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

    test('training goes on from a snapshot in another runtime with the same bits', async () => {
      const { model, program } = trainProgram(0.1);
      const runtimes = [await engine.load({ program }), await engine.load({ program })];
      const step = async (runtime: Runtime, number: number) => {
        const inputs = { ...tinyBatch(number), draw: Int32Array.of(5, 6, number, 0), rate };
        return (await runtime.submit('program', inputs)).outputs;
      };
      const [first, second] = runtimes;
      await randomWeights(first, model, 3);
      for (const number of [0, 1]) await step(first, number);
      await second.write(await first.snapshot());
      for (const number of [2, 3]) assert.deepEqual(await step(second, number), await step(first, number));
      assert.deepEqual(await second.snapshot(), await first.snapshot());
      for (const runtime of runtimes) await runtime.close();
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

    test('what it hands out is the caller’s: overwritten or given back, it leaves the variables alone', async () => {
      const runtime = await engine.load({ program: adding() });
      const x = Float64Array.of(1, 2, 3);
      const { sum } = await (await runtime.submit('program', { x })).outputs;
      sum.fill(99);
      (await runtime.read('total')).fill(99);
      release((await runtime.snapshot()).values());
      assert.deepEqual(await runtime.read('total'), Float32Array.of(1, 2, 3));
      const next = await (await runtime.submit('program', { x })).outputs;
      assert.deepEqual(next.sum, Float32Array.of(2, 4, 6));
      await runtime.close();
    });

    test('closing lets what was submitted run, and all that comes later is refused', async () => {
      const runtime = await engine.load({ program: adding() });
      const x = Float32Array.of(1, 2, 3);
      const { outputs } = await runtime.submit('program', { x });
      await Promise.all([runtime.close(), runtime.close()]);
      assert.deepEqual((await outputs).sum, x);
      const { numTensors } = memory();
      for (const call of [
        () => runtime.submit('program', { x }),
        () => runtime.profile('program', { x }),
        () => runtime.read('total'),
        () => runtime.snapshot(),
        () => runtime.write(new Map([['total', x]])),
      ]) {
        await assert.rejects(call(), /^GalvaniError: tfjs: expected an engine that is loaded, got one that was closed/);
      }
      assert.equal(memory().numTensors, numTensors);
    });

    test('inputs may be refilled as soon as they are consumed, and runs keep their order', async () => {
      const runtime = await engine.load({ program: adding() });
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

test('more threads than its one are refused, with the engines that take them', async () => {
  await assert.rejects(tfjsEngine.load({}, { threads: 2 }), /expected 1 compute thread with engine tfjs, got 2/);
  await assert.rejects(loadEngine('tfjs-plain', { threads: 2 }), /got 2\. Choose --engine wasm or tensorflow, or/);
});

test('targets are ids of the vocabulary also at places that are not in use: look-ups read them all', async () => {
  const build = new ProgramBuilder();
  const batch = {
    targets: build.input('targets', int32(1, 2)),
    counts: build.input('counts', int32(1)),
    denominators: build.input('denominators', float32(2)),
    draw: build.input('draw', int32(4)),
  };
  const table = build.variable('table', [5, 4], 'parameter');
  const bias = build.variable('bias', [5], 'parameter');
  const attributes = { sample: false, temperature: 1, disallowCorrect: false, stream: 1 };
  build.output(
    'loss',
    maskedLmHead(build, build.input('hidden', float32(1, 2, 4)), table, bias, batch, attributes).loss,
  );
  const runtime = await plainTfjsEngine.load({ program: build.finish() });
  const submit = (target: number) =>
    runtime.submit('program', {
      hidden: new Float32Array(8),
      targets: Int32Array.of(0, target),
      counts: Int32Array.of(1),
      denominators: Float32Array.of(1, 1),
      draw: new Int32Array(4),
    });
  for (const target of [-1, 5]) await assert.rejects(submit(target), /targets to hold numbers in \[0, 5\), got/);
  await (await submit(4)).outputs;
  await runtime.close();
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

test('variables that there is memory for are given back where there is none for all', async ({ mock }) => {
  const { program } = trainProgram(0);
  await openBackend('wasm', false);
  const { numTensors } = memory();
  const { wasm } = backend() as BackendWasm;
  const refuse = () => {
    throw new Error('no memory');
  };
  mock.method(wasm as unknown as { _malloc(bytes: number): number }, '_malloc').mock.mockImplementationOnce(refuse, 5);
  await assert.rejects(plainTfjsEngine.load({ program }), /no memory/);
  assert.equal(memory().numTensors, numTensors);
});

test('the backend leaves no listeners for errors of the whole process', async () => {
  await openBackend('wasm', false);
  for (const name of ['uncaughtException', 'unhandledRejection']) {
    const listeners = process.listeners(name as 'exit').map(String);
    assert.ok(!listeners.some((text) => /ExitStatus|throw reason/.test(text)), name);
  }
});

test('all that the engine imports can be loaded by a page, where page.js stands for what is of Node', () => {
  const seen = new Set<string>();
  const visit = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = readFileSync(file, 'utf8');
    assert.doesNotMatch(text, /\bimport\(|\brequire\(|\bprocess\.\w|\bBuffer\b/, file);
    for (const [, target] of text.matchAll(/^(?:import|export)\b[^;]*?'([^']+)'/gm)) {
      assert.ok(!target.startsWith('node:'), `${target} is imported by ${file}`);
      if (target.startsWith('.')) visit(path.resolve(path.dirname(file), target));
      if (target === '#tfjs-platform') visit(path.join(engineFolder, 'page.js'));
    }
  };
  visit(path.join(engineFolder, 'tfjs.js'));
  assert.ok(seen.size > 60);
  assert.ok(seen.has(path.join(engineFolder, 'page.js')));
});

test('a page fetches the kernels, and is told which file is not there', async ({ mock }) => {
  const fetched = mock.method(globalThis, 'fetch', async (url: URL) => new Response(readFileSync(url)));
  const { module } = await loadKernels();
  const imports = importsOf(new WebAssembly.Memory({ initial: 1 }));
  assert.equal(typeof new WebAssembly.Instance(module, imports).exports.walk, 'function');
  fetched.mock.mockImplementation(async () => new Response('', { status: 404, statusText: 'Not Found' }));
  await assert.rejects(
    loadKernels(),
    /expected the kernels for the wasm backend, got 404 Not Found \(file:.*\/eager.*\.wasm\)/,
  );
});
