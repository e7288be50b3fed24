/**
 * Attention and its gradient: one entry each, a (row, head) at a time. Sets aside the scratch that
 * assembly/compute/attention.ts draws up.
 */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import { firstsOf, type OperationCall, roundUp } from '../operationCall.js';
import { type Argument, reads, writes } from '../tapeWriter.js';
import { dropoutArguments } from './dropout.js';

export function writeAttention({ tape, inputTypes, inputs, outputs, attributes, packed }: OperationCall): void {
  const [q, k, v, lengths, draw] = inputs;
  const shape = shapeOf(inputTypes[0].shape, Number(attributes.heads));
  const { places, headWidth } = shape;
  const [places8, width8] = [roundUp(places, 8), roundUp(headWidth, 8)];
  const decisions = places8 / 2 + 64;
  tape.needScratch(4 * (places8 * headWidth + places * width8 + 6 * places8 + 48 + decisions));
  tape.put(Opcode.Attention, [
    ...[q, k, v].map(reads),
    ...outputs.map(writes),
    reads(lengths),
    reads(draw),
    ...sizesOf(shape, inputTypes[3].shape[1]),
    ...dropoutArguments(attributes),
    { float32: 1 / Math.sqrt(headWidth) },
    firstsOf(packed),
  ]);
}

export function writeAttentionGradient({ tape, inputTypes, inputs, outputs, attributes, packed }: OperationCall): void {
  const [q, k, v, context, logSumExp, lengths, draw, dContext] = inputs;
  const shape = shapeOf(inputTypes[0].shape, Number(attributes.heads));
  const { places, headWidth } = shape;
  const [places8, width8] = [roundUp(places, 8), roundUp(headWidth, 8)];
  const decisions = places8 / 2 + 64;
  const width6 = roundUp(headWidth, 6);
  const heads = 2 * places8 * headWidth + places * (width8 + 2 * width6);
  const scores = 2 * places8 * (places | 1) + 12 * places8;
  tape.needScratch(4 * (heads + scores + 16 * width6 + 48 + decisions));
  tape.put(Opcode.AttentionGradient, [
    ...[q, k, v, context, logSumExp, lengths, draw].map(reads),
    ...sizesOf(shape, inputTypes[5].shape[1]),
    ...dropoutArguments(attributes),
    { float32: 1 / Math.sqrt(headWidth) },
    firstsOf(packed),
    reads(dContext),
    ...outputs.map(writes),
  ]);
}

interface HeadShape {
  readonly rows: number;
  readonly places: number;
  readonly heads: number;
  readonly headWidth: number;
}

function shapeOf([rows, places, width]: readonly number[], heads: number): HeadShape {
  return { rows, places, heads, headWidth: width / heads };
}

function sizesOf({ rows, places, heads, headWidth }: HeadShape, segments: number): Argument[] {
  return [rows, places, segments, heads, headWidth];
}
