/** Rows of a text column, as bytes in a buffer, become texts of bounded size: each row is a record, its text followed by LF. */
import type { Refuse, Texts } from './texts.js';

/** Some rows of a column in order. The text of row r is `bytes` from `begins[r]` to `ends[r]`. */
export interface Rows {
  bytes: Uint8Array;
  /** `isNull` where there is no text. */
  begins: Uint32Array;
  ends: Uint32Array;
}

export const isNull = 0xffffffff;

/** Texts are of this size at most, or of one row. */
const textBytes = 4 << 20;
const newline = 0x0a;
/** Below it a loop copies faster than a call. */
const shortBytes = 24;

export class RowPacker {
  private buffer = new Uint8Array(0);

  constructor(
    private readonly column: string,
    private readonly refuse: Refuse,
  ) {}

  /** @param firstRow number of the first of the rows, in the file. */
  *pack(rows: Rows, firstRow: number): Generator<Texts> {
    const { begins, ends } = rows;
    for (let row = 0; row < begins.length; ) {
      const first = row;
      let bytes = 0;
      for (; row < begins.length; row++) {
        const needed = begins[row] === isNull ? 0 : ends[row] - begins[row] + 1;
        if (bytes > 0 && bytes + needed > textBytes) break;
        bytes += needed;
      }
      const texts = this.join(rows, first, row, bytes, firstRow);
      if (texts.bytes.length > 0) yield texts;
    }
  }

  private join(
    { bytes, begins, ends }: Rows,
    first: number,
    end: number,
    joinedBytes: number,
    firstRow: number,
  ): Texts {
    if (this.buffer.length < joinedBytes) this.buffer = new Uint8Array(Math.max(joinedBytes, 1 << 16));
    const { buffer } = this;
    const recordLines = new Uint32Array(end - first);
    let records = 0;
    let at = 0;
    for (let row = first; row < end; row++) {
      if (begins[row] === isNull) {
        this.refuse(`row ${firstRow + row}`, { expected: `a string in "${this.column}"`, got: 'null' });
        continue;
      }
      const begin = at;
      at += copy(bytes, begins[row], ends[row], buffer, at);
      buffer[at++] = newline;
      recordLines[records++] = countNewlines(buffer, begin, at);
    }
    return { bytes: buffer.subarray(0, at), recordLines: recordLines.subarray(0, records) };
  }
}

function copy(from: Uint8Array, begin: number, end: number, to: Uint8Array, at: number): number {
  const length = end - begin;
  if (length > shortBytes) to.set(from.subarray(begin, end), at);
  else for (let i = 0; i < length; i++) to[at + i] = from[begin + i];
  return length;
}

function countNewlines(bytes: Uint8Array, begin: number, end: number): number {
  let count = 0;
  for (let at = begin; at < end; at++) if (bytes[at] === newline) count++;
  return count;
}
