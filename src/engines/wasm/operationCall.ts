/** What the functions of operations/ are handed: one operation of a program, with its tensors' places in memory. */
import { Opcode } from '../../../assembly/compute/opcodes.js';
import type { Attributes, TensorType } from '../../ops/operation.js';
import { type Place, reads, type TapeWriter, writes } from './tapeWriter.js';

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
}

export type OperationWriter = (call: OperationCall) => void;

/** What several operations come to when nothing is to be computed. */
export function copy(tape: TapeWriter, from: Place, to: Place): void {
  tape.put(Opcode.Copy, [reads(from), writes(to), from.bytes / 4]);
}
