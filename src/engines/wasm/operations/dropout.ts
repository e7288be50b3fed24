/** Dropout by itself, and the arguments of every kernel that drops. */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import { dropoutThreshold } from '../../../ops/dropout.js';
import { type Attributes, sizeOf } from '../../../ops/operation.js';
import { copy, type OperationCall } from '../operationCall.js';
import { type Argument, reads, writes } from '../tapeWriter.js';

/** What every kernel that drops is told: stream, threshold (0: nothing drops), scale of what stays. */
export function dropoutArguments(attributes: Attributes): Argument[] {
  const threshold = dropoutThreshold(Number(attributes.dropout));
  return [Number(attributes.stream), threshold, { float32: 65536 / (65536 - threshold) }];
}

export function writeDropout({ tape, inputs: [x, draw], outputs: [y], outputTypes, attributes }: OperationCall): void {
  if (dropoutThreshold(Number(attributes.dropout)) === 0) {
    copy(tape, x, y);
    return;
  }
  const { shape } = outputTypes[0];
  const size = sizeOf(shape);
  tape.put(Opcode.Dropout, [reads(x), writes(y), size, size / shape[0], reads(draw), ...dropoutArguments(attributes)]);
}
