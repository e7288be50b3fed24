/**
 * The tensorflow engine as a whole: what crosses to the host, what is left behind, order, and what is said when it
 * cannot be loaded, is refused, or fails. What its operations compute is in tensorflowConformance.test.ts.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Inputs, Runtime, Ticket } from '../../src/engines/engine.js';
import { loadEngine } from '../../src/engines/index.js';
import {
  type Device,
  findBinding,
  findCandidates,
  openBinding,
  setupFolder,
} from '../../src/engines/tensorflow/binding.js';
import type { Emitted } from '../../src/engines/tensorflow/emission.js';
import { prepareEnvironment } from '../../src/engines/tensorflow/environment.js';
import { explain } from '../../src/engines/tensorflow/explain.js';
import { Graph, type Wire } from '../../src/engines/tensorflow/graph.js';
import { TensorflowRuntime } from '../../src/engines/tensorflow/runtime.js';
import { Session } from '../../src/engines/tensorflow/session.js';
import { tensorflowEngine } from '../../src/engines/tensorflow/tensorflow.js';
import { SessionThread } from '../../src/engines/tensorflow/thread.js';
import { GalvaniError } from '../../src/errors.js';
import { buildTrain } from '../../src/model/electra.js';
import { add } from '../../src/ops/arithmetic.js';
import { linear } from '../../src/ops/linear.js';
import { float32, sizeOf } from '../../src/ops/operation.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import type { Program } from '../../src/program/program.js';
import { presetTraining, stagesOf, withSettings } from '../../src/training/config.js';
import { buildStage } from '../../src/training/programs.js';
import { randomWeights, tinyBatch, tinyModel, tinySettings } from '../model/tiny.js';
import { compileBinding, needCompiler } from '../nativeBinding.js';
import { needTensorflow } from '../tensorflow.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-tensorflow-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-6, biasCorrection: true, weightDecay: 0.01, maxGradNorm: 1 };
const model = tinyModel({ num_hidden_layers: 1, hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1 });
const train = buildTrain({ ...tinySettings(model), optimizer });

/** Planes as a ring has them: in shared memory, each at a multiple of 64 bytes. */
function sharedBatch(seed: number): Inputs {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  let end = 0;
  const planes = Object.entries(tinyBatch(seed)).map(([name, values]) => {
    if (values instanceof Float32Array) return [name, values];
    const plane = new Int32Array(memory.buffer, end, values.length);
    plane.set(values);
    end += Math.ceil(values.byteLength / 64) * 64;
    return [name, plane];
  });
  return Object.fromEntries(planes);
}

function inputsOf(batch: Inputs, step: number): Inputs {
  return { ...batch, draw: Int32Array.of(5, 6, step, 0), rate: Float32Array.of(1e-3) };
}

/** total ← total + x, and the sum put out. */
function countingProgram(size = 3): Program {
  const build = new ProgramBuilder();
  const total = build.variable('total', [size], 'moment');
  const sum = build.scope('adder', () => add(build, total, build.input('x', float32(size))));
  build.assign('total', sum);
  build.output('sum', sum);
  return build.finish();
}

/** Resident memory but for the heap of JavaScript, which grows to a size of its own choice. */
function nativeBytes(): number {
  const { rss, heapTotal } = process.memoryUsage();
  return rss - heapTotal;
}

describe('tensorflow', needTensorflow(), () => {
  describe('a training step', () => {
    let runtime: Runtime;
    before(async () => {
      runtime = await tensorflowEngine.load({ train });
      await randomWeights(runtime, model, 3);
    });
    after(() => runtime.close());

    test('in 10,000 of them the planes go to the device, scalars come back, and nothing is left behind', async () => {
      const batch = sharedBatch(1);
      const outputs: Ticket['outputs'][] = [];
      const run = async (first: number, end: number) => {
        for (let step = first; step < end; step++) {
          const ticket = await runtime.submit('train', inputsOf(batch, step));
          outputs.push(ticket.outputs);
          if (outputs.length > 4) await outputs.shift();
        }
        await Promise.all(outputs.splice(0));
      };
      const { deviceMs: _, hostMs: __, ...start } = runtime.traffic!();
      await run(0, 1000);
      const { deviceMs: ___, hostMs: ____, ...end } = runtime.traffic!();
      const sent = Object.values(inputsOf(batch, 0));
      const sentBytes = sent.reduce((sum, { byteLength }) => sum + byteLength, 0);
      // One more word comes back: that all variables are updated.
      const numbers = outputSizes(train) + 1;
      assert.ok(numbers <= 16, `${numbers} numbers come back`);
      assert.deepEqual(end, {
        calls: start.calls + 1000,
        tensors: start.tensors + 1000 * (sent.length + Object.keys(train.outputs).length + 1),
        uploadedBytes: start.uploadedBytes + 1000 * sentBytes,
        downloadedBytes: start.downloadedBytes + 1000 * 4 * numbers,
      });
      const before = nativeBytes();
      await run(1000, 10_000);
      const grown = nativeBytes() - before;
      // A kilobyte a step is less than its batch takes; the heap of the session's thread grows to its size meanwhile.
      assert.ok(grown < 9000 * 1024, `${grown} bytes more after 9,000 steps`);
    });

    test('1,000 batches that are refused never reach the library, and the next one runs', async () => {
      const good = inputsOf(sharedBatch(1), 0);
      const bad = { ...good, ids: good.ids.map(() => 23) };
      const before = runtime.traffic!().calls;
      for (let i = 0; i < 1000; i++) {
        await assert.rejects(runtime.submit('train', bad), /input ids to hold numbers in \[0, 23\), got 23 at 0/);
      }
      await (await runtime.submit('train', good)).outputs;
      assert.equal(runtime.traffic!().calls, before + 1);
    });
  });

  test('failed runs leave no tensor and no copy of what they were fed', () => {
    const candidate = findBinding();
    prepareEnvironment({ device: candidate.device });
    const binding = openBinding(candidate);
    const size = 2 ** 18;
    const graph = new Graph();
    const ids = placeholder(graph, 'ids', 'int32', [size]);
    const rows = graph.gather(graph.constant('float32', [4], new Float32Array(4)), ids, 0);
    const session = new Session(binding, writeGraph(graph));
    const values = new Int32Array(new WebAssembly.Memory({ initial: 17, maximum: 17, shared: true }).buffer, 0, size);
    values[5] = 99;
    const run = () => session.run({ feeds: [{ tensor: 'ids:0', shape: [size], values }], fetches: [rows.ref] });
    for (let i = 0; i < 50; i++) assert.throws(run, /indices\[5\] = 99 is not in \[0, 4\)/);
    const start = nativeBytes();
    for (let i = 0; i < 1000; i++) assert.throws(run);
    const grown = nativeBytes() - start;
    assert.ok(grown < 1000 * 4096, `${grown} bytes more, of ${1000 * 4 * size} that were fed`);
    assert.equal(binding.getNumOfTensors(), 0);
    values[5] = 3;
    assert.equal(run().values[0].length, size);
    session.close();
  });

  test('a batch is consumed when its program has run, and three programs are in flight at most', async () => {
    const runtime = await tensorflowEngine.load({ count: countingProgram(1 << 20) });
    try {
      const x = new Float32Array(1 << 20).fill(1);
      const events: string[] = [];
      const submit = async (name: string) => {
        const ticket = await runtime.submit('count', { x });
        events.push(`${name} queued`);
        void ticket.consumed.then(() => events.push(`${name} consumed`));
        return ticket;
      };
      const tickets = await Promise.all(['first', 'second', 'third', 'fourth'].map(submit));
      await Promise.all(tickets.map(({ consumed }) => consumed));
      assert.deepEqual(events.slice(0, 3), ['first queued', 'second queued', 'third queued']);
      assert.ok(events.indexOf('fourth queued') > events.indexOf('first consumed'), events.join(', '));
      assert.equal(events.filter((event) => event.endsWith('consumed')).length, 4);
    } finally {
      await runtime.close();
    }
  });

  test('a variable that is assigned an input keeps no memory of the caller', async () => {
    const size = 64;
    const build = new ProgramBuilder();
    build.variable('kept', [size], 'moment');
    build.assign('kept', build.input('x', float32(size)));
    const runtime = await tensorflowEngine.load({ keep: build.finish() });
    try {
      const x = new Float32Array(new SharedArrayBuffer(4 * size)).fill(1);
      const ticket = await runtime.submit('keep', { x });
      await ticket.consumed;
      x.fill(2);
      assert.deepEqual(await runtime.read('kept'), new Float32Array(size).fill(1));
    } finally {
      await runtime.close();
    }
  });

  test('what is read is what all programs before it left, and nothing of those after it', async () => {
    const runtime = await tensorflowEngine.load({ count: countingProgram() });
    try {
      const count = (by: number) => runtime.submit('count', { x: new Float32Array(3).fill(by) });
      await runtime.write(new Map([['total', Float32Array.of(1, 2, 3)]]));
      const tickets = [count(1)];
      const between = runtime.read('total');
      tickets.push(count(1));
      const after = runtime.snapshot();
      const written = runtime.write(new Map([['total', Float64Array.of(7, 7, 7)]]));
      tickets.push(count(1));
      assert.deepEqual([...(await between)], [2, 3, 4]);
      assert.deepEqual([...(await after).get('total')!], [3, 4, 5]);
      await written;
      const sums = await Promise.all(tickets.map(async (ticket) => (await (await ticket).outputs).sum[2]));
      assert.deepEqual(sums, [4, 5, 8]);
      assert.deepEqual(runtime.variables(), [{ name: 'total', shape: [3], dtype: 'float32', role: 'moment' }]);
    } finally {
      await runtime.close();
    }
  });

  test('loading says what it does, leaves all variables 0 and no folder behind', async () => {
    const notices: string[] = [];
    const temporary = path.join(folder, 'temporary');
    mkdirSync(temporary);
    const options = { onNotice: (message: string) => notices.push(message) };
    const runtime = await withEnvironment({ TMPDIR: temporary }, () =>
      tensorflowEngine.load({ count: countingProgram() }, options),
    );
    try {
      assert.deepEqual(readdirSync(temporary), []);
      const [first, last] = notices;
      assert.match(first, /^tensorflow \d\S* (cpu|gpu): loads 1 program and runs each once/);
      assert.match(last, /^tensorflow \d\S* (cpu|gpu): ready after \d+\.\d s$/);
      assert.match(runtime.build, /^tensorflow \d\S* (cpu float32 threads \d+|gpu float32)$/);
      for (const [name, values] of await runtime.snapshot())
        assert.ok(
          values.every((value) => value === 0),
          name,
        );
    } finally {
      await runtime.close();
    }
    const late = runtime.submit('count', { x: new Float32Array(3) });
    await assert.rejects(late, /expected an engine that is loaded, got one that was closed/);
  });

  test('a temporary folder that cannot be written is an error that says which', async () => {
    const absent = path.join(folder, 'absent');
    const loading = withEnvironment({ TMPDIR: absent }, () => tensorflowEngine.load({ train }));
    await rejectsWith(
      loading,
      /expected a temporary folder that takes a graph of \d\.\d MB, got ENOENT.*absent.*TMPDIR/,
    );
  });

  test('what the library says of a node is told of the operation that it belongs to, and nothing runs after it', async () => {
    const program = countingProgram();
    const [{ name, scope }] = program.operations;
    assert.deepEqual({ name, scope }, { name: 'add', scope: 'adder' });
    const runtime = await loadByHand(program, (graph, x) => graph.gather(x, graph.cast(x, 'int32'), 0));
    const count = (by: number) => runtime.submit('count', { x: new Float32Array(3).fill(by) });
    assert.deepEqual((await (await count(1)).outputs).sum, Float32Array.of(1, 1, 1));
    const failure =
      /^tensorflow: expected a program that the library runs, got indices\[0\] = 9 is not in \[0, 3\) \(program count, add in adder\)\. Report/;
    const [failed, behind] = [await count(9), await count(1)];
    await failed.consumed;
    await rejectsWith(failed.outputs, failure);
    // Some variables may be updated and others not, so nobody may go on from them.
    await rejectsWith(behind.outputs, failure);
    await rejectsWith(runtime.snapshot(), failure);
    await rejectsWith(count(1), failure);
    await runtime.close();
  });

  test('a graph that the library refuses is told of the operation of ours', async () => {
    const loading = loadByHand(countingProgram(), (graph, x) => ({ ...graph.add(x, { ...x, ref: graph.int(1).ref }) }));
    await rejectsWith(
      loading,
      /got Input 1 of node .* was passed int32 .* expected float\. \(program count, add in adder\)/,
    );
  });

  test('memory that the library is refused is told with the program, the bytes and what to try', async () => {
    const build = new ProgramBuilder();
    build.output(
      'y',
      build.scope('adder', () => add(build, build.input('x', float32(6, 1)), build.input('z', float32(6, 1)))),
    );
    const program = build.finish();
    const vast = await loadByHand(program, (graph, x) => {
      const tiled = graph.node('Tile', [x, graph.ints([100_000, 1_000_000])], 'float32', 'output', {
        T: { type: 'float32' },
        Tmultiples: { type: 'int32' },
      });
      return graph.sum(tiled, [0, 1]);
    });
    const inputs = { x: new Float32Array(6), z: new Float32Array(6) };
    const failed = await vast.submit('count', inputs);
    await rejectsWith(
      failed.outputs,
      /expected 2\.4 TB of memory, got a refusal of the device \(program count, add in adder\)\. Choose --micro-batch-size 3, a smaller --sequence-length/,
    );
    await vast.close();
  });

  test('a program beyond the memory of the machine is refused before anything is allocated', async () => {
    const build = new ProgramBuilder();
    const vast = build.variable('vast', [1_000_000, 1], 'parameter');
    build.output('y', linear(build, build.input('x', float32(4, 1_000_000, 1)), vast));
    await rejectsWith(
      tensorflowEngine.load({ infer: build.finish() }),
      /expected \d+\.\d [GT]B of memory, got .*of the machine \(program infer\)\. Choose --micro-batch-size 2/,
    );
  });

  test('threads that the process was not begun with are refused', async () => {
    const runtime = await tensorflowEngine.load({ count: countingProgram() });
    await rejectsWith(
      tensorflowEngine.load({}, { threads: 77 }),
      /as the library was first loaded with in this process, got 77/,
    );
    await runtime.close();
  });

  test('the package for GPUs is not used without one, unless that is on purpose', async () => {
    const candidate = { ...findBinding(), device: 'gpu' as const };
    const open = () => openBinding(candidate);
    if (openBinding(findBinding()).isUsingGpuDevice()) return;
    await withEnvironment({ CUDA_VISIBLE_DEVICES: undefined }, () =>
      assert.throws(open, /expected a GPU that CUDA can use, got none; set CUDA_VISIBLE_DEVICES=-1.*--engine wasm/),
    );
    for (const value of ['', '-1']) {
      await withEnvironment({ CUDA_VISIBLE_DEVICES: value }, () => assert.equal(open().isUsingGpuDevice(), false));
    }
  });
});

test('without the package, with one that is not built, and with another library, it is said what to do', async (context) => {
  await withEnvironment({ XDG_CACHE_HOME: folder }, () => {
    const elsewhere = findCandidates().some(({ state }) => state !== 'absent');
    if (elsewhere) return context.skip('the package is installed in a folder above this one');
    const remedy = /"galvani doctor --engine tensorflow" says .*--engine wasm needs nothing/;
    const refused = (run: () => unknown, message: RegExp) =>
      assert.throws(
        run,
        (error: Error) => error instanceof GalvaniError && message.test(error.message) && remedy.test(error.message),
      );
    refused(
      findBinding,
      /expected @tensorflow\/tfjs-node or @tensorflow\/tfjs-node-gpu, got neither \(.*-gpu.*-cpu.*\)/,
    );
    const home = path.join(setupFolder('cpu'), 'node_modules', '@tensorflow', 'tfjs-node');
    mkdirSync(path.join(home, 'lib', 'napi-v8'), { recursive: true });
    writeFileSync(path.join(home, 'package.json'), '{}');
    refused(findBinding, /expected the built binding of @tensorflow\/tfjs-node, got none \(.*tfjs_binding\.node\)/);
    writeFileSync(path.join(home, 'lib', 'napi-v8', 'tfjs_binding.node'), 'no library');
    refused(
      () => openBinding(findBinding()),
      /expected a binding with the library that it was built with, got .*tfjs_binding\.node: .*\(/,
    );
    return undefined;
  });
});

test('a thread that dies rejects what is due and all that comes later, with how it ended', needCompiler, async () => {
  const binding = path.join(folder, 'dies.node');
  compileBinding(
    `{ TF_Version: '0', isUsingGpuDevice: () => false, loadSavedModel: () => 0, runSavedModel: () => process.exit(3) }`,
    binding,
  );
  const thread = threadFor(binding);
  assert.deepEqual(await thread.open(), { version: '0', isGpu: false });
  await thread.load(folder);
  const due = [thread.run({ feeds: [], fetches: ['a:0'] }), thread.run({ feeds: [], fetches: ['b:0'] })];
  const message = /tensorflow: expected a thread that works until it is closed, got its end with code 3\. Start again/;
  for (const run of due) await rejectsWith(run, message);
  await rejectsWith(thread.run({ feeds: [], fetches: ['c:0'] }), message);
  await thread.close();
});

test(
  'a library for GPUs is tried in another process before its first time in this one, one for CPUs never',
  needCompiler,
  async () => {
    for (const { device, opened } of [
      { device: 'cpu', opened: [true, true] },
      { device: 'gpu', opened: [false, true, true] },
    ] as const) {
      const binding = path.join(folder, `${device}.node`);
      const log = `${binding}.log`;
      compileBinding(
        `process.getBuiltinModule('fs').appendFileSync(${JSON.stringify(log)}, process.pid + ' '),
      { TF_Version: '0', isUsingGpuDevice: () => true }`,
        binding,
      );
      for (let i = 0; i < 2; i++) {
        const thread = threadFor(binding, device);
        assert.deepEqual(await thread.open(), { version: '0', isGpu: true });
        await thread.close();
      }
      const isHere = readFileSync(log, 'utf8')
        .trim()
        .split(' ')
        .map((pid) => Number(pid) === process.pid);
      assert.deepEqual(isHere, opened, device);
    }
  },
);

test('a library for GPUs that ends the process that opens it is an error with a way out', needCompiler, async () => {
  const binding = path.join(folder, 'crashes.node');
  compileBinding('process.abort()', binding);
  const thread = threadFor(binding, 'gpu');
  await rejectsWith(
    thread.open(),
    /^tensorflow: expected a library that fits the driver .*, got one that ended the process that opened it \(SIGABRT\).*galvani doctor.*--engine wasm/s,
  );
  await thread.close();
});

test('of each way in which the library and CUDA say that memory ran out, the bytes are told where they are said', () => {
  // As the strings of libtensorflow_cc 2.21.0 have them; the last is a status of cuBLAS.
  for (const [text, wanted] of [
    [
      'OOM when allocating tensor with shape[16,1000,1000] and type float on /device:GPU:0 by allocator GPU_0_bfc',
      '64.0 MB',
    ],
    ['OOM when allocating tensor of shape [16,1000,1000] and type bfloat16', '32.0 MB'],
    ['Out of memory while trying to allocate 3000000000 bytes.', '3.0 GB'],
    ['Out of memory allocating 3000000000 bytes.', '3.0 GB'],
    ['Failed to allocate request for 1.50GiB (1610612736B) on device ordinal 0', '1.6 GB'],
    ['failed to allocate 4096 bytes of memory', '4.1 kB'],
    ['failed to create cublas handle: CUBLAS_STATUS_ALLOC_FAILED', undefined],
  ] as const) {
    const told = explain(new Error(`Session fail to run with error: ${text}`), { train }, 'train');
    assert.ok(told instanceof GalvaniError, text);
    const expected = wanted === undefined ? 'more memory' : `${wanted} of memory`;
    assert.deepEqual(
      { expected: told.parts.expected, where: told.parts.where },
      { expected, where: 'program train' },
      text,
    );
    assert.match(told.parts.remedy, /^Choose --micro-batch-size \d+, /);
  }
});

test('ELECTRA-Small takes at most 8 bytes a token, and puts out scalars', () => {
  const preset = presetTraining('small', 30522);
  const size = { name: 'batch_size', value: 16, from: '' };
  const config = withSettings(preset, [size]);
  const [stage] = stagesOf(config);
  const program = buildStage(config, { ...stage, segments: 1 }, 'small')['small.train'];
  const bytes = Object.keys(program.inputs).reduce((sum, name) => sum + 4 * sizeOf(tensorOf(program, name)), 0);
  assert.ok(bytes <= 8 * stage.batchSize * stage.sequenceLength, `${bytes} bytes`);
  assert.ok(outputSizes(program) <= 16);
});

test('an engine that cannot do what is asked is refused with those that can', async () => {
  await rejectsWith(
    loadEngine('wasm', { precision: 'bfloat16' }),
    /expected precision float32 with engine wasm, got bfloat16\. Choose --engine tensorflow, or another setting/,
  );
  await rejectsWith(
    loadEngine('wasm', { precision: 'float8' as 'float32' }),
    /got float8\. No engine can; choose another setting/,
  );
  await rejectsWith(
    loadEngine('tensorflow', { threads: 0 }),
    /expected 1 to 1024 compute threads with engine tensorflow, got 0/,
  );
  assert.equal((await loadEngine('tensorflow', { precision: 'bfloat16', deterministic: true })).name, 'tensorflow');
  await assert.rejects(
    loadEngine('reference', { checkFinite: true }),
    /expected an engine that can check every result, got reference\. Choose --engine wasm, or another setting/,
  );
});

function threadFor(binding: string, device: Device = 'cpu'): SessionThread {
  return new SessionThread({ packageName: '', directory: folder, state: 'built', device, binding });
}

/** A runtime for one program whose first operation is what `make` makes of the last input. */
async function loadByHand(program: Program, make: (graph: Graph, x: Wire) => Wire): Promise<TensorflowRuntime> {
  const graph = new Graph();
  graph.scope = '0.count';
  const names = Object.keys(program.inputs);
  const wires = names.map((name) => placeholder(graph, name, 'float32', tensorOf(program, name)));
  graph.scope = `0.count/0.${program.operations[0].name}`;
  const result = make(graph, wires[wires.length - 1]);
  const [output] = Object.keys(program.outputs);
  const [variable] = Object.keys(program.variables);
  const emitted: Emitted = {
    savedModel: graph.savedModel(),
    initialize: '',
    programs: new Map([
      [
        'count',
        {
          feeds: Object.fromEntries(names.map((name, i) => [name, wires[i].ref])),
          outputs: { [output]: result.ref },
          ...(variable && { done: result.ref }),
        },
      ],
    ]),
    variables: new Map(variable ? [[variable, { feed: wires[0].ref, written: result.ref, value: result.ref }]] : []),
  };
  const candidate = findBinding();
  prepareEnvironment({ device: candidate.device });
  const thread = new SessionThread(candidate);
  await thread.open();
  try {
    await thread.load(writeGraph(graph));
  } catch (error) {
    await thread.close();
    throw explain(error, { count: program }, 'loading');
  }
  return new TensorflowRuntime('by hand', { count: program }, emitted, thread);
}

function placeholder(graph: Graph, name: string, dtype: 'float32' | 'int32', shape: readonly number[]): Wire {
  return graph.effect('Placeholder', [], dtype, 'output', { dtype: { type: dtype }, shape: { shape } }, { name });
}

function writeGraph(graph: Graph): string {
  const directory = mkdtempSync(path.join(folder, 'graph-'));
  writeFileSync(path.join(directory, 'saved_model.pb'), graph.savedModel());
  return directory;
}

function tensorOf(program: Program, input: string): readonly number[] {
  return program.tensors[program.inputs[input]].shape;
}

function outputSizes(program: Program): number {
  return Object.values(program.outputs).reduce((sum, tensor) => sum + sizeOf(program.tensors[tensor].shape), 0);
}

async function rejectsWith(promise: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error: Error) => {
    assert.ok(error instanceof GalvaniError, String(error.stack));
    assert.match(error.message, message);
    return true;
  });
}

/** Runs something with variables of the environment set, or unset where undefined. */
async function withEnvironment<T>(values: Record<string, string | undefined>, body: () => T | Promise<T>): Promise<T> {
  const set = (name: string, value: string | undefined) => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const);
  for (const [name, value] of Object.entries(values)) set(name, value);
  try {
    return await body();
  } finally {
    for (const [name, value] of before) set(name, value);
  }
}
