/** A term a row, and their mean by one thread; the gradient row by row. */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import type { OperationCall } from '../operationCall.js';
import { reads, writes } from '../tapeWriter.js';

export function writeMeanSquaredError({ tape, inputTypes, inputs, outputs: [loss] }: OperationCall): void {
  const [predictions, targets, weights, denominator] = inputs;
  const [rows] = inputTypes[0].shape;
  const terms = tape.temporary(rows * 8);
  tape.put(Opcode.SquaredTerms, [...[predictions, targets, weights].map(reads), writes(terms), rows]);
  tape.put(Opcode.MeanOfTerms, [reads(terms), reads(denominator), rows, writes(loss)], 'sole');
}

export function writeMeanSquaredErrorGradient({ tape, inputTypes, inputs, outputs }: OperationCall): void {
  tape.put(Opcode.SquaredGradient, [...inputs.map(reads), ...outputs.map(writes), inputTypes[0].shape[0]]);
}
