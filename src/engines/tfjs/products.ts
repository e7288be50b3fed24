/**
 * Matrix products on whatever backend is active.
 *
 * The wasm backend multiplies plain matrices by XNNPACK and transposed ones by a plain loop: 2048 × 256 × 1024 takes over
 * ten times as long transposed as a transpose and a plain product together (measured, one core). So there, and only
 * there, transposes are made beforehand; batches go through the loop in either form.
 */
import { getBackend, matMul, type Tensor, transpose } from '@tensorflow/tfjs-core';

/** a · b over the last two axes, each read transposed where asked. */
export function product(a: Tensor, b: Tensor, transposed: { a?: boolean; b?: boolean } = {}): Tensor {
  if (getBackend() !== 'wasm' || a.rank > 2) return matMul(a, b, transposed.a, transposed.b);
  return matMul(transposed.a ? transpose(a) : a, transposed.b ? transpose(b) : b);
}
