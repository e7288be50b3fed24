/**
 * Attention and its gradient: one entry each, a (row, head) at a time. Sets aside the scratch that
 * assembly/compute/attention.ts draws up.
 */
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import { firstsOf, type OperationCall } from '../operationCall.js';
import { type Argument, reads, writes } from '../tapeWriter.js';
import { dropoutArguments } from './dropout.js';

export function writeAttention({ tape, inputTypes, inputs, outputs, attributes, packed }: OperationCall): void {
  const [q, k, v, lengths, draw] = inputs;
  const shape = shapeOf(inputTypes[0].shape, Number(attributes.heads));
  const { places, paddedPlaces, headWidth, paddedWidth } = shape;
  const band = 4 * Math.max(paddedPlaces, headWidth);
  tape.needScratch(4 * (paddedPlaces * (headWidth + 4) + places * paddedWidth + band));
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
  const { places, paddedPlaces, headWidth, paddedWidth } = shape;
  const band = 4 * Math.max(paddedPlaces, headWidth);
  tape.needScratch(4 * (paddedPlaces * (2 * headWidth + 2 * places + 10) + 3 * places * paddedWidth + band));
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
  /** Places rounded up to a panel of eight. */
  readonly paddedPlaces: number;
  readonly heads: number;
  readonly headWidth: number;
  readonly paddedWidth: number;
}

function shapeOf([rows, places, width]: readonly number[], heads: number): HeadShape {
  const roundUp = (count: number) => Math.ceil(count / 8) * 8;
  const headWidth = width / heads;
  return { rows, places, paddedPlaces: roundUp(places), heads, headWidth, paddedWidth: roundUp(headWidth) };
}

function sizesOf({ rows, places, heads, headWidth }: HeadShape, segments: number): Argument[] {
  return [rows, places, segments, heads, headWidth];
}
