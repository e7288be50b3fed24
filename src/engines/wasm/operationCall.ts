/** What the functions of operations/ are handed: one operation of a program, with its tensors' places in memory. */
import { Block, Opcode } from '../../../assembly/compute/opcodes.js';
import { type Attributes, lastOf, rowsOf, type Shape, sizeOf, type TensorType } from '../../ops/operation.js';
import type { PackedRows } from './packing.js';
import { type Argument, absent, type Place, reads, type TapeWriter, writes } from './tapeWriter.js';

/** A tensor in memory; its number names its contents, which never change (SSA). */
export interface TensorPlace extends Place {
  readonly tensor: number;
}

/** One operation, as the functions that write it see it. */
export interface OperationCall {
  readonly tape: TapeWriter;
  readonly inputTypes: readonly TensorType[];
  readonly outputTypes: readonly TensorType[];
  readonly attributes: Attributes;
  /** Where an input lies; `absent` for one that is not there. */
  readonly inputs: readonly TensorPlace[];
  readonly outputs: readonly TensorPlace[];
  /** Where padding is not computed: of all that packing.ts names of this operation. */
  readonly packed?: PackedRows;
}

export type OperationWriter = (call: OperationCall) => void;

/** The next multiple of `to`. */
export function roundUp(count: number, to: number): number {
  return Math.ceil(count / to) * to;
}

/** Rows of a tensor, all axes but the last folded into one: those that are real where it is packed. */
export function rowCount(packed: PackedRows | undefined, shape: Shape): Argument {
  return packed ? { packed, times: 1 } : rowsOf(shape);
}

export function elementCount(packed: PackedRows | undefined, shape: Shape): Argument {
  return packed ? { packed, times: sizeOf(shape) / (packed.packing.rows * packed.packing.places) } : sizeOf(shape);
}

/** Where each row of the batch begins among packed rows, for kernels that take it or 0. */
export function firstsOf(packed: PackedRows | undefined): Argument {
  return reads(packed?.firsts ?? absent);
}

/** Where each packed row stands in the batch, for kernels that take it or 0. */
export function originsOf(packed: PackedRows | undefined): Argument {
  return reads(packed?.origins ?? absent);
}

/** What kernels are told that sum over rows: where a partial sum of each block of rows stands, and how many are done. */
export function rowSums(tape: TapeWriter, shape: Shape, sums: number): Argument[] {
  const blocks = Math.max(1, Math.ceil(rowsOf(shape) / Block.Rows));
  return [writes(tape.temporary(4 * sums * blocks * lastOf(shape))), 0];
}

/** What several operations come to when nothing is to be computed. */
export function copy(tape: TapeWriter, from: Place, to: Place): void {
  tape.put(Opcode.Copy, [reads(from), writes(to), from.bytes / 4]);
}
