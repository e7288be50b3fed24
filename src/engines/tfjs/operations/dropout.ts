/** Dropout by itself. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { drop } from '../draws.js';
import type { OperationCall } from '../operationCall.js';

export function dropout({ inputs: [x], inputTypes: [{ shape }], attributes, host }: OperationCall): Tensor[] {
  return [drop(x, shape, attributes, host(1) as Int32Array)];
}
