/**
 * Where every value of a program lives: buffers are shared by liveness, and an operation writes over an input that
 * nobody reads again where its definition allows it and it takes that input once. Inputs and variables have memory of their own.
 *
 * Variables are updated in place where their new value comes from an operation that can (adamW); the others are
 * copied after the last operation. Placement: largest first, at the lowest offset that is free for its whole life.
 */
import { operations } from '../ops/index.js';
import { sizeOf } from '../ops/operation.js';
import { type Operation, type Program, resultsOf } from './program.js';

export interface MemoryPlan {
  /** Bytes of the area that all values share. */
  readonly bytes: number;
  /** Per tensor: byte offset in that area, or −1 for inputs, variables, and values that live in a variable. */
  readonly offsets: readonly number[];
  /** Per tensor: the variable's tensor in whose memory a value lives, or −1. */
  readonly inVariable: readonly number[];
  /** Values to copy into variables after the last operation: [value, variable's tensor]. */
  readonly copies: readonly (readonly [number, number])[];
}

/** Bytes to which every buffer is aligned: a cache line, and four SIMD vectors. */
export const bufferAlignment = 64;

interface Buffer {
  readonly bytes: number;
  readonly firstOperation: number;
  lastOperation: number;
  readonly tensors: number[];
  offset: number;
}

/** Every element of both types takes four bytes. */
export function bytesOf(program: Program, tensor: number): number {
  return 4 * sizeOf(program.tensors[tensor].shape);
}

export function planMemory(program: Program): MemoryPlan {
  const lastReads = findLastReads(program);
  const assignments = Object.values(program.variables).flatMap(({ tensor, assigned }): [number, number][] =>
    assigned === undefined || assigned === tensor ? [] : [[assigned, tensor]],
  );
  const inVariable = new Array<number>(program.tensors.length).fill(-1);
  const bufferOf = new Map<number, Buffer>();
  const buffers: Buffer[] = [];

  for (const [index, operation] of program.operations.entries()) {
    const taken = new Set<number>();
    for (const [position, output] of operation.outputs.entries()) {
      const last = Math.max(index, lastReads.get(output) ?? index);
      const input = findReusable(program, operation, position, index, lastReads, taken);
      if (input !== undefined) taken.add(input);
      if (input !== undefined && program.tensors[input].kind === 'variable') {
        inVariable[output] = input;
        continue;
      }
      const reused = input === undefined ? undefined : bufferOf.get(input);
      if (reused) {
        reused.lastOperation = last;
        reused.tensors.push(output);
        bufferOf.set(output, reused);
        continue;
      }
      const buffer: Buffer = {
        bytes: Math.ceil(bytesOf(program, output) / bufferAlignment) * bufferAlignment,
        firstOperation: index,
        lastOperation: last,
        tensors: [output],
        offset: 0,
      };
      buffers.push(buffer);
      bufferOf.set(output, buffer);
    }
  }

  const bytes = placeBuffers(buffers);
  const offsets = new Array<number>(program.tensors.length).fill(-1);
  for (const buffer of buffers) for (const tensor of buffer.tensors) offsets[tensor] = buffer.offset;
  const copies = assignments.filter(([value, variable]) => inVariable[value] !== variable);
  return { bytes, offsets, inVariable, copies };
}

/** Number of the last operation that reads each tensor; outputs and values of variables are read after the last. */
export function findLastReads(program: Program): Map<number, number> {
  const lastReads = new Map<number, number>();
  for (const [index, { inputs }] of program.operations.entries()) {
    for (const tensor of inputs) lastReads.set(tensor, index);
  }
  const end = program.operations.length;
  for (const tensor of resultsOf(program)) lastReads.set(tensor, end);
  return lastReads;
}

/** The input whose memory this output may take, if any. */
function findReusable(
  program: Program,
  operation: Operation,
  position: number,
  index: number,
  lastReads: Map<number, number>,
  taken: Set<number>,
): number | undefined {
  const output = operation.outputs[position];
  for (const [outputPosition, inputPosition] of operations.get(operation.name)?.inPlace ?? []) {
    const input = operation.inputs[inputPosition] ?? -1;
    if (outputPosition !== position || input < 0 || taken.has(input) || lastReads.get(input) !== index) continue;
    if (bytesOf(program, input) !== bytesOf(program, output)) continue;
    if (operation.inputs.indexOf(input) !== operation.inputs.lastIndexOf(input)) continue;
    const { kind, name } = program.tensors[input];
    if (kind === 'value' || (kind === 'variable' && program.variables[name].assigned === output)) return input;
  }
  return undefined;
}

/** Sets the offset of every buffer; returns the bytes needed for all. */
function placeBuffers(buffers: readonly Buffer[]): number {
  const placed: Buffer[] = [];
  let bytes = 0;
  for (const buffer of [...buffers].sort((a, b) => b.bytes - a.bytes || a.firstOperation - b.firstOperation)) {
    const neighbours = placed
      .filter((other) => other.firstOperation <= buffer.lastOperation && buffer.firstOperation <= other.lastOperation)
      .sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const other of neighbours) {
      if (offset + buffer.bytes <= other.offset) break;
      offset = Math.max(offset, other.offset + other.bytes);
    }
    buffer.offset = offset;
    placed.push(buffer);
    bytes = Math.max(bytes, offset + buffer.bytes);
  }
  return bytes;
}
