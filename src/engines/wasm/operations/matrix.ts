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

/** gemm.ts: rows of a band, columns of a panel. */
const band = 6;
const panel = 8;
/** Bytes of a tile's rows, and of its panels, in a block of depth: together they leave room in a second cache of 1 MiB. */
const mostBandBytes = 144 * 1024;
const mostPanelBytes = 512 * 1024;
/** Tiles that a product is cut into where it is large enough, so that threads that do not keep pace share it well. */
const wantedTiles = 24;
/** Least bands and panels of a tile. */
const fewBands = 3;
const fewPanels = 4;

/** How C is cut: into runs of bands times runs of panels. By shape alone: the same for any number of threads. */
export interface Tiling {
  readonly down: number;
  readonly across: number;
}

export function tilingOf({ rows, columns, depth }: ProductShape): Tiling {
  const deep = Math.min(Block.Depth, depth);
  const bands = Math.ceil(rows / band);
  const panels = Math.ceil(columns / panel);
  let down = Math.ceil((bands * band * deep * 4) / mostBandBytes);
  let across = Math.ceil((panels * panel * deep * 4) / mostPanelBytes);
  if (down * across < wantedTiles) {
    down = Math.max(down, Math.min(Math.ceil(bands / fewBands), Math.ceil(wantedTiles / across)));
  }
  if (down * across < wantedTiles) {
    across = Math.max(across, Math.min(Math.ceil(panels / fewPanels), Math.ceil(wantedTiles / down)));
  }
  return { down, across };
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
  const tileRows = Math.ceil(Math.ceil(shape.rows / band) / tilingOf(shape).down) * band;
  tape.needScratch(tileRows * Math.min(Block.Depth, shape.depth) * 4);
  put(tape, Opcode.MultiplyRows, shape, shape.depth, operands, activation, y);
}

/** c = start + aᵀ · panels, a (depth, rows). */
export function multiplyColumns(
  tape: TapeWriter,
  shape: ProductShape,
  operands: { a: Place; panels: Place; c: Place; start: ProductStart },
): void {
  const { rows, depth, packedDepth } = shape;
  // Not kept: a gradient is multiplied this way once.
  const bands = tape.temporary(Math.ceil(rows / band) * band * depth * 4);
  tape.put(Opcode.PackBands, [reads(operands.a), writes(bands), countOf(depth, packedDepth), rows, rows]);
  put(tape, Opcode.MultiplyBands, shape, rows, { ...operands, a: bands }, 'none', absent);
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
  const { down, across } = tilingOf(shape);
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
    down,
    across,
    activationNumbers[activation],
    writes(y),
  ]);
}
