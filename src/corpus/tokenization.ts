/**
 * From the text of a task to token blocks: ids, the ends of lines that hold a token, and the borders of documents.
 * A line without a token (empty, or only white space) is a blank line; a file always begins a new document; a record is one.
 */
import type { TextCounts, TokenBlock, TokenIds } from '../dataset/block.js';
import { Column } from '../dataset/column.js';
import { type DocumentRule, type Manifest, mostSkippedListed, type Skipped } from '../dataset/manifest.js';
import type { WordPieceEncoder } from '../text/encoder.js';
import type { Task } from './ranges.js';
import type { TaskReader } from './reader.js';
import type { Texts } from './texts.js';

/** A block is handed on when it has so many: 4 MiB of ids where they take two bytes. */
const blockTokens = 1 << 21;

export interface TokenizerRules {
  documents: DocumentRule;
  /** Whether blocks say how long documents are. */
  countsBytes: boolean;
  idType: Manifest['idType'];
  vocabularySize: number;
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
    private readonly encoder: WordPieceEncoder,
    private readonly rules: TokenizerRules,
  ) {
    const isShort = rules.idType === 'uint16';
    this.ids = new Column<TokenIds>(isShort ? new Uint16Array(1 << 12) : new Uint32Array(1 << 12));
  }

  /** The blocks of a task, one at least, and its counts at the end. The arrays are their own: they may go to another thread. */
  async *tokenize(task: Task): AsyncGenerator<TokenBlock, TextCounts> {
    const { droppedBytes } = this.encoder;
    const pieces = new Uint32Array(this.rules.vocabularySize);
    this.counts = { pieces, lines: 0, droppedBytes: 0, errors: 0, skipped: [] };
    this.clear();
    for (const range of task) {
      if (range.offset === 0) this.addBorder();
      for await (const texts of this.reader.read(range, (skipped) => this.skip(skipped))) {
        this.addTexts(texts);
        if (this.ids.length >= blockTokens) yield this.takeBlock();
      }
    }
    yield this.takeBlock();
    // The encoder counts over all its calls.
    this.counts.droppedBytes = this.encoder.droppedBytes - droppedBytes;
    return this.counts;
  }

  private skip(skipped: Skipped): void {
    this.counts.errors++;
    if (this.counts.skipped.length < mostSkippedListed) this.counts.skipped.push(skipped);
  }

  private addTexts(texts: Texts): void {
    const { ids, lineEnds } = this.encoder.encodeLines(texts.bytes);
    if (texts.recordLines) this.addRecords(texts.bytes, texts.recordLines, lineEnds);
    else this.addLines(texts.bytes, lineEnds);
    // A 16-bit column keeps the low halves, which are the ids: the vocabulary fits.
    this.ids.append(ids as TokenIds);
    if (texts.overlongBytes === undefined) return;
    this.openBytes += texts.overlongBytes;
    if (this.rules.documents === 'line') this.addBorder();
  }

  private addLines(bytes: Uint8Array, lineEnds: Uint32Array): void {
    const { documents, countsBytes } = this.rules;
    const before = this.ids.length;
    let end = 0;
    let byte = 0;
    for (let line = 0; line < lineEnds.length; line++) {
      const isBlank = lineEnds[line] === end;
      end = lineEnds[line];
      if (!isBlank) this.lineEnds.push(before + end);
      if (countsBytes) {
        const lineEnd = endOfLine(bytes, byte);
        if (documents !== 'blank-line' || !isBlank) this.openBytes += lineEnd - byte;
        byte = lineEnd + 1;
      }
      if (documents === 'line' || (documents === 'blank-line' && isBlank)) this.addBorder();
    }
  }

  private addRecords(bytes: Uint8Array, recordLines: Uint32Array, lineEnds: Uint32Array): void {
    const before = this.ids.length;
    this.addBorder();
    let end = 0;
    let byte = 0;
    let line = 0;
    for (const lines of recordLines) {
      for (const last = line + lines; line < last; line++) {
        if (lineEnds[line] !== end) this.lineEnds.push(before + lineEnds[line]);
        end = lineEnds[line];
        if (!this.rules.countsBytes) continue;
        const lineEnd = endOfLine(bytes, byte);
        this.openBytes += lineEnd - byte;
        byte = lineEnd + 1;
      }
      this.addBorder();
    }
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
      ids: this.ids.view().slice() as TokenIds,
      lineEnds: this.lineEnds.view().slice(),
      borders: this.borders.view().slice(),
      ...(this.rules.countsBytes && { textBytes: Float64Array.from(this.textBytes) }),
    };
    const { pieces } = this.counts;
    for (let i = 0; i < block.ids.length; i++) pieces[block.ids[i]]++;
    this.counts.lines += block.lineEnds.length;
    this.clear();
    return block;
  }

  private clear(): void {
    for (const column of [this.ids, this.lineEnds, this.borders]) column.length = 0;
    this.textBytes = [];
    this.openBytes = 0;
  }
}

function endOfLine(bytes: Uint8Array, from: number): number {
  const found = bytes.indexOf(0x0a, from);
  return found < 0 ? bytes.length : found;
}
