/**
 * Reads a range of a corpus as text, whatever its format and compression: the one place that knows all readers.
 * One reader a worker; its buffers are used again from range to range.
 */
import { statSync } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import type { Skipped } from '../dataset/manifest.js';
import { type Complaint, GalvaniError } from '../errors.js';
import { defaultRangeBytes, type Range } from './ranges.js';
import { Damage } from './readers/compressedInput.js';
import { JsonLineReader } from './readers/jsonLines.js';
import { changedFile, cutLines, LineReader, type Lines, mostLineBytes } from './readers/lines.js';
import type { TableRange } from './readers/tables.js';
import type { Refuse, Texts } from './readers/texts.js';
import { isSystemError, unreadable } from './readers/unreadable.js';

export interface ReaderRules {
  /** Where the text is in a record. */
  textField: string;
  /** Documents beyond it will be left out, so longer lines of plain text need not be held. */
  maxDocumentBytes?: number;
  /** Records and files that cannot be read are told and passed over; else the first one is an error. */
  skipsErrors: boolean;
  /** The compiled json module. */
  jsonModule: WebAssembly.Module;
  /** Where compressed tables are laid out, one a worker. */
  temporaryFolder: string;
}

export class TaskReader {
  private readonly textLines: LineReader;
  private readonly jsonLines = new LineReader();
  private readonly json: JsonLineReader;

  /** @param onBytes is told how much of the files was read, for progress */
  constructor(
    private readonly rules: ReaderRules,
    private readonly onBytes: (bytes: number) => void = () => {},
  ) {
    this.textLines = new LineReader(this.longestLine('text'));
    this.json = new JsonLineReader(rules.jsonModule, rules.textField);
  }

  /** The text of a range, some MiB at a time. @throws badInput for what cannot be read, unless errors are skipped. */
  async *read(range: Range, onSkipped: (skipped: Skipped) => void): AsyncGenerator<Texts> {
    try {
      yield* this.readUnchanged(range, this.refusal(range, onSkipped));
    } catch (cause) {
      const error = isSystemError(cause) ? unreadable(cause, range.path) : cause;
      if (!this.rules.skipsErrors || !(error instanceof GalvaniError) || error.kind !== 'badInput') throw error;
      const { expected, got } = error.parts;
      const at = `bytes ${range.offset} to ${range.offset + range.length}`;
      onSkipped({ input: range.name, at, reason: `expected ${expected}, got ${got}` });
    }
  }

  /** What was read of a file that is written to meanwhile may be a mixture of its old and its new bytes. */
  private async *readUnchanged(range: Range, refuse: Refuse): AsyncGenerator<Texts> {
    checkUnchanged(range);
    try {
      yield* this.readWhole(range, refuse);
    } finally {
      checkUnchanged(range); // Then this is the reason of any other error.
    }
  }

  private async *readWhole(range: Range, refuse: Refuse): AsyncGenerator<Texts> {
    const { format } = range;
    if (format === 'parquet' || format === 'arrow') {
      yield* this.readTable({ ...range, format }, refuse);
      return;
    }
    for await (const lines of this.readLines(range, refuse)) yield* this.textsOf(withoutMark(lines), range, refuse);
  }

  /** A compressed one is decompressed into a file first: readers of tables go to and fro. */
  private async *readTable(range: Range & Pick<TableRange, 'format'>, refuse: Refuse): AsyncGenerator<Texts> {
    const { path, format, compression, offset, length } = range;
    const { textField, temporaryFolder } = this.rules;
    // Loaded when there is something for them: they take longer than all else of a worker.
    const { readRows } = await import('./readers/tables.js');
    if (compression === undefined) yield* readRows({ path, format, offset, length }, textField, refuse);
    else {
      const plain = join(temporaryFolder, `galvani-table-${process.pid}-${threadId}`);
      try {
        const { decompressInto } = await import('./readers/decompression.js');
        await decompressInto(path, compression, plain);
        const { size } = await stat(plain);
        yield* readRows({ path: plain, format, offset: 0, length: size }, textField, refuse);
      } catch (error) {
        if (error instanceof Damage) throw unreadableRecord(`${path}, byte ${error.offset}`, error.complaint);
        if (!(error instanceof GalvaniError)) throw error;
        throw new GalvaniError({ ...error.parts, where: error.parts.where?.replace(plain, path) });
      } finally {
        await rm(plain, { force: true });
      }
    }
    this.onBytes(length);
  }

  private async *readLines(range: Range, refuse: Refuse): AsyncGenerator<Lines> {
    const { format, compression, lines, offset, length } = range;
    if (compression) {
      yield* cutLines(this.decompress(range, compression, refuse), defaultRangeBytes, this.longestLine(format));
      return;
    }
    if (lines) yield { ...lines, offset };
    else yield (format === 'text' ? this.textLines : this.jsonLines).read(range);
    this.onBytes(length);
  }

  /** What is good of a compressed file. */
  private async *decompress(
    { path }: Range,
    compression: NonNullable<Range['compression']>,
    refuse: Refuse,
  ): AsyncGenerator<Uint8Array> {
    const { decompress } = await import('./readers/decompression.js');
    let before = 0;
    try {
      yield* decompress(path, compression, (bytes) => {
        this.onBytes(bytes - before);
        before = bytes;
      });
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      refuse(`byte ${error.offset}`, error.complaint);
    }
  }

  private *textsOf({ bytes, offset, overlongBytes }: Lines, range: Range, refuse: Refuse): Generator<Texts> {
    const of = range.compression ? ' of the decompressed text' : '';
    const at = (position: number) => `byte ${offset + position}${of}`;
    if (overlongBytes !== undefined && overlongBytes <= this.longestDocument(range)) {
      refuse(at(bytes.length), {
        expected: `lines of at most ${mostLineBytes} bytes`,
        got: `one of ${overlongBytes}`,
      });
      overlongBytes = undefined;
    }
    if (range.format === 'jsonl') yield* this.json.read(bytes, at, refuse);
    else yield { bytes, overlongBytes };
  }

  /** A line that is longer makes its document too long, which is no error. */
  private longestDocument({ format }: Range): number {
    return (format === 'text' ? this.rules.maxDocumentBytes : undefined) ?? Number.POSITIVE_INFINITY;
  }

  private longestLine(format: Range['format']): number {
    const { maxDocumentBytes = mostLineBytes } = this.rules;
    return format === 'text' ? Math.min(maxDocumentBytes, mostLineBytes) : mostLineBytes;
  }

  private refusal({ path, name }: Range, onSkipped: (skipped: Skipped) => void): Refuse {
    return (at, { expected, got }) => {
      if (this.rules.skipsErrors) onSkipped({ input: name, at, reason: `expected ${expected}, got ${got}` });
      else throw unreadableRecord(`${path}, ${at}`, { expected, got });
    };
  }
}

/** @throws tryAgain where the file is not as it was when the work was planned. */
function checkUnchanged(range: Range): void {
  if (range.lines) return;
  const { size, mtimeMs } = statSync(range.path);
  if (size !== range.fileBytes) throw changedFile(range, String(size));
  if (mtimeMs !== range.modified) throw changedFile(range, `as many, written ${new Date(mtimeMs).toISOString()}`);
}

/** Without the byte-order mark that a file may begin with. */
function withoutMark(lines: Lines): Lines {
  const { bytes, offset } = lines;
  const isMarked = offset === 0 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return isMarked ? { ...lines, bytes: bytes.subarray(3), offset: 3 } : lines;
}

function unreadableRecord(where: string, complaint: Complaint): GalvaniError {
  return new GalvaniError({
    stage: 'corpus',
    ...complaint,
    where,
    remedy: 'Mend the file; "galvani prepare --on-error skip" leaves out what cannot be read.',
    kind: 'badInput',
  });
}
