/**
 * Sums that stay exact enough however long they are. A backend's own sum runs through its elements in float32: 2²⁰ times
 * 0.1 come to one percent too much on wasm.
 */
import {
  add,
  concat,
  isFinite as isFiniteTensor,
  pad,
  reshape,
  slice,
  squeeze,
  sub,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  tidy,
  where,
  zeros,
} from '@tensorflow/tfjs-core';

/** Elements that a backend's sum is given at a time. */
const block = 32;

/** Σ over the columns of (R, n), (R): at most 32 roundings a level, ⌈log₃₂ n⌉ levels. */
export function sumColumns(x: Tensor2D): Tensor1D {
  const [rows, columns] = x.shape;
  if (columns <= block) return sum(x, 1);
  const blocks = Math.ceil(columns / block);
  const padded = pad(x, [
    [0, 0],
    [0, blocks * block - columns],
  ]);
  return sumColumns(reshape(sum(reshape(padded, [rows * blocks, block]), 1), [rows, blocks]));
}

/**
 * Σ of a vector, within 2⁻²⁴ of its value and n² 2⁻⁴⁸ Σ|x|: halves are added, and what every addition rounds off is kept
 * (Knuth's TwoSum) and added at the end. A sum that overflows is infinite.
 */
export function exactSum(x: Tensor1D): Tensor {
  let high: Tensor1D = x;
  let low: Tensor1D = zeros([x.size]);
  while (high.size > 1) {
    [high, low] = tidy(() => {
      const half = Math.ceil(high.size / 2);
      const [a, b] = halves(high, half);
      const [lowA, lowB] = halves(low, half);
      const whole = add(a, b);
      const fromB = sub(whole, a);
      const lost = add(sub(a, sub(whole, fromB)), sub(b, fromB));
      return [whole, add(add(lowA, lowB), lost)] as [Tensor1D, Tensor1D];
    });
  }
  return squeeze(where(isFiniteTensor(high), add(high, low), high));
}

/** The first `half` elements and the others, with a zero where they are one fewer. */
function halves(x: Tensor1D, half: number): [Tensor1D, Tensor1D] {
  const second = slice(x, half, x.size - half);
  return [slice(x, 0, half), second.size === half ? second : concat([second, zeros([1])])];
}
