/** How a matrix product is cut and packed: what the writers of linear layers and of the output layer share. */
import { Block, Opcode } from '../../../../assembly/compute/opcodes.js';
import type { TensorPlace } from '../operationCall.js';
import type { PackedRows } from '../packing.js';
import { type Argument, absent, type Place, reads, type TapeWriter, updates, writes } from '../tapeWriter.js';

/** C (rows, columns) with a sum over `depth`. */
export interface ProductShape {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Where as many rows, or steps of the sum, are there as a batch has real ones; the number above is the most. */
  readonly packedRows?: PackedRows;
  readonly packedDepth?: PackedRows;
}

/** Where a product begins: zero, one row for all, or a matrix like the result. */
export interface ProductStart {
  readonly place: Place;
  readonly stride: number;
}

export const startAtZero: ProductStart = { place: absent, stride: 0 };

export const activationNumbers = { none: 0, gelu: 1, tanh: 2 } as const;

/** Rows and columns of a tile that keep its operands in the second cache. */
const mostTileRows = 64;
const mostTileColumns = 256;
/** A cache line of floats: less would be loaded twice. */
const leastTile = 16;
/** Tiles that a product is cut into where it is large enough, so that a team of any usual size is busy. */
const wantedTiles = 8;

/** By shape alone: the same for any number of threads. */
export function tileOf({ rows, columns }: ProductShape): { tileRows: number; tileColumns: number } {
  let tileRows = mostTileRows;
  let tileColumns = Math.min(mostTileColumns, Math.ceil(columns / 8) * 8);
  const tiles = () => Math.ceil(rows / tileRows) * Math.ceil(columns / tileColumns);
  while (tiles() < wantedTiles && tileRows > leastTile) tileRows /= 2;
  while (tiles() < wantedTiles && tileColumns > leastTile) tileColumns = Math.ceil(tileColumns / 16) * 8;
  return { tileRows, tileColumns };
}

function panelBytes(columns: number, depth: number): number {
  return Math.ceil(columns / 8) * depth * 32;
}

/** w (columns, depth) as panels of its transpose. */
export function packTransposed(tape: TapeWriter, w: TensorPlace, columns: number, depth: number): Place {
  return tape.once(`transposed ${w.tensor} ${columns} ${depth}`, panelBytes(columns, depth), (panels) =>
    tape.put(Opcode.PackTransposed, [reads(w), writes(panels), columns, depth, depth]),
  );
}

/** w (depth, columns) as panels; of a packed w, its real rows. */
export function packRows(tape: TapeWriter, w: TensorPlace, depth: number, columns: number, packed?: PackedRows): Place {
  return tape.once(`rows ${w.tensor} ${depth} ${columns}`, panelBytes(columns, depth), (panels) =>
    tape.put(Opcode.PackRows, [reads(w), writes(panels), countOf(depth, packed), columns, columns]),
  );
}

/** c = start + a · panels, a (rows, depth); y = activation(c) where there is one. */
export function multiplyRows(
  tape: TapeWriter,
  shape: ProductShape,
  operands: { a: Place; panels: Place; c: Place; start: ProductStart },
  activation: keyof typeof activationNumbers = 'none',
  y: Place = absent,
): void {
  put(tape, Opcode.MultiplyRows, shape, shape.depth, operands, activation, y);
}

/** c = start + aᵀ · panels, a (depth, rows). */
export function multiplyColumns(
  tape: TapeWriter,
  shape: ProductShape,
  operands: { a: Place; panels: Place; c: Place; start: ProductStart },
): void {
  put(tape, Opcode.MultiplyColumns, shape, shape.rows, operands, 'none', absent);
}

function countOf(most: number, packed: PackedRows | undefined): Argument {
  return packed ? { packed, times: 1 } : most;
}

function put(
  tape: TapeWriter,
  opcode: Opcode,
  shape: ProductShape,
  aStride: number,
  { a, panels, c, start }: { a: Place; panels: Place; c: Place; start: ProductStart },
  activation: keyof typeof activationNumbers,
  y: Place,
): void {
  const { tileRows, tileColumns } = tileOf(shape);
  tape.needScratch(tileRows * Math.min(Block.Depth, shape.depth) * 4);
  tape.put(opcode, [
    reads(a),
    aStride,
    reads(panels),
    updates(c),
    reads(start.place),
    start.stride,
    countOf(shape.rows, shape.packedRows),
    shape.columns,
    countOf(shape.depth, shape.packedDepth),
    tileRows,
    tileColumns,
    activationNumbers[activation],
    writes(y),
  ]);
}
