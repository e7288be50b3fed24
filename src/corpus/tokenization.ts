/**
 * From the text of a task to token blocks: ids, the ends of lines that hold a token, and the borders of documents.
 * A line without a token (empty, or only white space) is a blank line; a file always begins a new document; a record is one.
 */
import { mostSkippedListed, type TextCounts, type TokenBlock, type TokenIds } from '../dataset/block.js';
import { Column } from '../dataset/column.js';
import type { DocumentRule, Manifest, Skipped } from '../dataset/manifest.js';
import type { WordPieceEncoder } from '../text/encoder.js';
import type { Task } from './ranges.js';
import type { TaskReader } from './reader.js';
import type { Texts } from './readers/texts.js';

/** A block is handed on when it has so many tokens and borders: 4 MiB of ids where they take two bytes. */
const mostInBlock = 1 << 21;

const noCounts = new Uint32Array(0);

export interface TokenizerRules {
  documents: DocumentRule;
  /** Whether blocks say how long documents are. */
  countsBytes: boolean;
  idType: Manifest['idType'];
}

export interface LastBlock {
  block: TokenBlock;
  /** Of all blocks of the task. */
  counts: TextCounts;
}

export class TaskTokenizer {
  private readonly ids: Column<TokenIds>;
  private readonly lineEnds = new Column(new Uint32Array(1 << 10));
  private readonly borders = new Column(new Uint32Array(1 << 10));
  private textBytes: number[] = [];
  /** Bytes of text since the last border. */
  private openBytes = 0;
  private counts!: TextCounts;

  constructor(
    private readonly reader: TaskReader,
    /** Made with the size of its vocabulary. */
    private readonly encoder: WordPieceEncoder,
    private readonly rules: TokenizerRules,
  ) {
    const isShort = rules.idType === 'uint16';
    this.ids = new Column<TokenIds>(isShort ? new Uint16Array(1 << 12) : new Uint32Array(1 << 12));
  }

  /** The blocks of a task, each valid until the next one is asked for; at the end the last one and what the text came to. */
  async *tokenize(task: Task): AsyncGenerator<TokenBlock, LastBlock> {
    const { droppedBytes } = this.encoder;
    this.counts = { pieces: noCounts, lines: 0, droppedBytes: 0, errors: 0, skipped: [] };
    this.clear();
    for (const range of task) {
      if (range.offset === 0) this.addBorder();
      for await (const texts of this.reader.read(range, (skipped) => this.skip(skipped))) {
        this.addTexts(texts);
        if (this.ids.length + this.borders.length < mostInBlock) continue;
        yield this.takeBlock();
        this.clear();
      }
    }
    const block = this.takeBlock();
    this.counts.pieces = this.encoder.takeCounts();
    // The encoder counts over all its calls.
    this.counts.droppedBytes = this.encoder.droppedBytes - droppedBytes;
    return { block, counts: this.counts };
  }

  private skip(skipped: Skipped): void {
    this.counts.errors++;
    if (this.counts.skipped.length < mostSkippedListed) this.counts.skipped.push(skipped);
  }

  private addTexts({ bytes, recordLines, overlongBytes }: Texts): void {
    const lines = new LineCursor(bytes, this.ids.length, recordLines);
    if (recordLines) this.addBorder();
    for (const { ids, lineEnds } of this.encoder.encodeWindows(bytes)) {
      this.addLines(lineEnds, lines);
      this.ids.append(ids);
    }
    if (overlongBytes === undefined) return;
    this.openBytes += overlongBytes;
    if (this.rules.documents === 'line') this.addBorder();
  }

  /** @param lineEnds in ids from the beginning of the texts. */
  private addLines(lineEnds: Uint32Array, lines: LineCursor): void {
    const { documents, countsBytes } = this.rules;
    const { recordLines, firstId } = lines;
    const endsAtLine = recordLines === undefined && documents === 'line';
    const endsAtBlank = recordLines === undefined && documents === 'blank-line';
    const ends = this.lineEnds.room(lineEnds.length);
    let count = this.lineEnds.length;
    let { end } = lines;
    for (let line = 0; line < lineEnds.length; line++) {
      const lineEnd = lineEnds[line];
      const isBlank = lineEnd === end;
      end = lineEnd;
      if (!isBlank) ends[count++] = firstId + end;
      if (countsBytes) {
        const lineBytes = lines.nextLine();
        if (!endsAtBlank || !isBlank) this.openBytes += lineBytes;
      }
      if (endsAtLine || (endsAtBlank && isBlank) || (recordLines !== undefined && lines.endsRecord())) {
        this.lineEnds.length = count;
        this.addBorder();
      }
    }
    this.lineEnds.length = count;
    lines.end = end;
  }

  /** A border before the next line that holds a token, unless there is one already. */
  private addBorder(): void {
    const { length } = this.borders;
    if (length > 0 && this.borders.at(length - 1) === this.lineEnds.length && this.openBytes === 0) return;
    this.borders.push(this.lineEnds.length);
    this.textBytes.push(this.openBytes);
    this.openBytes = 0;
  }

  private takeBlock(): TokenBlock {
    this.textBytes.push(this.openBytes);
    const block: TokenBlock = {
      ids: this.ids.view(),
      lineEnds: this.lineEnds.view(),
      borders: this.borders.view(),
      ...(this.rules.countsBytes && { textBytes: Float64Array.from(this.textBytes) }),
    };
    this.counts.lines += block.lineEnds.length;
    return block;
  }

  private clear(): void {
    for (const column of [this.ids, this.lineEnds, this.borders]) column.length = 0;
    this.textBytes = [];
    this.openBytes = 0;
  }
}

/** Where the lines of some texts are, while their ids come window by window. */
class LineCursor {
  /** Ids of the texts up to the last line end. */
  end = 0;
  private byte = 0;
  private record = 0;
  private linesOfRecord = 0;

  /** @param firstId where the ids of the texts begin in the block. */
  constructor(
    private readonly bytes: Uint8Array,
    readonly firstId: number,
    readonly recordLines: Uint32Array | undefined,
  ) {}

  /** Bytes of the next line, without its end. */
  nextLine(): number {
    const found = this.bytes.indexOf(0x0a, this.byte);
    const end = found < 0 ? this.bytes.length : found;
    const length = end - this.byte;
    this.byte = end + 1;
    return length;
  }

  /** Whether a record ends with the next line. */
  endsRecord(): boolean {
    if (++this.linesOfRecord < (this.recordLines?.[this.record] ?? 0)) return false;
    this.record++;
    this.linesOfRecord = 0;
    return true;
  }
}
