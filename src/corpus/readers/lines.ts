/**
 * Whole lines of text, from a byte range of a file (the partner of ranges.ts: a range owns the lines that begin in it) or
 * from a stream. '\n' ends a line; a '\r' before it is white space to the tokenizer. A line is held as a whole unless it
 * is longer than a limit: then it is passed over, and its length told.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { GalvaniError } from '../../errors.js';
import type { Range } from '../ranges.js';
import { unreadable } from './unreadable.js';

export interface Lines {
  /** Each line whole; the last one may lack its LF. A view, valid until the next lines are asked for. */
  bytes: Uint8Array;
  /** Of the first byte, in the file or the stream. */
  offset: number;
  /** Behind `bytes` stood a line of so many bytes, longer than the limit. */
  overlongBytes?: number;
}

const newline = 0x0a;
/** How much is read at a time to find the end of a line that goes beyond its range. */
const extensionBytes = 1 << 16;
/** A line without white space is one window of the encoder, nine bytes a byte, and wasm has 4 GiB. */
export const mostLineBytes = 256 << 20;
const noBytes = new Uint8Array();

/** A reader with one buffer, which every call overwrites; it grows to the longest range and line met. */
export class LineReader {
  private buffer: Buffer = Buffer.alloc(0);

  constructor(private readonly maxLineBytes = mostLineBytes) {}

  /** @returns all lines that begin in the range, each whole. */
  read(range: Range): Lines {
    const file = openInput(range);
    try {
      return this.readLines(file, range);
    } finally {
      closeSync(file);
    }
  }

  private readLines(file: number, range: Range): Lines {
    // The byte before the range tells whether a line begins right at its start.
    const from = Math.max(0, range.offset - 1);
    const owned = range.offset + range.length - from;
    this.reserve(owned + extensionBytes);
    this.fill(file, range, from, 0, owned);
    const begin = range.offset === 0 ? 0 : this.buffer.subarray(0, owned - 1).indexOf(newline) + 1;
    // No line begins here: the one that covers the range belongs to an earlier range.
    if (begin === 0 && range.offset > 0) return { bytes: noBytes, offset: range.offset };
    const offset = from + begin;
    if (this.buffer[owned - 1] === newline) return { bytes: this.buffer.subarray(begin, owned), offset };
    const { end, overlongBytes } = this.extend(file, range, from, begin, owned);
    return { bytes: this.buffer.subarray(begin, end), offset, overlongBytes };
  }

  /** Read on until the last line ends. @returns where it does in the buffer, or where it begins if it is too long. */
  private extend(
    file: number,
    range: Range,
    from: number,
    begin: number,
    filled: number,
  ): { end: number; overlongBytes?: number } {
    const lastLine = begin + this.buffer.subarray(begin, filled).lastIndexOf(newline) + 1;
    while (from + filled < range.fileBytes) {
      const more = Math.min(extensionBytes, range.fileBytes - from - filled);
      if (filled - lastLine > this.maxLineBytes) {
        const rest = this.passOver(file, range, from + filled, lastLine + extensionBytes);
        return { end: lastLine, overlongBytes: filled - lastLine + rest };
      }
      this.reserve(filled + more);
      this.fill(file, range, from, filled, more);
      const found = this.buffer.subarray(filled, filled + more).indexOf(newline);
      if (found >= 0) return { end: filled + found + 1 };
      filled += more;
    }
    return { end: filled };
  }

  /** The length of a line's rest that begins at `position`; what lies behind `scratch` in the buffer is overwritten. */
  private passOver(file: number, range: Range, position: number, scratch: number): number {
    this.reserve(scratch + extensionBytes);
    for (let passed = 0; ; ) {
      const more = Math.min(extensionBytes, range.fileBytes - position - passed);
      if (more === 0) return passed;
      this.fill(file, range, position + passed - scratch, scratch, more);
      const found = this.buffer.subarray(scratch, scratch + more).indexOf(newline);
      if (found >= 0) return passed + found;
      passed += more;
    }
  }

  /** Read `length` bytes of the file at `from + at` into the buffer at `at`. */
  private fill(file: number, range: Range, from: number, at: number, length: number): void {
    for (let done = 0; done < length; ) {
      const position = from + at + done;
      const bytes = readBytes(file, this.buffer, at + done, length - done, position, range);
      if (bytes === 0) throw changedFile(range, String(position));
      done += bytes;
    }
  }

  private reserve(bytes: number): void {
    if (bytes <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(bytes, 2 * this.buffer.length));
    this.buffer.copy(grown);
    this.buffer = grown;
  }
}

/** The lines of a stream, about `pieceBytes` at a time; memory is a piece and a chunk, or the longest line. */
export async function* cutLines(
  chunks: AsyncIterable<Uint8Array>,
  pieceBytes: number,
  maxLineBytes = mostLineBytes,
): AsyncGenerator<Lines> {
  let buffer: Buffer = Buffer.allocUnsafeSlow(2 * pieceBytes);
  let filled = 0;
  let offset = 0;
  /** Of the line that is being passed over. */
  let overlongBytes: number | undefined;
  for await (let chunk of chunks) {
    if (overlongBytes !== undefined) {
      const found = chunk.indexOf(newline);
      overlongBytes += found < 0 ? chunk.length : found;
      if (found < 0) continue;
      yield { bytes: noBytes, offset, overlongBytes };
      offset += overlongBytes + 1;
      overlongBytes = undefined;
      chunk = chunk.subarray(found + 1);
    }
    if (filled + chunk.length > buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(filled + chunk.length, 2 * buffer.length));
      buffer.copy(grown, 0, 0, filled);
      buffer = grown;
    }
    buffer.set(chunk, filled);
    filled += chunk.length;
    if (filled < pieceBytes) continue;
    const end = buffer.subarray(0, filled).lastIndexOf(newline) + 1;
    if (end > 0) yield { bytes: buffer.subarray(0, end), offset };
    offset += end;
    buffer.copyWithin(0, end, filled);
    filled -= end;
    if (filled <= maxLineBytes) continue;
    overlongBytes = filled;
    filled = 0;
  }
  if (overlongBytes !== undefined) yield { bytes: noBytes, offset, overlongBytes };
  else if (filled > 0) yield { bytes: buffer.subarray(0, filled), offset };
}

function openInput(range: Range): number {
  try {
    return openSync(range.path, 'r');
  } catch (cause) {
    throw unreadable(cause, range.path);
  }
}

function readBytes(file: number, buffer: Buffer, at: number, length: number, position: number, range: Range): number {
  try {
    return readSync(file, buffer, at, length, position);
  } catch (cause) {
    throw unreadable(cause, `${range.path}, byte ${position}`);
  }
}

export function changedFile(range: Range, got: string): GalvaniError {
  return new GalvaniError({
    stage: 'corpus',
    expected: `${range.fileBytes} bytes, as when the work was planned`,
    got,
    where: range.path,
    remedy: 'Something wrote to the file while it was read. Run the same command again when it is at rest.',
    kind: 'tryAgain',
  });
}
