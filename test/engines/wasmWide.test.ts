/** The microkernels for vectors of 256 bits: the same bits as the others, whatever the compiler makes of them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import type { Inputs } from '../../src/engines/engine.js';
import { createWasmEngine } from '../../src/engines/wasm/wasm.js';
import { attentionGradientOperation, attentionOperation } from '../../src/ops/attention.js';
import { drawType } from '../../src/ops/dropout.js';
import { linear, linearInputGradient, linearWeightGradient } from '../../src/ops/linear.js';
import { float32, int32 } from '../../src/ops/operation.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import type { Program } from '../../src/program/program.js';
import { randomFloats } from '../random.js';

const shapes = [
  [1, 1, 1],
  [6, 16, 16],
  [7, 3, 17],
  [12, 513, 40],
  [95, 70, 33],
  [64, 1030, 24],
  [200, 64, 264],
];

/** Lengths of the segments, a row of the batch after another. */
const attentions = [
  {
    heads: 2,
    headWidth: 64,
    places: 130,
    lengths: [
      [130, 0, 0],
      [17, 33, 48],
      [9, 8, 1],
    ],
  },
  {
    heads: 3,
    headWidth: 24,
    places: 41,
    lengths: [
      [41, 0],
      [12, 24],
      [6, 7],
      [0, 0],
    ],
  },
  { heads: 1, headWidth: 17, places: 32, lengths: [[32], [25], [16]] },
  {
    heads: 2,
    headWidth: 5,
    places: 16,
    lengths: [
      [15, 1],
      [8, 8],
    ],
  },
];

for (const build of ['simd', 'relaxed-simd'] as const) {
  test(`products with either microkernel are the same bits (${build})`, async () => {
    for (const [rows, depth, columns] of shapes) {
      const builder = new ProgramBuilder();
      const x = builder.input('x', float32(rows, depth));
      const weight = builder.input('weight', float32(columns, depth));
      const bias = builder.input('bias', float32(columns));
      const dy = builder.input('dy', float32(rows, columns));
      builder.output('y', linear(builder, x, weight, bias));
      builder.output('dx', linearInputGradient(builder, dy, weight));
      builder.output('dxMore', linearInputGradient(builder, dy, weight, x));
      builder.output('dWeight', linearWeightGradient(builder, dy, x));
      const inputs = {
        x: randomFloats(rows * depth, 1),
        weight: randomFloats(columns * depth, 2),
        bias: randomFloats(columns, 3),
        dy: randomFloats(rows * columns, 4),
      };
      await expectSameBits(build, builder.finish(), inputs);
    }
  });

  test(`attention with either microkernel is the same bits, whatever stands in padding (${build})`, async () => {
    for (const { heads, headWidth, places, lengths } of attentions) {
      const shape = [lengths.length, places, heads * headWidth];
      const builder = new ProgramBuilder();
      const [q, k, v, dContext] = ['q', 'k', 'v', 'dContext'].map((name) => builder.input(name, float32(...shape)));
      const walls = builder.input('lengths', int32(lengths.length, lengths[0].length));
      const draw = builder.input('draw', drawType);
      const attributes = { heads, dropout: 0.1, stream: 0x10007 };
      const forward = builder.apply(attentionOperation, [q, k, v, walls, draw], attributes);
      const backward = [q, k, v, ...forward, walls, draw, dContext];
      builder.output('context', forward[0]);
      builder.output('logSumExp', forward[1]);
      for (const [i, gradient] of builder.apply(attentionGradientOperation, backward, attributes).entries()) {
        builder.output(['dq', 'dk', 'dv'][i], gradient);
      }
      const inputsWith = (padding: number): Inputs => {
        const padded = (seed: number) => {
          const values = randomFloats(lengths.length * places * heads * headWidth, seed);
          for (const [row, parts] of lengths.entries()) {
            const used = parts.reduce((sum, length) => sum + length);
            values.fill(padding, (row * places + used) * shape[2], (row + 1) * places * shape[2]);
          }
          return values;
        };
        return {
          q: padded(1),
          k: padded(2),
          v: padded(3),
          dContext: padded(4),
          lengths: Int32Array.from(lengths.flat()),
          draw: Int32Array.of(5, 6, 7, 0),
        };
      };
      await expectSameBits(build, builder.finish(), inputsWith(0), inputsWith(Number.NaN));
    }
  });
}

test('without the flag of V8 nothing is taken for wide', () => {
  const { variables } = process.config as { variables: Record<string, unknown> };
  const knowsFlag = variables.v8_enable_wasm_simd256_revec === 1;
  const script = `
    const { chooseBuild, compileModule } = await import(${JSON.stringify(new URL('../../src/engines/wasm/build.js', import.meta.url).href)});
    const { hasWideVectors } = await import(${JSON.stringify(new URL('../../src/engines/wasm/wide.js', import.meta.url).href)});
    console.log(hasWideVectors(await compileModule(chooseBuild())));`;
  const flags = knowsFlag ? ['--no-experimental-wasm-revectorize'] : [];
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, '--input-type=module', '--eval', script], {
    encoding: 'utf8',
  });
  assert.equal(stdout, 'false\n', stderr);
  assert.equal(stderr, '');
});

/** Outputs of the narrow kernels, and of the wide ones from inputs that must not make a difference. */
async function expectSameBits(
  build: 'simd' | 'relaxed-simd',
  program: Program,
  inputs: Inputs,
  wideInputs = inputs,
): Promise<void> {
  const [narrow, wide] = await Promise.all(
    [inputs, wideInputs].map(async (inputs, isWide) => {
      const runtime = await createWasmEngine(build, isWide === 1).load({ program }, { threads: 2 });
      try {
        return await (await runtime.submit('program', inputs)).outputs;
      } finally {
        await runtime.close();
      }
    }),
  );
  for (const name of Object.keys(program.outputs)) {
    assert.deepEqual(new Uint32Array(wide[name].buffer), new Uint32Array(narrow[name].buffer), name);
    assert.ok(narrow[name].some((value) => value !== 0));
  }
}
