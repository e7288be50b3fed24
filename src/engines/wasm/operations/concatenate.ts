/** Columns copied row by row, input after input; and copied out again. */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import { lastOf } from '../../../ops/operation.js';
import { type OperationCall, rowCount } from '../operationCall.js';
import { reads, writes } from '../tapeWriter.js';

export function writeConcatenate({ tape, inputTypes, inputs, outputs: [y], outputTypes, packed }: OperationCall): void {
  const [{ shape }] = outputTypes;
  let first = 0;
  for (const [i, part] of inputs.entries()) {
    const width = lastOf(inputTypes[i].shape);
    const extents = [rowCount(packed, shape), width, width, 0, lastOf(shape), first];
    tape.put(Opcode.CopyColumns, [reads(part), writes(y), ...extents]);
    first += width;
  }
}

export function writeConcatenateGradient(call: OperationCall): void {
  const { tape, inputTypes, inputs, outputs, attributes, packed } = call;
  const [{ shape }] = inputTypes;
  const width = Number(attributes.width);
  const extents = [rowCount(packed, shape), width, lastOf(shape), Number(attributes.from), width, 0];
  tape.put(Opcode.CopyColumns, [...inputs.map(reads), ...outputs.map(writes), ...extents]);
}
