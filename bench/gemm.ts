/**
 * The three matrix products of training on the wasm engine, beside the machine's multiply-add peak in the same run.
 * Proves a sample of each product against float64 first. `node dist/bench/gemm.js [rows columns depth]`
 */
import assert from 'node:assert/strict';
import type { Inputs } from '../src/engines/engine.js';
import { chooseBuild } from '../src/engines/wasm/build.js';
import type { WasmBuild } from '../src/engines/wasm/features.js';
import { measurePeak } from '../src/engines/wasm/peak.js';
import { createWasmEngine } from '../src/engines/wasm/wasm.js';
import { median } from '../src/median.js';
import { linear, linearInputGradient, linearWeightGradient } from '../src/ops/linear.js';
import { float32, type Tensor } from '../src/ops/operation.js';
import { ProgramBuilder } from '../src/program/builder.js';
import type { Program } from '../src/program/program.js';
import { drawWords, keyOfSeed, uniformOfWord } from '../src/random/philox.js';

const [rows, columns, depth] =
  process.argv.slice(2).length === 3 ? process.argv.slice(2).map(Number) : [2048, 256, 1024];
/** Products in a program, so that a step's own cost counts for little. */
const repeats = Math.max(1, Math.round(4e9 / (2 * rows * columns * depth)));

const x = random(rows * depth, 1);
const weight = random(columns * depth, 2);
const dy = random(rows * columns, 3);

/** Each product's name, program, inputs and one element of its result in float64. */
const products = [
  {
    name: 'x · Wᵀ',
    program: programOf(float32(rows, depth), float32(columns, depth), linear),
    inputs: { a: x, b: weight },
    element: (at: number) =>
      dot(depth, (k) => x[Math.floor(at / columns) * depth + k] * weight[(at % columns) * depth + k]),
  },
  {
    name: 'dy · W',
    program: programOf(float32(rows, columns), float32(columns, depth), linearInputGradient),
    inputs: { a: dy, b: weight },
    element: (at: number) =>
      dot(columns, (n) => dy[Math.floor(at / depth) * columns + n] * weight[n * depth + (at % depth)]),
  },
  {
    name: 'dyᵀ · x',
    program: programOf(float32(rows, columns), float32(rows, depth), linearWeightGradient),
    inputs: { a: dy, b: x },
    element: (at: number) => dot(rows, (m) => dy[m * columns + Math.floor(at / depth)] * x[m * depth + (at % depth)]),
  },
];

const build: WasmBuild = chooseBuild();
console.log(`${rows}×${columns}×${depth}, ${build}, GFLOP/s (share of the multiply-add peak)`);
for (const threads of [1, 2]) {
  const before = await measurePeak(build, threads);
  const line: string[] = [];
  for (const { name, program, inputs, element } of products) {
    const runtime = await createWasmEngine(build).load({ product: program }, { threads });
    await prove(await (await runtime.submit('product', inputs)).outputs, element);
    const times: number[] = [];
    for (let run = 0; run < 8; run++) {
      const start = performance.now();
      await (await runtime.submit('product', inputs)).outputs;
      times.push(performance.now() - start);
    }
    await runtime.close();
    const best = Math.min(...times);
    const gflops = (ms: number) => (repeats * 2 * rows * columns * depth) / ms / 1e6;
    line.push(
      `${name} ${gflops(best).toFixed(1)} (${(gflops(best) / before).toFixed(2)}; median ${gflops(median(times)).toFixed(1)})`,
    );
  }
  const peak = Math.max(before, await measurePeak(build, threads));
  console.log(`${threads} thread${threads > 1 ? 's' : ''}, peak ${peak.toFixed(1)}: ${line.join(' · ')}`);
}

function programOf(
  aType: Parameters<ProgramBuilder['input']>[1],
  bType: Parameters<ProgramBuilder['input']>[1],
  product: (build: ProgramBuilder, a: Tensor, b: Tensor) => Tensor,
): Program {
  const builder = new ProgramBuilder();
  const a = builder.input('a', aType);
  const b = builder.input('b', bType);
  let result = product(builder, a, b);
  for (let i = 1; i < repeats; i++) result = product(builder, a, b);
  builder.output('c', result);
  return builder.finish();
}

async function prove(outputs: Inputs, element: (at: number) => number): Promise<void> {
  const { c } = outputs;
  for (let at = 0; at < c.length; at += Math.ceil(c.length / 999)) {
    assert.ok(Math.abs(c[at] - element(at)) < 1e-3, `element ${at}: ${c[at]}, not ${element(at)}`);
  }
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
