/**
 * Token blocks in, a dataset out: documents that pass the filters are collected into record batches, batches into shards,
 * and at the end come the token counts, the copied vocabulary, the manifest and the checksums.
 * Where a batch or a shard ends depends on the documents alone, never on how they were cut into blocks, so the bytes are
 * the same for any number of threads. When a shard is on the disk, `onShard` is told all that is needed to go on behind it.
 * Memory is a block and a record batch, or the open document where that is longer.
 */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { Field, makeData, RecordBatch, Schema, Struct, Table, tableToIPC, Uint64 } from 'apache-arrow';
import { GalvaniError } from '../errors.js';
import { writeFileDurably } from '../files.js';
import { mostSkippedListed, type TextCounts, type TokenBlock, type TokenIds } from './block.js';
import { Column } from './column.js';
import { hashesFileOf } from './hashes.js';
import {
  idTypeFor,
  type Manifest,
  manifestFile,
  nothingLeftOut,
  printManifest,
  shardFileAt,
  sumsFile,
  tokenCountsFile,
  vocabularyFile,
} from './manifest.js';
import { ShardWriter } from './shard.js';
import { printSums } from './sums.js';

/** 2 MiB of 16-bit ids: large enough for sequential reading, small enough to hold many at once. */
const defaultBatchTokens = 1 << 20;
/** A batch holds whole documents, and each of its buffers must stay below 2 GiB for Arrow's writer and for SHA-256. */
const maxDocumentTokens = 2 ** 28;

/** What the manifest says beside the counts. */
export type DatasetDescription = Pick<Manifest, 'tokenizer' | 'settings' | 'inputs' | 'part'>;

export interface WriterOptions {
  vocabulary: { bytes: Uint8Array; size: number; unknownId: number };
  description: DatasetDescription;
  batchTokens?: number;
  /** Go on behind the last shard of this state. Its shards must be in the folder, and nothing else. */
  state?: WriterState;
  /** A shard is whole and on the disk. Not called for what `finish` writes, which has no task to go on behind. */
  onShard?(state: WriterState): Promise<void>;
}

/** How far a dataset is, at the end of a shard: plain data. */
export interface WriterState {
  shards: Manifest['shards'];
  /** File name → SHA-256, of the shards and what lies beside them. */
  sums: [string, string][];
  /** Counts of the tasks that are done, less what was left out up to `next`. */
  pieces: number[];
  lines: number;
  droppedBytes: number;
  leftOut: Manifest['leftOut'];
  skipped: Manifest['skipped'];
  /** The next document begins behind border `border` of task `task`, both counted from 0. */
  next: { task: number; border: number };
}

export class DatasetWriter {
  private readonly settings: Manifest['settings'];
  private readonly maxDocumentBytes: number;
  private readonly minTokens: number;
  private readonly maxUnknownFraction: number;
  private readonly idType: Manifest['idType'];
  private readonly batchTokens: number;
  /** The batch's ids: those of whole documents in [0, kept); then, from `open` on, those of the open one. */
  private readonly ids: Column<TokenIds>;
  private readonly idOffsets = new Column(new Int32Array(1 << 10));
  private readonly lineEnds = new Column(new Uint32Array(1 << 12));
  private readonly lineOffsets = new Column(new Int32Array(1 << 10));
  private readonly next: WriterState['next'];
  private batchStart = 0;
  private kept = 0;
  private open = 0;
  private openBytes = 0;
  private isFinishing = false;
  /** The shard before is on its way to the disk while the next one is filled. */
  private syncing: Promise<void> = Promise.resolve();
  private shard: ShardWriter | undefined;
  private readonly pieces: Float64Array;
  private readonly shards: Manifest['shards'];
  private readonly sums: Map<string, string>;
  private readonly leftOut: Manifest['leftOut'];
  private readonly skipped: Manifest['skipped'];
  private lines: number;
  private droppedBytes: number;

  /** `directory` must exist. */
  constructor(
    private readonly directory: string,
    private readonly options: WriterOptions,
  ) {
    const { vocabulary, description, batchTokens, state } = options;
    this.settings = description.settings;
    this.maxDocumentBytes = this.settings.maxDocumentBytes ?? Number.POSITIVE_INFINITY;
    this.minTokens = this.settings.minTokens ?? 0;
    this.maxUnknownFraction = this.settings.maxUnknownFraction ?? 1;
    this.idType = idTypeFor(vocabulary.size);
    this.batchTokens = batchTokens ?? defaultBatchTokens;
    this.ids = new Column<TokenIds>(this.idType === 'uint16' ? new Uint16Array(1 << 16) : new Uint32Array(1 << 16));
    this.pieces = state ? Float64Array.from(state.pieces) : new Float64Array(vocabulary.size);
    this.shards = [...(state?.shards ?? [])];
    this.sums = new Map(state?.sums);
    this.leftOut = { ...(state?.leftOut ?? nothingLeftOut) };
    this.skipped = [...(state?.skipped ?? [])];
    this.lines = state?.lines ?? 0;
    this.droppedBytes = state?.droppedBytes ?? 0;
    this.next = { ...(state?.next ?? { task: 0, border: -1 }) };
    this.clearBatch();
  }

  /** Tokens of whole shards and of the open one, those of the open document included. */
  get tokens(): number {
    const closed = this.shards.reduce((sum, shard) => sum + shard.tokens, this.shard?.tokens ?? 0);
    return closed + this.kept - this.batchStart + this.ids.length - this.open;
  }

  /** The blocks that follow are those of this task, from behind this border of it on. */
  startTask(task: number, border = -1): void {
    this.next.task = task;
    this.next.border = border;
  }

  /** Add the next block. The open document goes on until a border. */
  async append({ ids, lineEnds, borders, textBytes }: TokenBlock): Promise<void> {
    const before = this.ids.length;
    this.ids.append(ids);
    let line = 0;
    for (let b = 0; b < borders.length; b++) {
      const border = borders[b];
      line = this.addLines(lineEnds, line, border, before - this.open);
      this.openBytes += textBytes?.[b] ?? 0;
      this.next.border++;
      this.closeDocument(border === 0 ? before : before + lineEnds[border - 1]);
      if (this.isBatchFull()) await this.writeBatch();
    }
    this.addLines(lineEnds, line, lineEnds.length, before - this.open);
    this.openBytes += textBytes?.[borders.length] ?? 0;
    // Its end will find it too long still; until then it need not be held.
    if (this.isTooLong()) this.forgetOpen(this.ids.length);
    this.checkOpenDocument();
    this.compact();
  }

  /** Lines [line, end) of a block whose ends are `shift` tokens further on in the open document. @returns `end` */
  private addLines(lineEnds: Uint32Array, line: number, end: number, shift: number): number {
    const ends = this.lineEnds.room(end - line);
    let count = this.lineEnds.length;
    for (; line < end; line++) ends[count++] = lineEnds[line] + shift;
    this.lineEnds.length = count;
    return end;
  }

  /** What the text of the tasks came to whose blocks were given. */
  addCounts({ pieces, lines, droppedBytes, errors, skipped }: TextCounts): void {
    for (let id = 0; id < pieces.length; id++) this.pieces[id] += pieces[id];
    this.lines += lines;
    this.droppedBytes += droppedBytes;
    this.leftOut.errors += errors;
    this.skipped.push(...skipped.slice(0, mostSkippedListed - this.skipped.length));
  }

  /** Count the tokens and lines of a block once more (1), or take them out of the counts (−1). */
  countBlock({ ids, lineEnds }: TokenBlock, sign: 1 | -1): void {
    for (let i = 0; i < ids.length; i++) this.pieces[ids[i]] += sign;
    this.lines += sign * lineEnds.length;
  }

  /** Close the open document, write what is left, and all that stands beside the shards. @returns the manifest. */
  async finish(): Promise<Manifest> {
    this.isFinishing = true;
    this.closeDocument(this.ids.length);
    if (this.kept > this.batchStart) await this.writeBatch();
    await this.closeShard();
    await this.syncing;
    const manifest = this.manifest();
    await this.writeFile(vocabularyFile, this.options.vocabulary.bytes);
    await this.writeFile(tokenCountsFile, printTokenCounts(this.pieces));
    await this.writeFile(manifestFile, Buffer.from(printManifest(manifest)));
    await writeFileDurably(path.join(this.directory, sumsFile), printSums(this.sums));
    return manifest;
  }

  /** Let go of the open files; what was written stays for the caller to remove. */
  async abandon(): Promise<void> {
    await this.shard?.abandon();
    this.shard = undefined;
    await this.syncing.catch(() => {});
  }

  /** A document without a token is no row. */
  private closeDocument(end: number): void {
    const reason = this.reasonToLeaveOut(end);
    if (reason !== undefined) {
      this.leftOut[reason]++;
      this.forgetOpen(end);
    } else if (end > this.open) {
      this.ids.move(this.kept, this.open, end);
      this.kept += end - this.open;
      this.idOffsets.push(this.kept - this.batchStart);
      this.lineOffsets.push(this.lineEnds.length);
    }
    this.open = end;
    this.openBytes = 0;
  }

  private reasonToLeaveOut(end: number): keyof Manifest['leftOut'] | undefined {
    if (this.isTooLong()) return 'maxDocumentBytes';
    const tokens = end - this.open;
    if (tokens === 0) return undefined;
    if (tokens < this.minTokens) return 'minTokens';
    if (this.maxUnknownFraction === 1) return undefined;
    return this.countUnknown(end) > this.maxUnknownFraction * tokens ? 'maxUnknownFraction' : undefined;
  }

  private isTooLong(): boolean {
    return this.openBytes > this.maxDocumentBytes;
  }

  private countUnknown(end: number): number {
    const { unknownId } = this.options.vocabulary;
    let count = 0;
    for (const id of this.ids.view(this.open, end)) if (id === unknownId) count++;
    return count;
  }

  /** Take the open document's tokens and lines up to `end` out of the batch and the counts. */
  private forgetOpen(end: number): void {
    const firstLine = this.lineOffsets.at(this.lineOffsets.length - 1);
    const lineEnds = this.lineEnds.view(firstLine);
    this.countBlock({ ids: this.ids.view(this.open, end), lineEnds, borders: noBorders }, -1);
    this.lineEnds.length = firstLine;
    this.open = end;
  }

  private isBatchFull(): boolean {
    const tokens = this.kept - this.batchStart;
    if (tokens === 0) return false;
    return tokens >= this.batchTokens || (this.shard?.tokens ?? 0) + tokens >= this.settings.shardTokens;
  }

  private checkOpenDocument(): void {
    const tokens = this.ids.length - this.open;
    if (tokens <= maxDocumentTokens) return;
    throw new GalvaniError({
      stage: 'prepare',
      expected: `documents of at most ${maxDocumentTokens} tokens`,
      got: `one of ${tokens} or more`,
      where: `document ${this.shards.reduce((sum, shard) => sum + shard.rows, this.shard?.rows ?? 0)}`,
      remedy: 'Choose another --documents, set --max-document-bytes, or split the input.',
      kind: 'badInput',
    });
  }

  /** Bring the batch's ids, and the open document behind them, to the beginning of the column. */
  private compact(): void {
    const tokens = this.kept - this.batchStart;
    const openTokens = this.ids.length - this.open;
    this.ids.move(0, this.batchStart, this.kept);
    this.ids.move(tokens, this.open, this.ids.length);
    this.batchStart = 0;
    this.kept = tokens;
    this.open = tokens;
    this.ids.length = tokens + openTokens;
  }

  private async writeBatch(): Promise<void> {
    this.shard ??= await ShardWriter.create(path.join(this.directory, shardFileAt(this.shards.length)), this.idType);
    await this.shard.write({
      ids: this.ids.view(this.batchStart, this.kept),
      idOffsets: this.idOffsets.view(),
      lineEnds: this.lineEnds.view(),
      lineOffsets: this.lineOffsets.view(),
    });
    this.clearBatch();
    if (this.shard.tokens >= this.settings.shardTokens) await this.closeShard();
  }

  /** The next batch begins where the open document does. */
  private clearBatch(): void {
    this.batchStart = this.open;
    this.kept = this.open;
    this.lineEnds.length = 0;
    this.idOffsets.length = 0;
    this.lineOffsets.length = 0;
    this.idOffsets.push(0);
    this.lineOffsets.push(0);
  }

  private async closeShard(): Promise<void> {
    if (this.shard === undefined) return;
    const file = shardFileAt(this.shards.length);
    const { rows, tokens } = this.shard;
    const { sums, synced } = await this.shard.close();
    this.sums.set(file, sums.shard).set(hashesFileOf(file), sums.hashes);
    this.shards.push({ file, rows, tokens, bytes: this.shard.bytes });
    this.shard = undefined;
    const state = this.isFinishing ? undefined : this.state();
    const before = this.syncing;
    this.syncing = Promise.all([before, synced]).then(() => state && this.options.onShard?.(state));
    this.syncing.catch(() => {}); // whoever waits for it hears of it
    await before;
  }

  private state(): WriterState {
    const { lines, droppedBytes } = this;
    return {
      shards: [...this.shards],
      sums: [...this.sums],
      pieces: [...this.pieces],
      lines,
      droppedBytes,
      leftOut: { ...this.leftOut },
      skipped: [...this.skipped],
      next: { ...this.next },
    };
  }

  private manifest(): Manifest {
    const total = (key: 'rows' | 'tokens') => this.shards.reduce((sum, shard) => sum + shard[key], 0);
    const { vocabulary, description } = this.options;
    const sha256 = createHash('sha256').update(vocabulary.bytes).digest('hex');
    return {
      format: 'galvani-tokens',
      formatVersion: 2,
      vocabulary: { sha256, size: vocabulary.size },
      tokenizer: description.tokenizer,
      settings: description.settings,
      ...(description.part && { part: description.part }),
      inputs: description.inputs,
      counts: {
        documents: total('rows'),
        lines: this.lines,
        tokens: total('tokens'),
        unknownTokens: this.pieces[vocabulary.unknownId],
        droppedBytes: this.droppedBytes,
      },
      leftOut: this.leftOut,
      skipped: this.skipped,
      idType: this.idType,
      shards: this.shards,
    };
  }

  private async writeFile(name: string, bytes: Uint8Array): Promise<void> {
    await writeFileDurably(path.join(this.directory, name), bytes);
    this.sums.set(name, createHash('sha256').update(bytes).digest('hex'));
  }
}

const noBorders = new Uint32Array(0);

/** An Arrow file with one column `count: uint64`; row i counts the piece with id i. */
function printTokenCounts(counts: Float64Array): Uint8Array {
  const data = BigUint64Array.from(counts, BigInt);
  const schema = new Schema([new Field('count', new Uint64(), true)]);
  const column = makeData({ type: new Uint64(), length: data.length, nullCount: 0, data });
  const rows = makeData({ type: new Struct(schema.fields), length: data.length, nullCount: 0, children: [column] });
  return tableToIPC(new Table(schema, new RecordBatch(schema, rows)), 'file');
}
