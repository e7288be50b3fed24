/** The microkernel for vectors of 256 bits: the same bits as the other one, whatever the compiler makes of both. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { createWasmEngine } from '../../src/engines/wasm/wasm.js';
import { linear, linearInputGradient, linearWeightGradient } from '../../src/ops/linear.js';
import { float32 } from '../../src/ops/operation.js';
import { ProgramBuilder } from '../../src/program/builder.js';
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
      const program = builder.finish();
      const inputs = {
        x: randomFloats(rows * depth, 1),
        weight: randomFloats(columns * depth, 2),
        bias: randomFloats(columns, 3),
        dy: randomFloats(rows * columns, 4),
      };
      const [narrow, wide] = await Promise.all(
        [false, true].map(async (isWide) => {
          const runtime = await createWasmEngine(build, isWide).load({ program }, { threads: 2 });
          try {
            return await (await runtime.submit('program', inputs)).outputs;
          } finally {
            await runtime.close();
          }
        }),
      );
      for (const name of ['y', 'dx', 'dxMore', 'dWeight']) {
        assert.deepEqual(new Uint32Array(wide[name].buffer), new Uint32Array(narrow[name].buffer), name);
        assert.ok(narrow[name].some((value) => value !== 0));
      }
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
