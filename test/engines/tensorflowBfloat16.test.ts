/**
 * The joint step with bfloat16 products: operands and results are rounded as rounded.ts rounds them, and nothing else.
 * What single operations compute is in tensorflowConformance.test.ts.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Inputs, Outputs, Runtime } from '../../src/engines/engine.js';
import { referenceEngine } from '../../src/engines/reference/reference.js';
import { tensorflowEngine } from '../../src/engines/tensorflow/tensorflow.js';
import { buildTrain } from '../../src/model/electra.js';
import { parametersOf } from '../../src/model/parameters.js';
import { randomWeights, tinyBatch, tinyModel, tinySettings } from '../model/tiny.js';
import { needTensorflow } from '../tensorflow.js';
import { atRandom, distance, type Round, rootMeanSquare, runRounded, toNearest } from './rounded.js';

const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-6, biasCorrection: true, weightDecay: 0, maxGradNorm: 1 };
const model = tinyModel({ hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1 });
const program = buildTrain({ ...tinySettings(model), optimizer, exposesAll: true });
/** A hundredth of the distance between bfloat16 numbers of the size of the weights. */
const rate = 1e-5;
const inputs: Inputs = { ...tinyBatch(1), draw: Int32Array.of(5, 6, 0, 0), rate: Float32Array.of(rate) };

let state: Map<string, Float64Array>;
let exact: Outputs;
before(async () => {
  const reference = await referenceEngine.load({ program });
  await randomWeights(reference, model, 3);
  state = (await reference.snapshot()) as Map<string, Float64Array>;
  exact = await (await reference.submit('program', inputs)).outputs;
});

const run = (round: Round) => runRounded(program, new Map(state), inputs, round);

test('the oracle of rounded products is the reference engine where nothing is rounded', () => {
  for (const [name, values] of Object.entries(run((x) => x))) {
    for (const [i, value] of values.entries()) {
      assert.ok(Math.abs(exact[name][i] - value) <= 1e-12 * Math.max(1, largestOf(values)), `${name} at ${i}`);
    }
  }
});

test('it rounds to the neighbours of a number, in proportion, and leaves bfloat16 as it is', () => {
  const x = 1 + 2 ** -9;
  const ups = Array.from({ length: 4000 }, (_, seed) => atRandom(seed)(x)).filter((rounded) => rounded > x).length;
  // A quarter of the way: 1000 are expected, with a standard deviation of 27.
  assert.ok(Math.abs(ups - 1000) < 5 * 27, `${ups}`);
  for (const round of [toNearest, atRandom(7)]) {
    for (const bfloat16 of [0, 1, -1.5, 2 ** -100, 3.140625, -255]) assert.equal(round(bfloat16), bfloat16);
  }
  const ties = [1 + 2 ** -8, 1 + 3 * 2 ** -8, -1 - 2 ** -8, 2 - 2 ** -8];
  assert.deepEqual(ties.map(toNearest), [1, 1 + 2 ** -6, -1, 2]);
});

describe('tensorflow with bfloat16 products', needTensorflow(), () => {
  let runtime: Runtime;
  let actual: Outputs;
  before(async () => {
    runtime = await tensorflowEngine.load({ program }, { precision: 'bfloat16' });
    await runtime.write(state);
    actual = await (await runtime.submit('program', inputs)).outputs;
  });
  after(() => runtime?.close());

  test('has the losses, logits and gradients of operands and products rounded to the nearest, and of nothing else', () => {
    const nearest = run(toNearest);
    const runs = Array.from({ length: 8 }, (_, seed) => run(atRandom(seed)));
    // The generator's logits are computed beside its output layer, for tests alone: TensorFlow takes the product that both
    // share and rounds it before it adds the bias, as it does not where a linear layer has one of its own.
    const left = ['labels', 'mlmHits', 'rtdHits', 'generatorLogits'];
    const names = Object.keys(exact).filter((name) => !left.includes(name));
    assert.ok(names.length > parametersOf(model).length);
    const shares = names.map((name) => {
      const of = runs.map((outputs) => outputs[name]);
      const share = distance(actual[name], nearest[name]) / rootMeanSquare(of, exact[name]);
      // Where float32's errors tip a rounding to the other neighbour, results move by a part of what all roundings do;
      // of some thirty kinds of roundings in this step, one more or less is a fifth of it.
      assert.ok(share <= 0.2, `${name}: off by ${share} of what rounding does`);
      return share;
    });
    // Measured: 0.0002, and 0.04 at most.
    const [median] = shares.sort((a, b) => a - b).slice(shares.length / 2);
    assert.ok(median <= 0.02, `half of all are off by ${median} of what rounding does`);
    assert.deepEqual(actual.labels, exact.labels);
  });

  test('keeps weights in float32: all move by what the rate and their gradients say', async () => {
    const factor = 1 / Math.max(1, actual.gradientNorm[0]);
    const after = await runtime.snapshot();
    for (const { name } of parametersOf(model)) {
      const gradient = actual[`gradient/${name}`];
      for (const [i, before] of state.get(name)!.entries()) {
        const g = factor * gradient[i];
        const expected = Math.fround(before) - (rate * g) / (Math.abs(g) + optimizer.epsilon);
        const error = Math.abs(after.get(name)![i] - expected);
        assert.ok(error <= 2 ** -24 * Math.abs(before) + 1e-5 * rate, `${name} at ${i}: off by ${error}`);
      }
    }
  });
});

function largestOf(values: ArrayLike<number>): number {
  return Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}
