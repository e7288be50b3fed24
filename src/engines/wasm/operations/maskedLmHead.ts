/** The output layer by blocks of the vocabulary, then by places, then as a sum; its gradient by slices, and the sum of their shares. */
import { LmHead, Opcode } from '../../../../assembly/compute/opcodes.js';
import { type OperationCall, roundUp } from '../operationCall.js';
import { absent, reads, updates, writes } from '../tapeWriter.js';

/** Bytes of the table's rows in a block, of which the gradient has three: they and the rest of it fit into a second cache. */
const mostBlockBytes = 256 * 1024;
const mostGradientBlockBytes = 112 * 1024;
/** Slices of the vocabulary that the gradient is shared out by, each with a share of dHidden of its own. */
const mostSlices = 24;
/** Bytes of a part and of a record of lmHead.ts. */
const partBytes = 24;
const recordBytes = 16;

/** Ids of a block, three to 512 / step times `step`: by the width of the hidden states alone. */
function blockWidth(depth: number, bytes: number, step: number): number {
  return Math.max(3, Math.min(Math.floor(512 / step), Math.floor(bytes / (depth * 4) / step))) * step;
}

export function writeMaskedLmHead({ tape, inputTypes, inputs, outputs, attributes }: OperationCall): void {
  const [hidden, table, bias, targets, counts, denominators, draw] = inputs;
  const [loss, sampled, logSumExp, hits] = outputs;
  const [batchRows, places, depth] = inputTypes[0].shape;
  const rows = batchRows * places;
  const pieces = inputTypes[1].shape[0];
  const width = blockWidth(depth, mostBlockBytes, 32);
  const blocks = Math.ceil(pieces / width);
  const parts = tape.temporary(rows * blocks * partBytes);
  const atTargets = tape.temporary(rows * 4);
  const records = tape.temporary(rows * recordBytes);
  const isSampled = attributes.sample ? 1 : 0;
  // In floats: list and best scores of places, words, bias, logits, panels, bands.
  tape.needScratch(
    4 *
      (2 * roundUp(rows, 16) +
        (width + LmHead.SpareWords) +
        width * (1 + LmHead.Band + depth) +
        roundUp(rows, LmHead.Band) * depth),
  );
  tape.put(Opcode.LmHeadBlocks, [
    ...[hidden, table, bias, targets, counts, draw].map(reads),
    ...[parts, atTargets].map(writes),
    rows,
    places,
    pieces,
    depth,
    Number(attributes.stream),
    isSampled,
    attributes.disallowCorrect ? 1 : 0,
    { float32: 1 / Number(attributes.temperature) },
    width,
  ]);
  tape.put(Opcode.LmHeadRows, [
    ...[parts, atTargets, targets, counts].map(reads),
    ...[sampled, logSumExp, records].map(writes),
    rows,
    places,
    blocks,
    isSampled,
  ]);
  tape.put(Opcode.LmHeadSum, [reads(records), reads(denominators), rows, writes(loss), writes(hits)], 'sole');
}

export function writeMaskedLmHeadGradient({ tape, inputTypes, inputs, outputs }: OperationCall): void {
  const [, , , , , counts] = inputs;
  const [previousHidden, previousTable, previousBias] = [8, 9, 10].map((i) => inputs[i] ?? absent);
  const [dHidden, dTable, dBias] = outputs;
  const [batchRows, places, depth] = inputTypes[0].shape;
  const rows = batchRows * places;
  const pieces = inputTypes[1].shape[0];
  const width = blockWidth(depth, mostGradientBlockBytes, 24);
  const slices = Math.min(mostSlices, Math.ceil(pieces / width));
  const across = roundUp(depth, 8);
  const shareFloats = roundUp(rows, LmHead.Band) * across;
  const shares = tape.temporary(slices * shareFloats * 4);
  // In floats: list, bias and its gradient, hidden states twice, the table's rows twice and their gradient, logits twice.
  tape.needScratch(4 * (roundUp(rows, 16) + 2 * shareFloats + width * (2 + 3 * across + 2 * LmHead.Chunk)));
  tape.put(Opcode.LmHeadGradient, [
    ...inputs.slice(0, 8).map(reads),
    ...[previousTable, previousBias].map(reads),
    ...[dTable, dBias].map(updates),
    writes(shares),
    rows,
    places,
    pieces,
    depth,
    width,
    slices,
  ]);
  tape.put(Opcode.LmHeadHidden, [
    reads(shares),
    reads(counts),
    reads(previousHidden),
    updates(dHidden),
    rows,
    places,
    depth,
    slices,
  ]);
}
