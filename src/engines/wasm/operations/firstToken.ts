/** The first token of each row, and its gradient in a tensor of zeros or of what was there. */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import { firstsOf, type OperationCall } from '../operationCall.js';
import { reads, writes } from '../tapeWriter.js';

export function writeFirstToken({ tape, inputTypes, inputs, outputs, packed }: OperationCall): void {
  const [rows, places, width] = inputTypes[0].shape;
  const extents = [rows, inputTypes[1].shape[1], places, width, firstsOf(packed)];
  tape.put(Opcode.FirstToken, [...inputs.map(reads), ...outputs.map(writes), ...extents]);
}

export function writeFirstTokenGradient({
  tape,
  inputTypes,
  inputs,
  outputs,
  outputTypes,
  packed,
}: OperationCall): void {
  const [rows, places, width] = outputTypes[0].shape;
  const extents = [rows, inputTypes[1].shape[1], places, width, firstsOf(packed)];
  tape.put(Opcode.FirstTokenGradient, [...inputs.map(reads), ...outputs.map(writes), ...extents]);
}
