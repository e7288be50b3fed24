/** The three products of a linear layer and the sum for its bias. */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import type { Activation } from '../../../ops/activation.js';
import { lastOf, rowsOf } from '../../../ops/operation.js';
import { type OperationCall, rowCount, rowSums } from '../operationCall.js';
import { absent, type Place, reads, writes } from '../tapeWriter.js';
import { multiplyColumns, multiplyRows, type ProductStart, packRows, packTransposed, startAtZero } from './matrix.js';

export function writeLinear({ tape, inputTypes, inputs, outputs, attributes, packed }: OperationCall): void {
  const [columns, depth] = inputTypes[1].shape;
  const [x, weight, bias] = inputs;
  const activation = attributes.activation as Activation;
  // With an activation the product is the second output, and the first is made from it tile by tile.
  const c = activation === 'none' ? outputs[0] : outputs[1];
  multiplyRows(
    tape,
    { rows: rowsOf(inputTypes[0].shape), columns, depth, packedRows: packed },
    { a: x, panels: packTransposed(tape, weight, columns, depth), c, start: { place: bias ?? absent, stride: 0 } },
    activation,
    activation === 'none' ? absent : outputs[0],
  );
}

export function writeLinearInputGradient({ tape, inputTypes, inputs, outputs: [dx], packed }: OperationCall): void {
  const [depth, columns] = inputTypes[1].shape;
  const [dy, weight, previous] = inputs;
  multiplyRows(
    tape,
    { rows: rowsOf(inputTypes[0].shape), columns, depth, packedRows: packed },
    { a: dy, panels: packRows(tape, weight, depth, columns), c: dx, start: startAt(previous, columns) },
  );
}

export function writeLinearWeightGradient({
  tape,
  inputTypes,
  inputs,
  outputs: [dWeight],
  packed,
}: OperationCall): void {
  const rows = lastOf(inputTypes[0].shape);
  const columns = lastOf(inputTypes[1].shape);
  const depth = rowsOf(inputTypes[0].shape);
  const [dy, x, previous] = inputs;
  multiplyColumns(
    tape,
    { rows, columns, depth, packedDepth: packed },
    { a: dy, panels: packRows(tape, x, depth, columns, packed), c: dWeight, start: startAt(previous, columns) },
  );
}

function startAt(previous: Place | undefined, stride: number): ProductStart {
  return previous && previous.bytes > 0 ? { place: previous, stride } : startAtZero;
}

export function writeBiasGradient({ tape, inputTypes, inputs, outputs: [dBias], packed }: OperationCall): void {
  const { shape } = inputTypes[0];
  const [dy, previous] = inputs;
  tape.put(Opcode.BiasGradient, [
    reads(dy),
    reads(previous ?? absent),
    writes(dBias),
    rowCount(packed, shape),
    lastOf(shape),
    ...rowSums(tape, shape, 1),
  ]);
}
