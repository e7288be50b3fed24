/**
 * Steps with bfloat16 products against PyTorch's in float64. The band is what roundings explain: several runs of the
 * float64 reference with operands and results of products rounded at random (test/engines/rounded.ts) scatter around
 * PyTorch's losses, and 3 times their root mean square is 4.2 standard deviations of rounding to the nearest.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { tensorflowEngine } from '../../src/engines/tensorflow/tensorflow.js';
import { sizeOf } from '../../src/ops/operation.js';
import { flopsOf } from '../../src/program/print.js';
import { atRandom, distance, rootMeanSquare, runRounded } from '../engines/rounded.js';
import { needTensorflow } from '../tensorflow.js';
import { inputsOf, type Json, names, rateOf, readCase, tenBatches, trainProgram } from './fixtures.js';

/** Of a run of plain loops, about a second. */
const mostFlops = 0.25e9;

/** The first steps of a case, as many as the float64 reference is given time for. */
async function readSteps(name: string) {
  const one = await readCase(name);
  const batches = tenBatches(one.tensors('training_batches'));
  const program = trainProgram(one, batches[0], false);
  const inputs = batches.map((batch, t) => inputsOf(batch, t, rateOf(one, t)));
  return { name, one, program, steps: inputs.slice(0, Math.floor(mostFlops / flopsOf(program))) };
}

const cases = (await Promise.all(names.map(readSteps))).filter(({ steps }) => steps.length > 0);

describe('tensorflow with bfloat16 products', needTensorflow(), () => {
  for (const { name, one, program, steps } of cases) {
    test(`${name}: losses and gradient norms of ${steps.length} steps are PyTorch’s, as near as roundings explain`, async () => {
      const runs = Array.from({ length: 6 }, (_, seed) => {
        const variables = new Map<string, Float64Array>();
        for (const [name, { tensor }] of Object.entries(program.variables)) {
          const weights = one.weights.get(name) ?? new Float64Array(sizeOf(program.tensors[tensor].shape));
          variables.set(name, Float64Array.from(weights));
        }
        return steps.map((step) => runRounded(program, variables, step, atRandom(seed)));
      });
      const runtime = await tensorflowEngine.load({ program }, { precision: 'bfloat16' });
      await runtime.write(one.weights);
      const tickets = await Promise.all(steps.map((step) => runtime.submit('program', step)));
      const actual = await Promise.all(tickets.map(({ outputs }) => outputs));
      await runtime.close();
      const expected = one.training.steps.slice(0, steps.length) as Json[];
      for (const [output, field] of Object.entries({
        mlmLoss: 'mlm_loss',
        rtdLoss: 'rtd_loss',
        gradientNorm: 'grad_norm',
      })) {
        const exact = expected.map((step) => step[field]);
        const of = (run: Readonly<Record<string, ArrayLike<number>>>[]) => run.map((outputs) => outputs[output][0]);
        const scatter = rootMeanSquare(runs.map(of), exact);
        const error = distance(of(actual), exact);
        assert.ok(error <= 3 * scatter, `${output}: off by ${error}, and roundings by ${scatter}`);
      }
    });
  }
});
