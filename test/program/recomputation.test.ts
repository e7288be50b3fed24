/** Who waits for a value that is made again, and who cannot; and that ELECTRA's step computes the same bits for less memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { referenceEngine } from '../../src/engines/reference/reference.js';
import { wasmEngine } from '../../src/engines/wasm/wasm.js';
import { buildAccumulate, buildTrain } from '../../src/model/electra.js';
import { add, scale } from '../../src/ops/arithmetic.js';
import { float32, type Tensor } from '../../src/ops/operation.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import { planMemory } from '../../src/program/memory.js';
import type { Program } from '../../src/program/program.js';
import { randomWeights, tinyBatch, tinyModel, tinySettings } from '../model/tiny.js';
import { randomFloats } from '../random.js';

/** 2x, then `between`, then 2x again, which needs `between.half` where there is one, then six times that. */
function programOf(between: (build: ProgramBuilder, value: Tensor) => Record<string, Tensor>): Program {
  const build = new ProgramBuilder();
  const x = build.input('x', float32(3));
  const value = scale(build, x, 2);
  const outputs = between(build, value);
  const again = add(build, x, outputs.half ?? x);
  build.remade(value.id, again.id);
  outputs.after = scale(build, value, 6);
  for (const [name, tensor] of Object.entries(outputs)) build.output(name, tensor);
  return build.finish();
}

/** The factor of every operation, + for the one that makes the value again, ' behind those that read that. */
function readersOf({ operations }: Program): string {
  const again = operations.find(({ name }) => name === 'add')?.outputs[0];
  const describe = ({ name, inputs, attributes: { factor } }: Program['operations'][number]) =>
    name === 'add' ? '+' : `${factor}${inputs[0] === again ? "'" : ''}`;
  return operations.map(describe).join(' ');
}

async function outputsOf(program: Program) {
  const runtime = await referenceEngine.load({ program });
  const { outputs } = await runtime.submit('program', { x: Float32Array.of(1, -2, 3) });
  return Object.fromEntries(Object.entries(await outputs).map(([name, [first]]) => [name, first]));
}

test('all who read a value late wait for it, in their order', async () => {
  const program = programOf((build, value) => ({ three: scale(build, value, 3), five: scale(build, value, 5) }));
  assert.equal(readersOf(program), "+ 3' 5' 6'");
  assert.deepEqual(await outputsOf(program), { three: 6, five: 10, after: 12 });
});

test('what the new value needs cannot wait, and those before it gain nothing', async () => {
  const program = programOf((build, value) => {
    const three = scale(build, value, 3);
    return { three, half: scale(build, scale(build, value, 4), 1 / 8), five: scale(build, value, 5) };
  });
  assert.equal(readersOf(program), "2 3 4 0.125 + 5' 6'");
  assert.deepEqual(await outputsOf(program), { three: 6, half: 1, five: 10, after: 12 });
});

test('whose result is read by somebody who does not wait does not wait', async () => {
  const program = programOf((build, value) => {
    const five = scale(build, value, 5);
    return { seven: scale(build, five, 7), five, three: scale(build, value, 3) };
  });
  assert.equal(readersOf(program), "2 5 7 + 3' 6'");
  assert.deepEqual(await outputsOf(program), { seven: 70, five: 10, three: 6, after: 12 });
});

test('a value that is an output is there to be read', async () => {
  const program = programOf((build, value) => ({ value, three: scale(build, value, 3) }));
  assert.equal(readersOf(program), '2 3 6');
  assert.deepEqual(await outputsOf(program), { value: 2, three: 6, after: 12 });
});

/** The program in which everybody reads what the forward pass made. */
function keepingAll(program: Program): Program {
  const makers = new Map(program.operations.flatMap((operation) => operation.outputs.map((one) => [one, operation])));
  const first = new Map<number, number>();
  for (const { name, inputs, outputs } of program.operations) {
    // Of one operation with the value before the activation, or the mean.
    const [sibling] = name === 'activationGradient' ? [inputs[1]] : name === 'layerNormGradient' ? [inputs[4]] : [];
    if (sibling !== undefined) first.set(outputs[1], makers.get(sibling)!.outputs[0]);
  }
  const operations = program.operations.map((operation) => ({
    ...operation,
    inputs: operation.inputs.map((tensor) => first.get(tensor) ?? tensor),
  }));
  return { ...program, operations };
}

const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-6, biasCorrection: false, weightDecay: 0.01, maxGradNorm: 1 };

for (const hidden_act of ['gelu', 'tanh']) {
  test(`a step that makes values again is the step that keeps them, to the bit: ${hidden_act}`, async () => {
    const model = tinyModel({
      hidden_act: hidden_act as 'gelu',
      hidden_dropout_prob: 0.1,
      attention_probs_dropout_prob: 0.1,
    });
    const settings = tinySettings(model);
    const programs = {
      train: buildTrain({ ...settings, optimizer, exposesAll: true }),
      next: buildAccumulate({ ...settings, isFirst: false }),
    };
    const kept = Object.fromEntries(Object.entries(programs).map(([name, program]) => [name, keepingAll(program)]));
    for (const [name, program] of Object.entries(programs)) {
      assert.ok(planMemory(program).bytes < 0.85 * planMemory(kept[name]).bytes, name);
    }
    const resultOf = async (those: Record<string, Program>) => {
      const runtime = await wasmEngine.load(those, { threads: 2 });
      await randomWeights(runtime, model, 50);
      const gradients = runtime.variables().filter(({ role }) => role === 'gradient');
      await runtime.write(
        new Map(
          gradients.map(({ name, shape }, i) => [
            name,
            randomFloats(
              shape.reduce((a, b) => a * b, 1),
              900 + i,
            ),
          ]),
        ),
      );
      const batch = { ...tinyBatch(7), draw: Int32Array.of(1, 2, 3, 0) };
      const { outputs } = await runtime.submit('train', { ...batch, rate: Float32Array.of(0.1) });
      const results = [await outputs, await (await runtime.submit('next', batch)).outputs, await runtime.snapshot()];
      await runtime.close();
      return results;
    };
    assert.deepEqual(await resultOf(programs), await resultOf(kept));
  });
}
