/**
 * From the lines of a task to a token block: ids, the ends of lines that hold a token, and the borders of documents.
 * A line without a token (empty, or only white space) is a blank line; a file always begins a new document.
 */
import type { TokenBlock, TokenIds } from '../dataset/block.js';
import { Column } from '../dataset/column.js';
import type { Manifest } from '../dataset/manifest.js';
import type { WordPieceEncoder } from '../text/encoder.js';
import { LineReader } from './lines.js';
import type { Task } from './ranges.js';

export type DocumentRule = Manifest['settings']['documents'];

export class TaskTokenizer {
  private readonly reader = new LineReader();
  private readonly ids: Column<TokenIds>;
  private readonly lineEnds = new Column(new Uint32Array(1 << 10));
  private readonly borders = new Column(new Uint32Array(1 << 10));

  constructor(
    private readonly encoder: WordPieceEncoder,
    private readonly documents: DocumentRule,
    idType: Manifest['idType'],
    private readonly vocabularySize: number,
  ) {
    this.ids = new Column<TokenIds>(idType === 'uint16' ? new Uint16Array(1 << 12) : new Uint32Array(1 << 12));
  }

  /** The block's arrays are its own: they may be handed to another thread. */
  tokenize(task: Task): TokenBlock {
    const { unknownTokens, droppedBytes } = this.encoder;
    for (const column of [this.ids, this.lineEnds, this.borders]) column.length = 0;
    for (const range of task) {
      if (range.offset === 0) this.addBorder();
      const encoded = this.encoder.encodeLines(this.reader.read(range));
      this.addLines(encoded.ids, encoded.lineEnds);
    }
    const ids = this.ids.view().slice();
    const lineEnds = this.lineEnds.view().slice();
    const borders = this.borders.view().slice();
    return {
      ids,
      lineEnds,
      borders,
      pieceCounts: this.countPieces(ids),
      // The encoder counts over all its calls.
      unknownTokens: this.encoder.unknownTokens - unknownTokens,
      droppedBytes: this.encoder.droppedBytes - droppedBytes,
    };
  }

  private addLines(ids: Uint32Array, lineEnds: Uint32Array): void {
    const before = this.ids.length;
    let end = 0;
    for (let line = 0; line < lineEnds.length; line++) {
      const isBlank = lineEnds[line] === end;
      end = lineEnds[line];
      if (!isBlank) this.lineEnds.push(before + end);
      if (this.documents === 'line' || (this.documents === 'blank-line' && isBlank)) this.addBorder();
    }
    // A 16-bit column keeps the low halves, which are the ids: the vocabulary fits.
    this.ids.append(ids as TokenIds);
  }

  /** A border before the next line that holds a token, unless there is one already. */
  private addBorder(): void {
    const { length } = this.borders;
    if (length === 0 || this.borders.at(length - 1) !== this.lineEnds.length) this.borders.push(this.lineEnds.length);
  }

  private countPieces(ids: TokenIds): Uint32Array {
    const counts = new Uint32Array(this.vocabularySize);
    for (let i = 0; i < ids.length; i++) counts[ids[i]]++;
    return counts;
  }
}
