/** Other ids at some places: where each place's id comes from is found on the host, the ids stay where they are. */
import { cast, gather, notEqual, reshape, type Tensor, tensor, where } from '@tensorflow/tfjs-core';
import type { OperationCall } from '../operationCall.js';

export function replace({ inputs: [ids, , values], inputTypes, host }: OperationCall): Tensor[] {
  const { shape } = inputTypes[0];
  const [rows, length] = shape;
  const most = inputTypes[1].shape[1];
  const places = host(1);
  const counts = host(3);
  const isReplaced = new Uint8Array(rows * length);
  const from = new Int32Array(rows * length);
  for (let row = 0; row < rows; row++) {
    // In order, so that the last of equal places stands.
    for (let n = row * most; n < row * most + counts[row]; n++) {
      const at = row * length + places[n];
      isReplaced[at] = 1;
      from[at] = n;
    }
  }
  const others = gather(reshape(values, [-1]), tensor(from, [rows, length], 'int32'));
  const replaced = where(tensor(isReplaced, [rows, length], 'bool'), others, ids);
  return [replaced, cast(notEqual(replaced, ids), 'int32')];
}
