/** The figures of `galvani bench step` fit together; how large they are is the machine's business. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measureStep } from '../../src/training/benchmark.js';

test('operations, rates and shares of a measured step are of one another', async () => {
  const shape = { model: 'tiny', batchSize: 4, sequenceLength: 16, threads: 2, steps: 3 };
  const figures = await measureStep({ engine: 'wasm', ...shape });
  const near = (a: number, b: number) => assert.ok(Math.abs(a / b - 1) < 1e-9, `${a}, ${b}`);
  const sum = figures.operations.reduce((total, { ms }) => total + ms, 0);
  near(figures.operationsShare, sum / figures.stepMs);
  near(figures.tokensPerSecond, (1000 * 64) / figures.stepMs);
  near(figures.gflops, (1000 * figures.gflopPerStep) / figures.stepMs);
  near(figures.peakShare!, figures.gflops / figures.peakGflops!);
  for (const { name, ms, share, gflops } of figures.operations) {
    near(share, ms / sum);
    assert.ok(ms > 0 && Number.isFinite(gflops), name);
  }
  const layers = 3;
  const callsOf = (name: string) => figures.operations.find((operation) => operation.name === name)?.calls;
  assert.deepEqual([callsOf('attention'), callsOf('attentionGradient')], [layers, layers]);
});

test('the float64 engine knows of no peak', async () => {
  const shape = { model: 'tiny', batchSize: 1, sequenceLength: 16, steps: 1 };
  const figures = await measureStep({ engine: 'reference', ...shape });
  assert.equal(figures.peakGflops, undefined);
  assert.ok(figures.gflops > 0);
});
