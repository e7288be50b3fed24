/** Dropout by itself, and the arguments of every kernel that drops. */
import { Block, Opcode } from '../../../../assembly/compute/opcodes.js';
import { dropoutThreshold } from '../../../ops/dropout.js';
import { type Attributes, lastOf, sizeOf } from '../../../ops/operation.js';
import { copy, elementCount, type OperationCall, originsOf } from '../operationCall.js';
import { type Argument, reads, writes } from '../tapeWriter.js';

/** What every kernel that drops is told: stream, threshold (0: nothing drops), scale of what stays. */
export function dropoutArguments(attributes: Attributes): Argument[] {
  const threshold = dropoutThreshold(Number(attributes.dropout));
  return [Number(attributes.stream), threshold, { float32: 65536 / (65536 - threshold) }];
}

/** Bytes of so many decisions in a row, drawn by whole blocks of 64. */
export function decisionBytes(count: number): number {
  return 2 * (count + 126);
}

export function writeDropout({ tape, inputs, outputs: [y], outputTypes, attributes, packed }: OperationCall): void {
  const [x, draw] = inputs;
  if (dropoutThreshold(Number(attributes.dropout)) === 0) {
    copy(tape, x, y);
    return;
  }
  const { shape } = outputTypes[0];
  tape.needScratch(decisionBytes(Block.Decisions));
  tape.put(Opcode.Dropout, [
    reads(x),
    writes(y),
    elementCount(packed, shape),
    sizeOf(shape) / shape[0],
    reads(draw),
    ...dropoutArguments(attributes),
    originsOf(packed),
    lastOf(shape),
  ]);
}
