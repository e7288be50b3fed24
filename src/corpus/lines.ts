/**
 * Reads the lines that begin in a byte range: the partner of ranges.ts, run in the workers, with synchronous reads only.
 * '\n' ends a line; a '\r' before it is white space to the tokenizer.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { GalvaniError } from '../errors.js';
import type { Range } from './ranges.js';

const newline = 0x0a;
/** How much is read at a time to find the end of a line that goes beyond its range. */
const extensionBytes = 1 << 16;
/** A line is read as a whole; one without white space is one window of the encoder, nine bytes a byte, and wasm has 4 GiB. */
const maxLineBytes = 256 << 20;

/** A reader with one buffer, which every call overwrites; it grows to the longest range and line met. */
export class LineReader {
  private buffer: Buffer = Buffer.alloc(0);

  /** @returns the bytes of all lines that begin in the range, each whole; a view, valid until the next call. */
  read(range: Range): Uint8Array {
    const file = openInput(range);
    try {
      return this.readLines(file, range);
    } finally {
      closeSync(file);
    }
  }

  private readLines(file: number, range: Range): Uint8Array {
    // The byte before the range tells whether a line begins right at its start.
    const from = Math.max(0, range.offset - 1);
    const owned = range.offset + range.length - from;
    this.reserve(owned + extensionBytes);
    this.fill(file, range, from, 0, owned);
    const begin = range.offset === 0 ? 0 : this.buffer.subarray(0, owned - 1).indexOf(newline) + 1;
    // No line begins here: the one that covers the range belongs to an earlier range.
    if (begin === 0 && range.offset > 0) return this.buffer.subarray(0, 0);
    let end = owned;
    if (this.buffer[owned - 1] !== newline) end = this.extend(file, range, from, begin, owned);
    return this.buffer.subarray(begin, end);
  }

  /** Read on until the last line ends. @returns its end in the buffer. */
  private extend(file: number, range: Range, from: number, begin: number, filled: number): number {
    while (from + filled < range.fileBytes) {
      const more = Math.min(extensionBytes, range.fileBytes - from - filled);
      this.reserve(filled + more);
      this.fill(file, range, from, filled, more);
      const found = this.buffer.subarray(filled, filled + more).indexOf(newline);
      if (found >= 0) return filled + found + 1;
      filled += more;
      if (filled - begin > maxLineBytes + range.length) throw lineTooLong(range);
    }
    return filled;
  }

  /** Read `length` bytes of the file at `from + at` into the buffer at `at`. */
  private fill(file: number, range: Range, from: number, at: number, length: number): void {
    for (let done = 0; done < length; ) {
      const position = from + at + done;
      const bytes = readBytes(file, this.buffer, at + done, length - done, position, range);
      if (bytes === 0) throw changedFile(range, position);
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

function openInput(range: Range): number {
  let file: number;
  try {
    file = openSync(range.path, 'r');
  } catch (cause) {
    throw unreadable(cause, range.path);
  }
  const { size } = fstatSync(file);
  if (size === range.fileBytes) return file;
  closeSync(file);
  throw changedFile(range, size);
}

function readBytes(file: number, buffer: Buffer, at: number, length: number, position: number, range: Range): number {
  try {
    return readSync(file, buffer, at, length, position);
  } catch (cause) {
    throw unreadable(cause, `${range.path}, byte ${position}`);
  }
}

function unreadable(cause: unknown, where: string): GalvaniError {
  return new GalvaniError({
    stage: 'corpus',
    expected: 'a file that can be read',
    got: (cause as NodeJS.ErrnoException).code ?? String(cause),
    where,
    remedy: 'Look at its permissions, and leave inputs in place while they are read.',
    kind: 'badInput',
    cause,
  });
}

function changedFile(range: Range, size: number): GalvaniError {
  return new GalvaniError({
    stage: 'corpus',
    expected: `${range.fileBytes} bytes, as when the work was planned`,
    got: String(size),
    where: range.path,
    remedy: 'Something wrote to the file while it was read. Run the same command again when it is at rest.',
    kind: 'tryAgain',
  });
}

function lineTooLong(range: Range): GalvaniError {
  return new GalvaniError({
    stage: 'corpus',
    expected: `lines of at most ${maxLineBytes} bytes`,
    got: 'a longer one',
    where: `${range.path}, line that begins in bytes ${range.offset} to ${range.offset + range.length}`,
    remedy: 'Is this a text file? Break its lines, or leave it out.',
    kind: 'badInput',
  });
}
