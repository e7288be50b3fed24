/**
 * The joint step against PyTorch, through the very program that trains, on every engine: losses, logits, all gradients,
 * and ten optimizer steps. Limits are those of the fixtures' README, §5.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Outputs, Runtime, TypedArray, VariableInfo } from '../../src/engines/engine.js';
import { loadEngine } from '../../src/engines/index.js';
import { parametersOf } from '../../src/model/parameters.js';
import { sizeOf } from '../../src/ops/operation.js';
import { needTensorflow } from '../tensorflow.js';
import {
  type Case,
  inputsOf,
  type Json,
  names,
  type Planes,
  planesOf,
  rateOf,
  readCase,
  type SafeTensors,
  tenBatches,
  trainProgram,
} from './fixtures.js';

const engines = ['reference', 'wasm', 'tfjs', 'tfjs-plain', 'tensorflow'];

test('the fixtures are there', {
  skip: names.length > 0 ? false : 'no golden cases are there; set GALVANI_FIXTURES to their folder',
}, () => {
  assert.ok(names.length > 0);
});

for (const name of names) {
  for (const engine of engines) {
    describe(`${name} on ${engine}`, engine === 'tensorflow' ? needTensorflow() : {}, () => {
      let one: Case;
      let runtime: Runtime;
      before(async () => {
        one = await readCase(name);
        const train = trainProgram(one, planesOf(one.tensors('batch')), true);
        runtime = await (await loadEngine(engine)).load({ train });
      });
      after(() => runtime?.close());

      test('losses, counts, logits and every gradient are PyTorch’s', async () => {
        const batch = one.tensors('batch');
        const planes = planesOf(batch);
        await begin(runtime, one);
        const outputs = await step(runtime, planes, 0, 0);
        checkLosses(outputs, one.expected, 1e-6, 5e-6);
        const { counts, margins } = one.expected;
        assert.equal(outputs.rtdHits[3], counts.replaced);
        // Decisions are exact where none is closer than what logits may differ by.
        if (margins.smallest_top1_minus_top2_generator_logit > 4e-5) {
          assert.equal(outputs.mlmHits[0], counts.masked_lm_correct);
        }
        if (margins.smallest_abs_discriminator_logit > 1e-5) {
          assert.equal(outputs.rtdHits[0] / counts.tokens, one.expected.disc_accuracy);
          assert.equal(outputs.rtdHits[2], counts.predicted_replaced);
        }
        checkLogits(outputs, one.tensors('expected'), batch);
        const expected = one.tensors('gradients').tensors;
        assert.deepEqual(
          [...expected.keys()].sort(),
          parametersOf(one.model)
            .map((p) => p.name)
            .sort(),
        );
        for (const [parameter, { values }] of expected) {
          const isZero = one.expected.zero_gradient_tensors.includes(parameter);
          const largest = isZero ? 0.5 : largestOf(values);
          checkClose(`gradient of ${parameter}`, outputs[`gradient/${parameter}`], values, 2e-5 * largest);
        }
      });

      test('ten optimizer steps are PyTorch’s', async () => {
        const batches = tenBatches(one.tensors('training_batches'));
        await begin(runtime, one);
        for (const [t, expected] of (one.training.steps as Json[]).entries()) {
          const rate = rateOf(one, t);
          assert.ok(Math.abs(rate - expected.lr) <= 1e-15, `rate of step ${t}`);
          const outputs = await step(runtime, batches[t], t, rate);
          checkLosses(outputs, expected, 2e-6, 4e-5);
        }
        for (const [parameter, { values }] of one.tensors('training_final').tensors) {
          const isZero = one.expected.zero_gradient_tensors.includes(parameter);
          checkClose(`final ${parameter}`, await runtime.read(parameter), values, isZero ? 2e-5 : 4e-6);
        }
      });
    });
  }
}

/** The case's weights, and moments of 0. */
async function begin(runtime: Runtime, { weights }: Case): Promise<void> {
  const moments = runtime.variables().filter(({ role }) => role === 'moment');
  await runtime.write(new Map([...weights, ...moments.map(zeroOf)]));
}

function zeroOf({ name, shape }: VariableInfo): [string, Float32Array] {
  return [name, new Float32Array(sizeOf(shape))];
}

async function step(runtime: Runtime, planes: Planes, t: number, rate: number): Promise<Outputs> {
  return (await runtime.submit('train', inputsOf(planes, t, rate))).outputs;
}

function checkLosses(outputs: Outputs, expected: Json, lossLimit: number, normLimit: number): void {
  const relative = (actual: number, wanted: number) => Math.abs(actual - wanted) / Math.abs(wanted);
  assert.ok(
    relative(outputs.mlmLoss[0], expected.mlm_loss) <= lossLimit,
    `mlm ${outputs.mlmLoss[0]} for ${expected.mlm_loss}`,
  );
  assert.ok(
    relative(outputs.rtdLoss[0], expected.rtd_loss) <= lossLimit,
    `rtd ${outputs.rtdLoss[0]} for ${expected.rtd_loss}`,
  );
  const total = outputs.mlmLoss[0] + 50 * outputs.rtdLoss[0];
  assert.ok(relative(total, expected.total_loss) <= lossLimit, `total ${total} for ${expected.total_loss}`);
  const norm = outputs.gradientNorm[0];
  assert.ok(relative(norm, expected.grad_norm) <= normLimit, `norm ${norm} for ${expected.grad_norm}`);
}

function checkLogits(outputs: Outputs, expected: SafeTensors, batch: SafeTensors): void {
  const weights = batch.tensors.get('masked_weights')!.values;
  const pieces = expected.tensors.get('generator_logits')!.shape[2];
  const targets = expected.tensors.get('masked_targets')!.values;
  const nll = expected.tensors.get('masked_nll')!.values;
  const generator = expected.tensors.get('generator_logits')!.values;
  for (const [slot, weight] of weights.entries()) {
    if (weight === 0) continue;
    const actual = outputs.generatorLogits.slice(slot * pieces, (slot + 1) * pieces);
    checkClose(`generator logits of slot ${slot}`, actual, generator.slice(slot * pieces, (slot + 1) * pieces), 2e-5);
    const actualNll = outputs.logSumExp[slot] - actual[targets[slot]];
    assert.ok(Math.abs(actualNll - nll[slot]) <= 4e-5, `nll of slot ${slot}`);
  }
  const mask = batch.tensors.get('attention_mask')!.values;
  const discriminator = expected.tensors.get('discriminator_logits')!.values;
  for (const [at, real] of mask.entries()) {
    if (real === 0) continue;
    const error = Math.abs(outputs.discriminatorLogits[at] - discriminator[at]);
    assert.ok(error <= 1e-5, `discriminator logit ${at}: off by ${error}`);
  }
  assert.deepEqual(
    [...outputs.labels].filter((_, at) => mask[at] === 1),
    [...batch.tensors.get('labels')!.values].filter((_, at) => mask[at] === 1),
  );
}

function checkClose(what: string, actual: TypedArray, expected: ArrayLike<number>, limit: number): void {
  assert.equal(actual.length, expected.length, what);
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] - expected[i]);
    assert.ok(error <= limit, `${what}[${i}]: ${actual[i]} for ${expected[i]}, off by ${error}, limit ${limit}`);
  }
}

function largestOf(values: ArrayLike<number>): number {
  return Array.from(values).reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
}
