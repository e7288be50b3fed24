/** A term a row, and their mean by one thread; the gradient row by row. */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import { firstsOf, type OperationCall } from '../operationCall.js';
import { type Argument, reads, writes } from '../tapeWriter.js';

export function writeSoftmaxCrossEntropy(call: OperationCall): void {
  const { tape, inputs, outputs } = call;
  const [logits, labels, lengths, allowed, weights, denominator] = inputs;
  const [loss, logSumExp] = outputs;
  const [rows] = call.inputTypes[0].shape;
  const terms = tape.temporary(rows * 8);
  tape.put(Opcode.SoftmaxTerms, [
    ...[logits, labels, lengths, allowed, weights].map(reads),
    ...[logSumExp, terms].map(writes),
    ...extentsOf(call),
  ]);
  tape.put(Opcode.MeanOfTerms, [reads(terms), reads(denominator), rows, writes(loss)], 'sole');
}

export function writeSoftmaxCrossEntropyGradient(call: OperationCall): void {
  const { tape, inputs, outputs } = call;
  tape.put(Opcode.SoftmaxGradient, [...inputs.map(reads), ...outputs.map(writes), ...extentsOf(call)]);
}

/** Rows, columns, segments a row, and where the rows of the logits begin. */
function extentsOf({ inputTypes: [logits, , lengths], packed }: OperationCall): Argument[] {
  return [logits.shape[0], logits.shape[1], lengths?.shape[1] ?? 0, firstsOf(packed)];
}
