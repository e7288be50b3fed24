/** Other ids at some places, row by row. */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import type { OperationCall } from '../operationCall.js';
import { reads, writes } from '../tapeWriter.js';

export function writeReplace({ tape, inputTypes, inputs, outputs }: OperationCall): void {
  const [rows, length] = inputTypes[0].shape;
  tape.put(Opcode.Replace, [...inputs.map(reads), ...outputs.map(writes), rows, length, inputTypes[1].shape[1]]);
}
