/** tfjs's UnsortedSegmentSum, which the backend lacks: rows added, in order, to the rows that their numbers name. */
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { type TensorInfo, UnsortedSegmentSum, util } from '@tensorflow/tfjs-core';
import { float32, int32, sizeOf } from '../../../ops/operation.js';
import { writeScatterRows } from '../../wasm/operations/gatherRows.js';
import type { Kernel } from './kernel.js';
import type { TapeRunner } from './tapeRunner.js';

export function unsortedSegmentSum(runner: TapeRunner, backend: BackendWasm): Kernel {
  return {
    kernelName: UnsortedSegmentSum,
    kernelFunc({ inputs, attrs }) {
      const { x, segmentIds } = inputs as { x: TensorInfo; segmentIds: TensorInfo };
      const { numSegments } = attrs as { numSegments: number };
      // The kernel takes numbers as addresses.
      for (const number of backend.typedArrayFromHeap(segmentIds)) {
        util.assert(
          number >= 0 && number < numSegments,
          () => `UnsortedSegmentSum: expected numbers in [0, ${numSegments}), got ${number}`,
        );
      }
      const rows = sizeOf(segmentIds.shape);
      const width = sizeOf(x.shape) / rows;
      const sum = backend.makeOutput([numSegments, ...x.shape.slice(segmentIds.shape.length)], 'float32');
      runner.run([sum], (tape) =>
        writeScatterRows({
          tape,
          inputTypes: [float32(1, rows, width), int32(1, rows)],
          outputTypes: [float32(1, numSegments, width)],
          attributes: {},
          inputs: [runner.place(x), runner.place(segmentIds)],
          outputs: [runner.place(sum)],
        }),
      );
      return sum;
    },
  };
}
