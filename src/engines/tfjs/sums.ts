/**
 * Sums that stay exact enough however long they are, and do not wait for a transpose. A backend's own sum runs through its
 * elements in float32 (2²⁰ times 0.1 come to one percent too much on wasm), and transposes what it sums along columns.
 */
import { ones, pad, reshape, sum, type Tensor, type Tensor1D, type Tensor2D } from '@tensorflow/tfjs-core';
import { product } from './products.js';

/** Elements that a backend's sum is given at a time. */
const block = 32;

/** Σ along each row of (R, n), (R): at most 32 roundings a level, ⌈log₃₂ n⌉ levels. */
export function sumOfRows(x: Tensor2D): Tensor1D {
  const [rows, columns] = x.shape;
  if (columns <= block) return sum(x, 1);
  const blocks = Math.ceil(columns / block);
  const padded = pad(x, [
    [0, 0],
    [0, blocks * block - columns],
  ]);
  return sumOfRows(reshape(sum(reshape(padded, [rows * blocks, block]), 1), [rows, blocks]));
}

/** Σ along each column of (R, n), (n): a product with ones. */
export function sumOfColumns(x: Tensor2D): Tensor1D {
  return reshape(product(ones([1, x.shape[0]]), x), [-1]);
}

/** Σ of f over all elements, in float64 on the host. */
export function sumOnHost(x: Tensor, f: (value: number) => number): number {
  let total = 0;
  for (const value of x.dataSync()) total += f(value);
  return total;
}
