/**
 * What reverse mode and the memory plan add to the rules of single operations, on programs of a few operations that no
 * model of ours has: tensors that an operation takes twice, values that two variables take. Central differences in
 * float64 judge the gradient, the float64 engine the wasm engine.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { referenceEngine } from '../../src/engines/reference/reference.js';
import { wasmEngine } from '../../src/engines/wasm/wasm.js';
import { add, scale } from '../../src/ops/arithmetic.js';
import { binaryCrossEntropy } from '../../src/ops/binaryCrossEntropy.js';
import { embed } from '../../src/ops/embed.js';
import { linear } from '../../src/ops/linear.js';
import { float32, int32, sizeOf, type Tensor } from '../../src/ops/operation.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import { planMemory } from '../../src/program/memory.js';
import type { Program } from '../../src/program/program.js';
import { randomFloats } from '../random.js';

/** The width takes several tiles of a matrix product: one that wrote over its operand would be seen. */
const [rows, places, width] = [2, 3, 40];
const batch = {
  ids: Int32Array.of(0, 3, 1, 2, 2, 4),
  lengths: Int32Array.of(3, 2),
  seconds: Int32Array.of(1, 2),
  labels: Int32Array.of(1, 0, 0, 1, 1, 0),
  denominators: Float32Array.of(1, 5),
};

/** embed → body → one logit a token → loss; `table` gets the gradient. Where it is tied, words and positions are one table. */
function programOf(isTied: boolean, body: (build: ProgramBuilder, x: Tensor) => Tensor): Program {
  const build = new ProgramBuilder();
  const ints = (name: string, ...shape: number[]) => build.input(name, int32(...shape));
  const frozen = (name: string, ...shape: number[]) => build.variable(name, shape, 'parameter');
  const table = frozen('table', 5, width);
  const lengths = ints('lengths', rows, 1);
  const x = embed(build, ints('ids', rows, places), lengths, ints('seconds', rows, 1), {
    words: table,
    positions: isTied ? table : frozen('positions', places, width),
    types: frozen('types', 2, width),
  });
  const logits = linear(build, body(build, x), frozen('out', 1, width));
  const labels = ints('labels', rows, places);
  const { loss } = binaryCrossEntropy(build, logits, labels, lengths, build.input('denominators', float32(2)));
  build.output('loss', loss);
  build.output('gradient', build.gradients(loss, [table])[0]!);
  return build.finish();
}

async function run(engine: typeof wasmEngine, program: Program, change?: { at: number; by: number }) {
  const runtime = await engine.load({ program }, { threads: Math.min(2, engine.capabilities.mostThreads) });
  try {
    const start = runtime.variables().map(({ name, shape }, i) => {
      const values = Float64Array.from(randomFloats(sizeOf(shape), 40 + i));
      if (name === 'table' && change) values[change.at] += change.by;
      return [name, values] as const;
    });
    await runtime.write(new Map(start));
    return await (await runtime.submit('program', batch)).outputs;
  } finally {
    await runtime.close();
  }
}

describe('a tensor that an operation takes twice gets the whole of its gradient', () => {
  const programs: Record<string, Program> = {
    'one table for words and positions': programOf(true, (_, x) => x),
    'a residual around a layer whose weights stay': programOf(false, (build, x) =>
      add(build, x, linear(build, x, build.variable('frozen', [width, width], 'parameter'))),
    ),
    'a sum with itself': programOf(false, (build, x) => add(build, x, x)),
  };
  for (const [claim, program] of Object.entries(programs)) {
    test(claim, async () => {
      const { gradient } = await run(referenceEngine, program);
      const h = 1e-5;
      for (let at = 0; at < gradient.length; at += 9) {
        const [up, down] = await Promise.all([h, -h].map((by) => run(referenceEngine, program, { at, by })));
        const expected = (up.loss[0] - down.loss[0]) / (2 * h);
        assert.ok(Math.abs(gradient[at] - expected) < 1e-8, `${at}: ${gradient[at]} for ${expected}`);
      }
      const { gradient: wasm } = await run(wasmEngine, program);
      for (const [at, value] of gradient.entries()) assert.ok(Math.abs(wasm[at] - value) < 1e-6, `wasm, ${at}`);
    });
  }
});

test('a value that two variables take, and one that a variable had, arrive on both engines', async () => {
  const build = new ProgramBuilder();
  const [a, b, c] = ['a', 'b', 'c'].map((name) => build.variable(name, [3], 'parameter'));
  const doubled = scale(build, a, 2);
  build.assign('a', doubled);
  build.assign('b', doubled);
  build.assign('c', add(build, c, a));
  build.output('old b', b);
  const program = build.finish();
  assert.ok(planMemory(program).copies.length > 0);
  for (const engine of [referenceEngine, wasmEngine]) {
    const runtime = await engine.load({ program });
    await runtime.write(new Map(['a', 'b', 'c'].map((name, i) => [name, Float32Array.of(1, 2, 3 + i)])));
    const outputs = await (await runtime.submit('program', {})).outputs;
    assert.deepEqual([...outputs['old b']], [1, 2, 4]);
    const after = await runtime.snapshot();
    assert.deepEqual(
      ['a', 'b', 'c'].map((name) => [...after.get(name)!]),
      [
        [2, 4, 6],
        [2, 4, 6],
        [2, 4, 8],
      ],
      engine.name,
    );
    await runtime.close();
  }
});

test('a variable cannot take what another one was', () => {
  const build = new ProgramBuilder();
  build.variable('a', [3], 'parameter');
  const b = build.variable('b', [3], 'parameter');
  assert.throws(() => build.assign('a', b), /variable a is assigned another variable, b/);
});
