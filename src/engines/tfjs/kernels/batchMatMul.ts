/** tfjs's BatchMatMul in all four forms: one packing and one product a matrix, by the microkernels of the wasm engine. */
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { BatchMatMul, broadcast_util, type TensorInfo, util } from '@tensorflow/tfjs-core';
import { sizeOf } from '../../../ops/operation.js';
import type { TensorPlace } from '../../wasm/operationCall.js';
import { multiplyColumns, multiplyRows, packRows, packTransposed, startAtZero } from '../../wasm/operations/matrix.js';
import type { Kernel } from './kernel.js';
import type { TapeRunner } from './tapeRunner.js';

/** One matrix may stand for a whole batch on either side; batches are broadcast in no other way. */
export function batchMatMul(runner: TapeRunner, backend: BackendWasm): Kernel {
  return {
    kernelName: BatchMatMul,
    kernelFunc({ inputs, attrs }) {
      const { a, b } = inputs as { a: TensorInfo; b: TensorInfo };
      const { transposeA, transposeB } = attrs as { transposeA: boolean; transposeB: boolean };
      const [aRows, aColumns] = a.shape.slice(-2);
      const [bRows, bColumns] = b.shape.slice(-2);
      const [rows, depth] = transposeA ? [aColumns, aRows] : [aRows, aColumns];
      const columns = transposeB ? bRows : bColumns;
      const batch = broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
      const count = sizeOf(batch);
      const factorsA = matricesOf(runner.place(a), aRows * aColumns, count);
      const factorsB = matricesOf(runner.place(b), bRows * bColumns, count);
      const c = backend.makeOutput([...batch, rows, columns], 'float32');
      const products = matricesOf(runner.place(c), rows * columns, count);
      const shape = { rows, columns, depth };
      runner.run([c], (tape) => {
        for (let i = 0; i < count; i++) {
          const panels = transposeB
            ? packTransposed(tape, factorsB[i], columns, depth)
            : packRows(tape, factorsB[i], depth, columns);
          const operands = { a: factorsA[i], panels, c: products[i], start: startAtZero };
          if (transposeA) multiplyColumns(tape, shape, operands);
          else multiplyRows(tape, shape, operands);
        }
      });
      return c;
    },
  };
}

/** The matrices of a batch; the same one for all where there is one. Numbered, so that a factor is packed once. */
function matricesOf({ address, bytes }: TensorPlace, size: number, count: number): TensorPlace[] {
  const isOne = bytes === 4 * size;
  util.assert(isOne || bytes === 4 * size * count, () => `BatchMatMul: expected 1 or ${count} matrices in a batch`);
  return Array.from({ length: count }, (_, i) => {
    const tensor = isOne ? 0 : i;
    return { address: address + 4 * size * tensor, bytes: 4 * size, tensor };
  });
}
