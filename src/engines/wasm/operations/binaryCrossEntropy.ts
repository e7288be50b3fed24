/** The loss as partial sums a row and their sum by one thread; the gradient row by row. */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import { firstsOf, type OperationCall } from '../operationCall.js';
import { reads, writes } from '../tapeWriter.js';

export function writeBinaryCrossEntropy({ tape, inputTypes, inputs, outputs, packed }: OperationCall): void {
  const [loss, hits] = outputs;
  const [logits, labels, lengths, denominators] = inputs;
  const [rows, places] = inputTypes[1].shape;
  const records = tape.temporary(rows * 32);
  tape.put(Opcode.BinaryCrossEntropyRows, [
    ...[logits, labels, lengths].map(reads),
    writes(records),
    rows,
    places,
    inputTypes[2].shape[1],
    firstsOf(packed),
  ]);
  tape.put(
    Opcode.BinaryCrossEntropySum,
    [reads(records), reads(denominators), rows, writes(loss), writes(hits)],
    'sole',
  );
}

export function writeBinaryCrossEntropyGradient({ tape, inputTypes, inputs, outputs, packed }: OperationCall): void {
  const [rows, places] = inputTypes[1].shape;
  tape.put(Opcode.BinaryCrossEntropyGradient, [
    ...inputs.map(reads),
    ...outputs.map(writes),
    rows,
    places,
    inputTypes[2].shape[1],
    firstsOf(packed),
  ]);
}
