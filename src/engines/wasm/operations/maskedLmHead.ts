/** Logits by a matrix product, then a row at a time, then the sum over rows by one thread. */
import { Block, Opcode } from '../../../../assembly/compute/opcodes.js';
import type { OperationCall } from '../operationCall.js';
import { reads, writes } from '../tapeWriter.js';
import { multiplyRows, packTransposed } from './matrix.js';

/** Bytes of the noise that lmHead.ts draws at a time, and a Philox block of 32 words more at either end. */
const noiseBytes = (Block.Noise + 64) * 4;

export function writeMaskedLmHead({ tape, inputTypes, inputs, outputs, attributes }: OperationCall): void {
  const [hidden, table, bias, targets, counts, denominators, draw] = inputs;
  const [loss, sampled, logits, logSumExp, hits] = outputs;
  const [batchRows, places, depth] = inputTypes[0].shape;
  const rows = batchRows * places;
  const columns = inputTypes[1].shape[0];
  multiplyRows(
    tape,
    { rows, columns, depth },
    { a: hidden, panels: packTransposed(tape, table, columns, depth), c: logits, start: { place: bias, stride: 0 } },
  );
  const records = tape.temporary(rows * 16);
  tape.needScratch(noiseBytes);
  tape.put(Opcode.LmHeadRows, [
    ...[logits, targets, counts, draw].map(reads),
    ...[sampled, logSumExp, records].map(writes),
    rows,
    places,
    columns,
    Number(attributes.stream),
    attributes.sample ? 1 : 0,
    attributes.disallowCorrect ? 1 : 0,
    { float32: 1 / Number(attributes.temperature) },
  ]);
  tape.put(Opcode.LmHeadSum, [reads(records), reads(denominators), rows, writes(loss), writes(hits)], 'sole');
}

export function writeMaskedLmHeadGradient({ tape, inputTypes, inputs, outputs: [dLogits] }: OperationCall): void {
  const [rows, places, pieces] = inputTypes[0].shape;
  tape.put(Opcode.LmHeadGradient, [...inputs.map(reads), writes(dLogits), rows * places, places, pieces]);
}
