/**
 * The project's kernels as TensorFlow.js calls them: in every form and size against plain loops in float64, beside tensors
 * that must stay as they are, with no memory kept, and out of the way of whoever uses the backend `wasm` itself.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import {
  backend,
  erf,
  getKernel,
  matMul,
  memory,
  setBackend,
  type Tensor,
  tensor,
  tensor1d,
  tidy,
  unsortedSegmentSum,
} from '@tensorflow/tfjs-core';
import { activate, openBackend } from '../../src/engines/tfjs/backend.js';
import { ownBackendName } from '../../src/engines/tfjs/kernels/kernel.js';
import { moduleOf } from '../../src/engines/tfjs/wasmModule.js';
import { erf as exactErf } from '../../src/ops/activation.js';
import { sizeOf } from '../../src/ops/operation.js';
import { randomFloats, randomInts } from '../random.js';
import { awkwardSizes } from './cases.js';
import { gamma } from './roundoff.js';

before(async () => activate(await openBackend('wasm', true)));

function floats(shape: number[], seed: number): Tensor {
  return tensor(randomFloats(sizeOf(shape), seed, 1), shape);
}

/** Largest difference between a product and its float64 twin, in bounds γ(K) Σ|terms| of each element. */
function worstOf(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): number {
  const c = matMul(a, b, transposeA, transposeB);
  const [rows, columns] = c.shape.slice(-2);
  const depth = a.shape[a.rank - (transposeA ? 2 : 1)]!;
  const [x, y, product] = [a, b, c].map((one) => one.dataSync());
  let worst = 0;
  for (let i = 0; i < product.length; i++) {
    const matrix = Math.floor(i / (rows! * columns!));
    const row = Math.floor(i / columns!) % rows!;
    const column = i % columns!;
    const fromA = x.length === rows! * depth ? 0 : matrix * rows! * depth;
    const fromB = y.length === columns! * depth ? 0 : matrix * columns! * depth;
    let sum = 0;
    let size = 0;
    for (let k = 0; k < depth; k++) {
      const term =
        x[fromA + (transposeA ? k * rows! + row : row * depth + k)] *
        y[fromB + (transposeB ? column * depth + k : k * columns! + column)];
      sum += term;
      size += Math.abs(term);
    }
    worst = Math.max(worst, Math.abs(product[i] - sum) / (gamma(depth) * size));
  }
  return worst;
}

test('products in all four forms, alone and in batches, are within γ(K) of each element', () => {
  for (const [i, rows] of awkwardSizes.entries()) {
    const columns = awkwardSizes[(5 * i) % awkwardSizes.length];
    const depth = i === 11 ? 515 : awkwardSizes[(7 * i) % awkwardSizes.length];
    for (const [batchA, batchB] of [
      [[], []],
      [[3], [3]],
      [
        [2, 2],
        [2, 2],
      ],
      [[1], [3]],
      [[3], [1]],
    ]) {
      for (const transposeA of [false, true]) {
        for (const transposeB of [false, true]) {
          tidy(() => {
            const a = floats([...batchA, ...(transposeA ? [depth, rows] : [rows, depth])], i);
            const b = floats([...batchB, ...(transposeB ? [columns, depth] : [depth, columns])], i + 50);
            const worst = worstOf(a, b, transposeA, transposeB);
            assert.ok(worst <= 1, `${a.shape} by ${b.shape}, ${transposeA} ${transposeB}: ${worst} of its bound`);
          });
        }
      }
    }
  }
});

test('batches that do not fit each other are refused', () => {
  tidy(() => {
    assert.throws(() => matMul(floats([2, 1, 4, 4], 1), floats([1, 3, 4, 4], 2)), /expected 1 or 6 matrices/);
  });
});

test('rows are added to the segments that they are numbered for, and a number outside is refused', () => {
  for (const width of awkwardSizes) {
    tidy(() => {
      const rows = 40;
      const numbers = randomInts(rows, width, 7);
      const x = floats([rows, width], width);
      const exact = new Float64Array(8 * width);
      const values = x.dataSync();
      for (let i = 0; i < values.length; i++) exact[numbers[Math.floor(i / width)] * width + (i % width)] += values[i];
      const sum = unsortedSegmentSum(x, tensor1d(numbers, 'int32'), 8);
      assert.deepEqual(sum.shape, [8, width]);
      for (const [i, value] of sum.dataSync().entries()) {
        assert.ok(Math.abs(value - exact[i]) <= gamma(rows) * rows, `${value} for ${exact[i]} at ${i}`);
      }
    });
  }
  tidy(() => {
    for (const number of [-1, 8]) {
      const ids = tensor1d([0, number, 1], 'int32');
      assert.throws(() => unsortedSegmentSum(floats([3, 4], 1), ids, 8), new RegExp(`\\[0, 8\\), got ${number}`));
    }
  });
});

test('erf is within 5 ulp at every length, and NaN stays NaN', () => {
  for (const size of [...awkwardSizes, 4099]) {
    tidy(() => {
      const x = randomFloats(size, size, 4);
      for (const [i, y] of erf(tensor1d(x)).dataSync().entries()) {
        const exact = exactErf(x[i]);
        const ulp = 2 ** (Math.floor(Math.log2(Math.max(Math.abs(exact), 2 ** -126))) - 23);
        assert.ok(Math.abs(y - exact) <= 5 * ulp, `erf(${x[i]}) = ${y}`);
      }
    });
  }
  assert.ok(Number.isNaN(tidy(() => erf(tensor1d([1, 2, 3, 4, Number.NaN])).dataSync()[4])));
});

test('tensors that a kernel has no business with stay as they are', () => {
  const neighbours = awkwardSizes.map((size) => tensor1d(new Float32Array(size).fill(7)));
  const work = () => {
    for (const [i, size] of awkwardSizes.entries()) {
      const other = awkwardSizes[awkwardSizes.length - 1 - i];
      matMul(floats([3, size, other], i), floats([3, size, other], i), false, true);
      matMul(floats([size, other], i), floats([size, other], i), true, false);
      erf(floats([size], i));
      unsortedSegmentSum(floats([size, other], i), tensor1d(new Int32Array(size), 'int32'), 1);
    }
  };
  tidy(work);
  // Freed places come in between the neighbours, so that what is made next lies beside them.
  for (let i = 0; i < neighbours.length; i += 2) neighbours[i].dispose();
  tidy(work);
  for (let i = 1; i < neighbours.length; i += 2) {
    assert.ok(neighbours[i].dataSync().every((value) => value === 7));
    neighbours[i].dispose();
  }
});

test('walks keep no memory, nor do kernels that refuse their inputs', () => {
  const module = moduleOf(backend() as BackendWasm);
  const work = () =>
    tidy(() => {
      matMul(floats([64, 512], 1), floats([512, 512], 2), false, true);
      const ids = tensor1d([9], 'int32');
      assert.throws(() => unsortedSegmentSum(floats([1, 4], 1), ids, 8));
    });
  for (let i = 0; i < 3; i++) work();
  const { numTensors, numBytes } = memory();
  const bytes = module.HEAPU8.byteLength;
  for (let i = 0; i < 300; i++) work();
  assert.equal(module.HEAPU8.byteLength, bytes);
  assert.deepEqual([memory().numTensors, memory().numBytes], [numTensors, numBytes]);
});

test('where a walk gets no memory, its output is given back', () => {
  const own = backend() as BackendWasm;
  const module = moduleOf(own);
  const [a, b] = [floats([8, 8], 1), floats([8, 8], 2)];
  const before = own.numDataIds();
  const allocate = module._malloc;
  let calls = 0;
  module._malloc = (bytes) => {
    if (++calls === 2) throw new Error('no memory');
    return allocate(bytes);
  };
  try {
    assert.throws(() => matMul(a, b), /no memory/);
  } finally {
    module._malloc = allocate;
  }
  assert.equal(own.numDataIds(), before);
  for (const one of [a, b]) one.dispose();
});

test('the backend wasm keeps its own kernels, and its tensors serve both', async () => {
  assert.equal(getKernel('UnsortedSegmentSum', 'wasm'), undefined);
  assert.notEqual(getKernel('BatchMatMul', 'wasm').kernelFunc, getKernel('BatchMatMul', ownBackendName).kernelFunc);
  const a = floats([8, 8], 1);
  const own = matMul(a, a).dataSync();
  await setBackend('wasm');
  try {
    for (const [i, value] of matMul(a, a).dataSync().entries()) assert.ok(Math.abs(value - own[i]) <= 16 * gamma(8));
  } finally {
    await setBackend(ownBackendName);
    a.dispose();
  }
});
