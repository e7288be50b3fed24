/**
 * The gradient of the whole joint step against central differences, in float64, with dropout on: along a random
 * direction for every parameter, so that each is touched. What reverse mode adds to the rules is checked here: several
 * uses of a table, residual streams, integers that carry nothing, micro-batches.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { referenceEngine } from '../../src/engines/reference/reference.js';
import { buildAccumulate, buildEvaluate, buildTrain, buildUpdate } from '../../src/model/electra.js';
import { parametersOf } from '../../src/model/parameters.js';
import { randomFloats } from '../random.js';
import { randomWeights, tinyBatch, tinyModel, tinySettings, tinyShape } from './tiny.js';

const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-6, biasCorrection: false, weightDecay: 0.01, maxGradNorm: 1 };
const draw = Int32Array.of(1, 2, 3, 0);

for (const [claim, tied, dropout] of [
  ['tied embeddings, dropout on', true, 0.2],
  ['untied embeddings', false, 0],
] as const) {
  test(`gradients of the joint step agree with central differences: ${claim}`, async () => {
    const model = tinyModel({ hidden_dropout_prob: dropout, attention_probs_dropout_prob: dropout }, tied);
    const settings = tinySettings(model);
    const runtime = await referenceEngine.load({
      train: buildTrain({ ...settings, optimizer, exposesAll: true }),
    });
    await randomWeights(runtime, model, 50);
    const batch = tinyBatch(7);
    const start = await runtime.snapshot();
    const run = async () => {
      const { outputs } = await runtime.submit('train', { ...batch, draw, rate: Float32Array.of(0) });
      const result = await outputs;
      await runtime.write(start);
      return result;
    };
    const loss = async () => {
      const result = await run();
      return result.mlmLoss[0] + 50 * result.rtdLoss[0];
    };
    const gradients = await run();
    const h = 1e-5;
    for (const [i, { name }] of parametersOf(model).entries()) {
      const weights = start.get(name)!;
      const direction = randomFloats(weights.length, 300 + i);
      const moved = async (step: number) => {
        const values = Float64Array.from(weights, (value, n) => value + step * direction[n]);
        await runtime.write(new Map([[name, values]]));
        return loss();
      };
      const expected = ((await moved(h)) - (await moved(-h))) / (2 * h);
      const gradient = gradients[`gradient/${name}`];
      const actual = direction.reduce((sum, value, n) => sum + value * gradient[n], 0);
      const size = Math.hypot(...gradient) * Math.hypot(...direction);
      assert.ok(Math.abs(actual - expected) <= 1e-6 * Math.max(size, 1e-2), `${name}: ${actual} for ${expected}`);
    }
  });
}

test('micro-batches add up to the whole batch, dropout draws included', async () => {
  const model = tinyModel({ hidden_dropout_prob: 0.3, attention_probs_dropout_prob: 0.3 });
  const whole = tinySettings(model);
  const part = tinySettings(model, { ...tinyShape, rows: 2 });
  const batch = tinyBatch(11);
  const step = { draw, rate: Float32Array.of(1e-2) };
  const once = await referenceEngine.load({ train: buildTrain({ ...whole, optimizer }) });
  const twice = await referenceEngine.load({
    first: buildAccumulate({ ...part, isFirst: true }),
    next: buildAccumulate({ ...part, isFirst: false }),
    update: buildUpdate({ model, optimizer }),
  });
  for (const runtime of [once, twice]) await randomWeights(runtime, model, 90);
  const { gradientNorm } = await (await once.submit('train', { ...batch, ...step })).outputs;
  for (const firstRow of [0, 2]) {
    const rows = (plane: Int32Array) => {
      const width = plane.length / tinyShape.rows;
      return plane.subarray(firstRow * width, (firstRow + 2) * width);
    };
    const { denominators, ...planes } = batch;
    const inputs = Object.fromEntries(Object.entries(planes).map(([name, plane]) => [name, rows(plane)]));
    await twice.submit(firstRow === 0 ? 'first' : 'next', { ...inputs, denominators, draw: draw.with(3, firstRow) });
  }
  const update = await (await twice.submit('update', step)).outputs;
  assert.ok(Math.abs(update.gradientNorm[0] / gradientNorm[0] - 1) < 1e-12);
  for (const { name } of parametersOf(model)) {
    const [a, b] = [await once.read(name), await twice.read(name)];
    for (const [i, value] of a.entries()) assert.ok(Math.abs(value - b[i]) < 1e-12, `${name}[${i}]`);
  }
});

test('evaluation draws no dropout and changes no weight', async () => {
  const model = tinyModel({ hidden_dropout_prob: 0.3, attention_probs_dropout_prob: 0.3 });
  const runtime = await referenceEngine.load({ evaluate: buildEvaluate(tinySettings(model)) });
  await randomWeights(runtime, model, 20);
  const before = await runtime.snapshot();
  const run = async (step: number) =>
    (await runtime.submit('evaluate', { ...tinyBatch(3), draw: draw.with(2, step) })).outputs;
  assert.deepEqual(await run(1), await run(2));
  assert.deepEqual(await runtime.snapshot(), before);
});
