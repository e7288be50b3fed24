/** A table's file, read at positions, and how what is wrong with it is said. Synchronous, as a worker has nothing else to do. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { type Complaint, GalvaniError } from '../../errors.js';
import type { Rows } from './rows.js';
import { isSystemError, unreadable } from './unreadable.js';

const makeAgain = 'Make the file again, or leave it out.';

/** What is wrong with a table, and at which byte if that is known. */
export class TableFault extends Error {
  override readonly name = 'TableFault';

  constructor(
    readonly complaint: Complaint,
    readonly offset?: number,
    readonly remedy = makeAgain,
  ) {
    super(`expected ${complaint.expected}, got ${complaint.got}`);
  }
}

/** A row group or a record batch. */
export interface TablePart {
  /** Where it begins in the file. */
  offset: number;
  rows: number;
  /** The rows of the column that was planned for. */
  read(file: TableFile): Generator<Rows>;
}

/** Where the parts of a file lie, in their order. Holds no file open. */
export interface TablePlan {
  parts: TablePart[];
  /** What keeps the rest of the file from being read, and the byte that it belongs to. */
  fault?: { error: unknown; at: number };
}

/** One system call moves less than 2 GiB. */
const mostBytes = 1 << 30;

export class TableFile {
  readonly bytes: number;
  /** Differs when the file has been written to. */
  readonly version: string;
  private readonly descriptor: number;

  constructor(readonly path: string) {
    this.descriptor = openSync(path, 'r');
    const { size, mtimeMs } = fstatSync(this.descriptor);
    this.bytes = size;
    this.version = `${path} ${size} ${mtimeMs}`;
  }

  /** Bytes of their own from a position. @throws TableFault where the file is too short. */
  read(position: number, length: number): Uint8Array {
    if (position + length > this.bytes) {
      const expected = `a file of at least ${position + length} bytes`;
      throw new TableFault({ expected, got: `${this.bytes}: it is cut short` }, position);
    }
    // Not filled with zeros before; and views of a plain array are made faster than those of a Buffer.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
    for (let done = 0; done < length; ) {
      const got = readSync(this.descriptor, bytes, done, Math.min(length - done, mostBytes), position + done);
      if (got === 0)
        throw new TableFault({ expected: 'a file at rest', got: 'one that shrank while it was read' }, position);
      done += got;
    }
    return bytes;
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

/** Whatever a reader of tables throws, as the one form of error: a library that meets a damaged file may throw anything. */
export function tableError(error: unknown, path: string, format: 'parquet' | 'arrow'): GalvaniError {
  const base = { stage: 'corpus', where: path, kind: 'badInput', cause: error } as const;
  if (isSystemError(error)) return unreadable(error, path);
  if (error instanceof TableFault) {
    const where = error.offset === undefined ? path : `${path}, byte ${error.offset}`;
    return new GalvaniError({ ...base, ...error.complaint, where, remedy: error.remedy });
  }
  const expected = `a whole ${format === 'parquet' ? 'Parquet' : 'Arrow'} file`;
  return new GalvaniError({ ...base, expected, got: `a damaged one (${(error as Error).message})`, remedy: makeAgain });
}

/** @throws TableFault: there is no such column, or it holds something else. */
export function wrongColumn(column: string, type: string | undefined, columns: string[]): never {
  const complaint =
    type === undefined
      ? { expected: `a column "${column}"`, got: `columns ${columns.map((name) => `"${name}"`).join(', ') || 'none'}` }
      : { expected: `strings in "${column}"`, got: `a column of type ${type}` };
  throw new TableFault(complaint, undefined, 'Name a column of strings by --text-field.');
}

export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
