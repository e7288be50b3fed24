/**
 * The elementary functions of assembly/compute/math.ts over their whole range: every 2999th float32 of it, in both
 * builds, against float64. The bounds are those that the source states; an ulp is that of the exact value, rounded.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { chooseBuild } from '../../src/engines/wasm/build.js';
import { importsOf } from '../../src/engines/wasm/imports.js';
import { activationGradientOperation, erf } from '../../src/ops/activation.js';

chooseBuild();

type ApplyFunction = (f: number, x: number, y: number, count: number, table: number) => void;

const chunk = 4096;
const memory = new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true });
const table = 512;
const x = new Float32Array(memory.buffer as SharedArrayBuffer, 1024, chunk);
const y = new Float32Array(memory.buffer as SharedArrayBuffer, 1024 + 4 * chunk, chunk);

function kernelOf(build: string): ApplyFunction {
  const file = build === 'simd' ? 'compute.wasm' : 'compute-relaxed.wasm';
  const module = new WebAssembly.Module(readFileSync(new URL(`../../assembly/${file}`, import.meta.url)));
  return new WebAssembly.Instance(module, importsOf(memory)).exports.applyFunction as ApplyFunction;
}

/** Every 2999th float of [low, high], both signs where low < 0. */
function* floatsIn(low: number, high: number): Generator<number> {
  const bits = new Uint32Array(1);
  const value = new Float32Array(bits.buffer);
  for (const sign of low < 0 ? [0, 0x80000000] : [0]) {
    for (let pattern = 0; pattern < 0x7f800000; pattern += 2999) {
      bits[0] = sign + pattern;
      if (value[0] >= low && value[0] <= high) yield value[0];
    }
  }
}

function ulp(value: number): number {
  const size = Math.max(Math.abs(value), 2 ** -126);
  return 2 ** (Math.floor(Math.log2(size)) - 23);
}

function slope(activation: 'gelu' | 'tanh', at: number): number {
  const outputs = [new Float64Array(1), new Float64Array(1)];
  const type = { dtype: 'float32', shape: [1] } as const;
  activationGradientOperation.reference({
    inputs: [Float64Array.of(1), Float64Array.of(at)],
    outputs,
    inputTypes: [type, type],
    outputTypes: [type, type],
    attributes: { activation },
  });
  return outputs[0][0];
}

const sqrtTwo = Math.SQRT2;
const functions: {
  name: string;
  low: number;
  high: number;
  exact(x: number): number;
  bound(x: number, y: number): number;
}[] = [
  { name: 'exp', low: -87.33, high: 88.37, exact: Math.exp, bound: (_, y) => 2 * ulp(y) },
  { name: 'log', low: 2 ** -126, high: 2 ** 127, exact: Math.log, bound: (_, y) => Math.max(2 * ulp(y), 1e-7) },
  { name: 'log1p', low: 0, high: 1, exact: Math.log1p, bound: (_, y) => 3 * ulp(y) },
  { name: 'erf', low: -3.4e38, high: 3.4e38, exact: erf, bound: (_, y) => 5 * ulp(y) },
  { name: 'tanh', low: -3.4e38, high: 3.4e38, exact: Math.tanh, bound: (_, y) => 5 * ulp(y) },
  {
    name: 'gelu',
    low: -1e30,
    high: 1e30,
    exact: (x) => 0.5 * x * (1 + erf(x / sqrtTwo)),
    bound: (x) => 4 * ulp(x),
  },
  { name: 'gelu′', low: -1e18, high: 1e18, exact: (x) => slope('gelu', x), bound: () => 4e-7 },
  { name: 'tanh′', low: -3.4e38, high: 3.4e38, exact: (x) => slope('tanh', x), bound: () => 6.5e-7 },
  { name: 'sigmoid', low: -87, high: 87, exact: (x) => 1 / (1 + Math.exp(-x)), bound: (_, y) => 4 * ulp(y) },
  {
    name: 'ln(x + 1e-9)',
    low: 2 ** -23,
    high: 1,
    exact: (x) => Math.log1p(x - 1 + 1e-9),
    bound: (_, y) => 2 * ulp(y),
  },
  { name: '2ˣ', low: -126, high: 1, exact: (x) => 2 ** x, bound: (_, y) => 2 * ulp(y) },
];

for (const build of ['simd', 'relaxed-simd']) {
  for (const [f, { name, low, high, exact, bound }] of functions.entries()) {
    test(`${name} is within its bound on [${low}, ${high}], ${build}`, () => {
      const apply = kernelOf(build);
      let filled = 0;
      let worst = 0;
      const judge = () => {
        apply(f, x.byteOffset, y.byteOffset, chunk, table);
        for (let i = 0; i < filled; i++) {
          const expected = exact(x[i]);
          const share = Math.abs(y[i] - expected) / bound(x[i], expected);
          worst = Math.max(worst, share);
          assert.ok(share <= 1, `${name}(${x[i]}) = ${y[i]}, not ${expected}: ${share.toFixed(2)} of its bound`);
        }
        filled = 0;
      };
      for (const value of floatsIn(low, high)) {
        x[filled++] = value;
        if (filled === chunk) judge();
      }
      judge();
      // A bound that nothing comes near says nothing.
      assert.ok(worst > 0.1, `largest error is ${worst} of its bound`);
    });
  }

  test(`gelu is 0 and its slope 0 and 1 far from 0, ${build}`, () => {
    const apply = kernelOf(build);
    const functionNamed = (name: string) => functions.findIndex((f) => f.name === name);
    x.set([-1e30, -100, -6, 6, 100, 1e30, -0, 0]);
    apply(functionNamed('gelu'), x.byteOffset, y.byteOffset, 8, table);
    assert.deepEqual(y.subarray(0, 8), Float32Array.of(-0, -0, -0, 6, 100, 1e30, -0, 0));
    apply(functionNamed('gelu′'), x.byteOffset, y.byteOffset, 8, table);
    assert.deepEqual(y.subarray(0, 8), Float32Array.of(0, 0, 0, 1, 1, 1, 0.5, 0.5));
  });

  test(`NaN stays NaN, ${build}`, () => {
    const apply = kernelOf(build);
    for (const [f, { name }] of functions.entries()) {
      if (name.startsWith('l')) continue;
      x.fill(Number.NaN);
      apply(f, x.byteOffset, y.byteOffset, 4, table);
      assert.ok(Number.isNaN(y[0]), name);
    }
  });
}
