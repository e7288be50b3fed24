/** Constants, sums and multiples, element by element. */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import { elementCount, type OperationCall } from '../operationCall.js';
import { reads, writes } from '../tapeWriter.js';

export function writeConstant({ tape, outputs: [y], attributes }: OperationCall): void {
  tape.put(Opcode.Fill, [writes(y), 1, { float32: Number(attributes.value) }]);
}

export function writeAdd({ tape, inputs: [x, y], outputs: [sum], outputTypes, packed }: OperationCall): void {
  tape.put(Opcode.Add, [reads(x), reads(y), writes(sum), elementCount(packed, outputTypes[0].shape)]);
}

export function writeScale({ tape, inputs: [x], outputs: [y], outputTypes, attributes, packed }: OperationCall): void {
  tape.put(Opcode.Scale, [
    reads(x),
    writes(y),
    elementCount(packed, outputTypes[0].shape),
    { float32: Number(attributes.factor) },
  ]);
}
