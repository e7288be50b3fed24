/**
 * Reads a range of a corpus as text, whatever its format and compression: the one place that knows all readers.
 * One reader a worker; its buffers are used again from range to range.
 */
import { type Complaint, GalvaniError } from '../errors.js';
import type { Skipped } from '../dataset/manifest.js';
import { type Lines, LineReader, mostLineBytes } from './lines.js';
import type { Range } from './ranges.js';
import type { Refuse, Texts } from './texts.js';

export interface ReaderRules {
  /** Where the text is in a record. */
  textField: string;
  /** Documents beyond it will be left out, so longer lines of plain text need not be held. */
  maxDocumentBytes?: number;
  /** Records that cannot be read are told and passed over; else the first one is an error. */
  skipsErrors: boolean;
}

export class TaskReader {
  private readonly lines: LineReader;

  /** @param onBytes is told how much of the files was read, for progress */
  constructor(
    private readonly rules: ReaderRules,
    private readonly onBytes: (bytes: number) => void = () => {},
  ) {
    this.lines = new LineReader(this.lineLimit('text'));
  }

  /** The text of a range, some MiB at a time. @throws badInput for what cannot be read, unless errors are skipped. */
  async *read(range: Range, onSkipped: (skipped: Skipped) => void): AsyncGenerator<Texts> {
    const refuse = this.refusal(range, onSkipped);
    for await (const lines of this.readLines(range)) yield* this.textsOf(withoutMark(lines), refuse);
    this.onBytes(range.length);
  }

  private async *readLines(range: Range): AsyncGenerator<Lines> {
    if (range.lines) yield { ...range.lines, offset: range.offset };
    else yield this.lines.read(range);
  }

  private *textsOf({ bytes, offset, overlongBytes }: Lines, refuse: Refuse): Generator<Texts> {
    if (overlongBytes !== undefined && overlongBytes <= (this.rules.maxDocumentBytes ?? Number.POSITIVE_INFINITY)) {
      refuse(`byte ${offset + bytes.length}`, {
        expected: `lines of at most ${mostLineBytes} bytes`,
        got: `one of ${overlongBytes}`,
      });
      overlongBytes = undefined;
    }
    yield { bytes, overlongBytes };
  }

  private lineLimit(format: Range['format']): number {
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
    remedy: 'Mend the file, or leave out what cannot be read with --on-error skip.',
    kind: 'badInput',
  });
}
