import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildTrain } from '../../src/model/electra.js';
import { operations } from '../../src/ops/index.js';
import { bufferAlignment, bytesOf, planMemory } from '../../src/program/memory.js';
import { printProgram } from '../../src/program/print.js';
import { tinyModel, tinySettings } from '../model/tiny.js';

const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-6, biasCorrection: false, weightDecay: 0.01, maxGradNorm: 1 };
const program = buildTrain({
  ...tinySettings(tinyModel({ hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1 })),
  optimizer,
});
const plan = planMemory(program);

test('no operation writes over a value that is still to be read', () => {
  const lastRead = new Map<number, number>();
  program.operations.forEach(({ inputs }, index) => {
    for (const tensor of inputs) lastRead.set(tensor, index);
  });
  const end = program.operations.length;
  for (const tensor of Object.values(program.outputs)) lastRead.set(tensor, end);
  const live = new Map<number, number>();
  for (const [index, operation] of program.operations.entries()) {
    const pairs = operations.get(operation.name)!.inPlace ?? [];
    const mayReplace = (output: number, input: number) =>
      pairs.some(([o, i]) => operation.outputs[o] === output && operation.inputs[i] === input);
    for (const output of operation.outputs) {
      if (plan.inVariable[output] >= 0) continue;
      const from = plan.offsets[output];
      const to = from + bytesOf(program, output);
      assert.equal(from % bufferAlignment, 0);
      assert.ok(to <= plan.bytes);
      for (const [other, start] of live) {
        if (start + bytesOf(program, other) <= from || to <= start) continue;
        assert.ok(
          lastRead.get(other) === index && mayReplace(output, other),
          `operation ${index} writes %${output} over %${other}`,
        );
        live.delete(other);
      }
      live.set(output, from);
    }
    for (const [tensor] of live) if ((lastRead.get(tensor) ?? -1) <= index) live.delete(tensor);
  }
});

test('parameters and moments are updated in place', () => {
  assert.deepEqual(plan.copies, []);
  const assigned = Object.values(program.variables).filter((variable) => variable.assigned !== undefined);
  assert.ok(assigned.length > 0);
  for (const { tensor, assigned: value } of assigned) assert.equal(plan.inVariable[value!], tensor);
});

test('the plan takes hardly more than what lives at one time', () => {
  const lives = program.tensors.map(() => ({ from: Number.POSITIVE_INFINITY, to: -1 }));
  for (const [index, { inputs, outputs }] of program.operations.entries()) {
    for (const tensor of outputs) lives[tensor] = { from: index, to: index };
    for (const tensor of inputs) if (tensor >= 0) lives[tensor].to = index;
  }
  const live = program.operations.map((_, index) =>
    lives.reduce(
      (sum, { from, to }, tensor) =>
        sum + (from <= index && index <= to ? Math.ceil(bytesOf(program, tensor) / 64) * 64 : 0),
      0,
    ),
  );
  assert.ok(plan.bytes <= 1.1 * Math.max(...live), `${plan.bytes} of ${Math.max(...live)}`);
});

test('a printed program names every operation with its scope, its cost, and the total', () => {
  const text = printProgram(program);
  assert.match(text, /= attention\(.*heads=2.*# discriminator\/layer\.1\/attention/);
  assert.match(text, /assign {4}%\d+ = %\d+ shared\.electra\.embeddings\.word_embeddings\.weight/);
  assert.match(text, /total .* MFLOP, \d+ operations/);
  const lines = text.split('\n').filter((line) => line.includes(' MFLOP ') && line.includes('KiB'));
  assert.equal(lines.length, program.operations.length);
});
