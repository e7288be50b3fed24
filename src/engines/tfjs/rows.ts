/** Rows of a batch looked up, added up and left out: what embeddings, gathered places and masked losses share. */
import {
  getBackend,
  reshape,
  scatterND,
  type Tensor1D,
  type Tensor2D,
  tensor1d,
  tensor2d,
  unsortedSegmentSum,
  where,
  zerosLike,
} from '@tensorflow/tfjs-core';
import { ownBackendName } from './kernels/kernel.js';

/**
 * Σ of the rows of x (N, W) by their number, (count, W): by scattering with addition, since the backends that have a sum
 * by segments go through x once a segment; the project's kernel goes through it once.
 */
export function sumByRow(x: Tensor2D, numbers: Tensor1D, count: number): Tensor2D {
  if (getBackend() === ownBackendName) return unsortedSegmentSum(x, numbers, count);
  return scatterND(reshape(numbers, [-1, 1]), x, [count, x.shape[1]]);
}

/**
 * x (R, W) with zeros in every row that is not kept, whatever stands there. One condition an element: the wasm backend's
 * selection by rows copies the first element of each, and a broadcast condition takes over ten times as long (measured).
 */
export function keepRows(x: Tensor2D, isKept: readonly boolean[]): Tensor2D {
  if (isKept.every(Boolean)) return x;
  const [rows, width] = x.shape;
  const condition = new Uint8Array(rows * width);
  for (const [row, kept] of isKept.entries()) if (kept) condition.fill(1, row * width, (row + 1) * width);
  return where(tensor2d(condition, [rows, width], 'bool'), x, zerosLike(x));
}

/** Numbers of rows in (B · T, …) from numbers of places in (B, N). */
export function flatPlaces(places: Int32Array | Float32Array, count: number, length: number): Tensor1D {
  return tensor1d(
    Int32Array.from(places, (place, i) => Math.floor(i / count) * length + place),
    'int32',
  );
}
