/**
 * The walls of a batch: `lengths (B, S)` cuts each row into segments from the left, 0 for no segment; what lies behind
 * the last one is padding. A token attends only to its own segment, positions restart in each, and token type 1 begins
 * at `seconds (B, S)` inside the segment.
 *
 * Results do not depend on padding. What a value that has something for every place holds there is the engine's affair
 * (the references compute it, the wasm engine leaves it out and gives zeros as outputs of a program), and gradients are
 * zero there: losses read real places alone, and places that a batch asks for are real or beyond its counts.
 */
import { expectType, int32, type TensorType, type Values } from './operation.js';

export interface Segment {
  readonly row: number;
  /** First place of the segment in its row. */
  readonly start: number;
  readonly length: number;
  /** Place inside the segment where token type 1 begins; `length` when nowhere. */
  readonly second: number;
}

/** Every segment that has places, row by row. */
export function* segmentsOf(lengths: Values, seconds: Values | undefined, segmentsARow: number): Generator<Segment> {
  for (let row = 0; row < lengths.length / segmentsARow; row++) {
    let start = 0;
    for (let s = 0; s < segmentsARow; s++) {
      const length = lengths[row * segmentsARow + s];
      if (length > 0) yield { row, start, length, second: seconds?.[row * segmentsARow + s] ?? length };
      start += length;
    }
  }
}

export function expectSegments(operation: string, input: string, actual: TensorType, rows: number): void {
  expectType(operation, input, actual, int32(rows, -1));
}
