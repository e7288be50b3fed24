/**
 * The three matrix products of training on the wasm engine, in turns with the machine's multiply-add peak.
 * Proves a sample of each product against float64 first. `node dist/bench/gemm.js [rows depth columns]`
 */
import assert from 'node:assert/strict';
import type { Inputs } from '../src/engines/engine.js';
import { chooseBuild } from '../src/engines/wasm/build.js';
import type { WasmBuild } from '../src/engines/wasm/features.js';
import { measurePeak } from '../src/engines/wasm/peak.js';
import { createWasmEngine } from '../src/engines/wasm/wasm.js';
import { median } from '../src/median.js';
import { linear, linearInputGradient, linearWeightGradient } from '../src/ops/linear.js';
import { float32, type Tensor, type TensorType } from '../src/ops/operation.js';
import { ProgramBuilder } from '../src/program/builder.js';
import type { Program } from '../src/program/program.js';
import { drawWords, keyOfSeed, uniformOfWord } from '../src/random/philox.js';

type Product = (build: ProgramBuilder, a: Tensor, b: Tensor) => Tensor;

/** Rows × depth × columns of x · Wᵀ: the two layers of a feed-forward block, and the generator's output layer. */
const shapes =
  process.argv.length === 5
    ? [process.argv.slice(2).map(Number)]
    : [
        [2048, 256, 1024],
        [2048, 1024, 256],
        [304, 128, 30522],
      ];
const threadCounts = [1, 2];
const rounds = 16;

const build: WasmBuild = chooseBuild();
console.log(`${build}, GFLOP/s, best (median) of ${rounds}; beside them their share of the multiply-add peak`);
for (const threads of threadCounts) {
  const products = await Promise.all(shapes.flatMap(([...shape]) => productsOf(shape, threads)));
  for (const { prove } of products) await prove();
  let peak = 0;
  for (let round = 0; round < rounds; round++) {
    peak = Math.max(peak, await measurePeak(build, threads));
    for (const product of products) await product.time();
  }
  console.log(`\n${threads} thread${threads > 1 ? 's' : ''}, peak ${peak.toFixed(1)}`);
  for (const { name, speeds, close } of products) {
    const best = Math.max(...speeds);
    console.log(`${name}: ${best.toFixed(1)} (${median(speeds).toFixed(1)}), ${(best / peak).toFixed(3)}`);
    await close();
  }
}

/** The three forms of one layer's products, each a program of one operation, timed with its packing. */
function productsOf([rows, depth, columns]: number[], threads: number) {
  const x = random(rows * depth, 1);
  const weight = random(columns * depth, 2);
  const dy = random(rows * columns, 3);
  const load = async (
    form: string,
    aType: TensorType,
    bType: TensorType,
    product: Product,
    inputs: Inputs,
    element: (at: number) => number,
  ) => {
    const program = programOf(aType, bType, product);
    const runtime = await createWasmEngine(build).load({ product: program }, { threads });
    const speeds: number[] = [];
    return {
      name: `${rows}×${depth}×${columns} ${form}`,
      speeds,
      close: () => runtime.close(),
      /** A sample of the elements, against float64. */
      prove: async () => {
        const { c } = await (await runtime.submit('product', inputs)).outputs;
        for (let at = 0; at < c.length; at += Math.ceil(c.length / 999)) {
          assert.ok(Math.abs(c[at] - element(at)) < 1e-3, `element ${at}: ${c[at]}, not ${element(at)}`);
        }
      },
      time: async () => {
        const { operations } = await runtime.profile('product', inputs);
        speeds.push((2 * rows * columns * depth) / operations[0].ms / 1e6);
      },
    };
  };
  return [
    load('x · Wᵀ', float32(rows, depth), float32(columns, depth), linear, { a: x, b: weight }, (at) =>
      dot(depth, (k) => x[Math.floor(at / columns) * depth + k] * weight[(at % columns) * depth + k]),
    ),
    load('dy · W', float32(rows, columns), float32(columns, depth), linearInputGradient, { a: dy, b: weight }, (at) =>
      dot(columns, (n) => dy[Math.floor(at / depth) * columns + n] * weight[n * depth + (at % depth)]),
    ),
    load('dyᵀ · x', float32(rows, columns), float32(rows, depth), linearWeightGradient, { a: dy, b: x }, (at) =>
      dot(rows, (m) => dy[m * columns + Math.floor(at / depth)] * x[m * depth + (at % depth)]),
    ),
  ];
}

function programOf(aType: TensorType, bType: TensorType, product: Product): Program {
  const builder = new ProgramBuilder();
  const a = builder.input('a', aType);
  const b = builder.input('b', bType);
  builder.output('c', product(builder, a, b));
  return builder.finish();
}

function dot(count: number, term: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += term(i);
  return sum;
}

function random(count: number, seed: number): Float32Array {
  const words = new Uint32Array(count);
  drawWords(words, keyOfSeed(seed), 0, 0);
  return Float32Array.from(words, (word) => 2 * uniformOfWord(word) - 1);
}
