/** The figures of `galvani bench step` fit together; how large they are is the machine's business. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { openLoader } from '../../src/batching/loader.js';
import type { Inputs } from '../../src/engines/engine.js';
import { WasmRuntime } from '../../src/engines/wasm/runtime.js';
import { measureStep } from '../../src/training/benchmark.js';
import { needTensorflow } from '../tensorflow.js';
import { makeFolder, writeDataset } from './runs.js';

test('operations, rates and shares of a measured step are of one another', async () => {
  const shape = { model: 'tiny', batchSize: 4, sequenceLength: 16, threads: 2, steps: 3 };
  const figures = await measureStep({ engine: 'wasm', ...shape });
  const near = (a: number, b: number) => assert.ok(Math.abs(a / b - 1) < 1e-9, `${a}, ${b}`);
  const operations = figures.operations!;
  const sum = operations.reduce((total, { ms }) => total + ms, 0);
  near(figures.operationsShare!, sum / figures.stepMs);
  near(figures.tokensPerSecond, (1000 * 64) / figures.stepMs);
  near(figures.gflops, (1000 * figures.gflopPerStep) / figures.stepMs);
  near(figures.peakShare!, figures.gflops / figures.peakGflops!);
  for (const { name, ms, share, gflops, bandwidth, limitShare } of operations) {
    near(share, ms / sum);
    assert.ok(ms > 0 && Number.isFinite(gflops), name);
    // Of both limits the share is that of the nearer one; where an operation is called often, of each call's.
    const { read, copy } = figures.bandwidth!.allThreads;
    const shares = [gflops / figures.peakGflops!, bandwidth / Math.max(read, copy)];
    assert.ok(limitShare! >= Math.max(...shares) * (1 - 1e-9), name);
    assert.ok(limitShare! <= (shares[0] + shares[1]) * (1 + 1e-9), name);
  }
  for (const { read, copy } of Object.values(figures.bandwidth!)) assert.ok(read > 0 && copy > 0);
  assert.ok(figures.tapeMicroseconds! > 0 && figures.waitedShare! > 0);
  assert.ok(figures.eventLoopDelayP99Ms! > 0);
  const layers = 3;
  const callsOf = (name: string) => operations.find((operation) => operation.name === name)?.calls;
  assert.deepEqual([callsOf('attention'), callsOf('attentionGradient')], [layers, layers]);
});

test('on a dataset it is the loop of training, and the engine with the same batches; real tokens and their work count', async ({
  mock,
}) => {
  const data = await writeDataset(path.join(makeFolder('bench'), 'data'));
  const rows = { batchSize: 4, sequenceLength: 16 };
  const submitted: string[] = [];
  const flops = new Map<string, number>();
  const { submit } = WasmRuntime.prototype;
  mock.method(WasmRuntime.prototype, 'submit', function (this: WasmRuntime, program: string, inputs: Inputs) {
    const planes = JSON.stringify(inputs, (_, value) =>
      ArrayBuffer.isView(value) ? [...(value as Int32Array)] : value,
    );
    if (inputs.ids) flops.set(planes, this.flopsOn(program, inputs));
    submitted.push(planes);
    return submit.call(this, program, inputs);
  });
  const figures = await measureStep({ engine: 'wasm', model: 'tiny', ...rows, threads: 2, steps: 9, data });
  // One step alone, then two turns: six steps that warm up, the steps of the loop, and their batches again.
  const [first, second] = [submitted.slice(1 + 6, 1 + 6 + 5), submitted.slice(17 + 6, 17 + 6 + 4)];
  assert.equal(submitted.length, 1 + (6 + 2 * 5) + (6 + 2 * 4));
  assert.deepEqual(submitted.slice(12, 17), first);
  assert.deepEqual(submitted.slice(27), second);
  assert.equal(new Set(submitted).size, submitted.length - 9);

  const batches = new Set([...first, ...second]);
  const step = { tokens: 0, flops: 0 };
  const loader = await openLoader({ data, ...rows });
  for (let number = 0; number < 21; number++) {
    const batch = (await loader.next())!;
    // Steps 6 to 10 and, behind another warm-up, 17 to 20.
    if (number >= 6 && (number < 11 || number >= 17)) step.tokens += batch.tokenCount / 9;
    batch.release();
  }
  await loader.close();
  for (const batch of batches) step.flops += flops.get(batch)! / 9;
  const near = (a: number, b: number) => assert.ok(Math.abs(a / b - 1) < 1e-9, `${a}, ${b}`);
  assert.ok(step.tokens < 64);
  near((figures.tokensPerSecond * figures.stepMs) / 1000, step.tokens);
  near(figures.gflopPerStep, step.flops / 1e9);
  near(figures.gflops, (1000 * figures.gflopPerStep) / figures.stepMs);
  assert.ok(figures.engineStepMs! > 0 && figures.loopAdds! > -1);
  assert.ok(figures.stallFraction! >= 0 && figures.stallFraction! < 1);
  assert.ok(figures.eventLoopDelayP99Ms! > 0);
  assert.equal(figures.operations, undefined);
});

test('a step that fails in the loop ends the bench with its own error, however late it is read', async ({ mock }) => {
  const data = await writeDataset(path.join(makeFolder('bench'), 'data'));
  const outputs = Promise.reject(new Error('of one step'));
  outputs.catch(() => {});
  // The fourth step: one runs before the loop.
  mock
    .method(WasmRuntime.prototype, 'submit')
    .mock.mockImplementationOnce(async () => ({ consumed: Promise.resolve(), outputs }), 3);
  const shape = { model: 'tiny', batchSize: 4, sequenceLength: 16, threads: 1, steps: 9 };
  await assert.rejects(measureStep({ engine: 'wasm', ...shape, data }), /^Error: of one step$/);
});

test('the float64 engine knows of no peak', async () => {
  const shape = { model: 'tiny', batchSize: 1, sequenceLength: 16, steps: 1 };
  const figures = await measureStep({ engine: 'reference', ...shape });
  assert.equal(figures.peakGflops, undefined);
  assert.ok(figures.gflops > 0);
});

test('where a program is one call of a device, what crosses to it is counted, and its peak is of products', {
  ...needTensorflow(),
}, async () => {
  const shape = { model: 'tiny', batchSize: 4, sequenceLength: 16, threads: 2, steps: 2 };
  const figures = await measureStep({ engine: 'tensorflow', ...shape });
  assert.deepEqual(figures.operations, []);
  assert.equal(figures.callsPerStep, 1);
  const [rows, places, masked] = [4, 16, 2];
  const planes = rows * (places + 2 + 2 * masked + 1); // ids, lengths and seconds, places and seen, counts
  const others = 4 + 2 + 1; // draw, denominators, rate
  assert.equal(figures.uploadedBytesPerToken, (4 * (planes + others)) / (rows * places));
  assert.equal(figures.downloadedBytesPerStep, 4 * (1 + 3 + 1 + 4 + 1 + 1)); // losses, hits, norm, and that it is done
  assert.ok(figures.deviceMs! > 0 && figures.hostMs! > 0);
  assert.ok(Math.abs(figures.peakShare! / (figures.gflops / figures.peakGflops!) - 1) < 1e-9);
});
