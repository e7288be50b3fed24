/** Look-ups of three tables; the gradient begins with what was there, or zeros, and adds in the order of tokens. */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import { sizeOf } from '../../../ops/operation.js';
import { copy, firstsOf, type OperationCall } from '../operationCall.js';
import { reads, updates, writes } from '../tapeWriter.js';

export function writeEmbed({ tape, inputTypes, inputs, outputs: [sum], outputTypes, packed }: OperationCall): void {
  const [rows, places, width] = outputTypes[0].shape;
  const segments = inputTypes[1].shape[1];
  tape.put(Opcode.Embed, [...inputs.map(reads), writes(sum), rows, places, segments, width, firstsOf(packed)]);
}

export function writeEmbedGradient({ tape, inputTypes, inputs, outputs, outputTypes, packed }: OperationCall): void {
  const [rows, places, width] = inputTypes[3].shape;
  for (const [i, table] of outputs.entries()) {
    const previous = inputs[4 + i];
    if (!previous || previous.bytes === 0) {
      tape.put(Opcode.Fill, [writes(table), sizeOf(outputTypes[i].shape), { float32: 0 }]);
    } else if (previous.address !== table.address) {
      copy(tape, previous, table);
    }
  }
  tape.put(Opcode.EmbedGradient, [
    ...inputs.slice(0, 4).map(reads),
    ...outputs.map(updates),
    rows,
    places,
    inputTypes[1].shape[1],
    width,
    firstsOf(packed),
  ]);
}
