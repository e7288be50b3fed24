/** Rows and ids at places, and rows added back to them. */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import type { OperationCall } from '../operationCall.js';
import { absent, reads, writes } from '../tapeWriter.js';

export function writeGatherRows({ tape, inputTypes, inputs, outputs: [gathered], outputTypes }: OperationCall): void {
  const [rows, count, width] = outputTypes[0].shape;
  tape.put(Opcode.GatherRows, [...inputs.map(reads), writes(gathered), rows, inputTypes[0].shape[1], count, width]);
}

/** An id is a row of width one: what a row holds does not matter to a copy. */
export function writeGatherIds({ tape, inputTypes, inputs, outputs: [gathered], outputTypes }: OperationCall): void {
  const [rows, count] = outputTypes[0].shape;
  tape.put(Opcode.GatherRows, [...inputs.map(reads), writes(gathered), rows, inputTypes[0].shape[1], count, 1]);
}

export function writeScatterRows({ tape, inputTypes, inputs, outputs: [dx], outputTypes }: OperationCall): void {
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
  ]);
}
