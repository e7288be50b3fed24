/** Rows and ids at places, and rows added back to them. */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import { firstsOf, type OperationCall } from '../operationCall.js';
import { absent, reads, writes } from '../tapeWriter.js';

export function writeGatherRows(call: OperationCall): void {
  gather(call, call.inputTypes[0].shape[2]);
}

/** An id is a row of width one: what a row holds does not matter to a copy. */
export function writeGatherIds(call: OperationCall): void {
  gather(call, 1);
}

function gather({ tape, inputTypes, inputs, outputs, packed }: OperationCall, width: number): void {
  const [rows, count] = inputTypes[1].shape;
  tape.put(Opcode.GatherRows, [
    ...inputs.map(reads),
    ...outputs.map(writes),
    rows,
    inputTypes[0].shape[1],
    count,
    width,
    firstsOf(packed),
  ]);
}

export function writeScatterRows({
  tape,
  inputTypes,
  inputs,
  outputs: [dx],
  outputTypes,
  packed,
}: OperationCall): void {
  const [rows, length, width] = outputTypes[0].shape;
  const [dy, places, previous] = inputs;
  tape.put(Opcode.ScatterRows, [
    reads(dy),
    reads(places),
    reads(previous ?? absent),
    writes(dx),
    rows,
    length,
    inputTypes[0].shape[1],
    width,
    firstsOf(packed),
  ]);
}
