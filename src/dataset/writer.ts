/**
 * Token blocks in, a dataset out: rows are collected into record batches, batches into shards, and at the end come the
 * token counts, the copied vocabulary, the manifest and the checksums.
 * Where a batch or a shard ends depends on the documents alone, never on how they were cut into blocks, so the bytes
 * are the same for any number of threads. Memory is one record batch, or one document where that is longer.
 */
import { createHash } from 'node:crypto';
import path from 'node:path';
import { Field, makeData, RecordBatch, Schema, Struct, Table, tableToIPC, Uint64 } from 'apache-arrow';
import { GalvaniError } from '../errors.js';
import { writeFileDurably } from '../files.js';
import type { TokenBlock, TokenIds } from './block.js';
import { Column } from './column.js';
import {
  idTypeFor,
  type Manifest,
  manifestFile,
  printManifest,
  sumsFile,
  tokenCountsFile,
  vocabularyFile,
} from './manifest.js';
import { ShardWriter } from './shard.js';
import { printSums } from './sums.js';

/** 2 MiB of 16-bit ids: large enough for sequential reading, small enough to hold many at once. */
const defaultBatchTokens = 1 << 20;
/** Offsets within a batch are int32, and a batch holds whole documents. */
const maxDocumentTokens = 2 ** 30;

/** What the manifest says beside the counts. */
export type DatasetDescription = Pick<Manifest, 'tokenizer' | 'settings' | 'inputs'>;

export class DatasetWriter {
  private readonly idType: Manifest['idType'];
  private readonly ids: Column<TokenIds>;
  private idOffsets = new Column(new Int32Array(1 << 10));
  private lineEnds = new Column(new Uint32Array(1 << 12));
  private lineOffsets = new Column(new Int32Array(1 << 10));
  private shard: ShardWriter | undefined;
  private readonly pieceCounts: Float64Array;
  private readonly shards: Manifest['shards'] = [];
  private readonly sums = new Map<string, string>();
  private unknownTokens = 0;
  private droppedBytes = 0;
  private lines = 0;
  /** Where the open document begins, in tokens of the batch. */
  private openStart = 0;

  /** `directory` must exist and be empty; `vocabularyBytes` becomes its vocab.txt. */
  constructor(
    private readonly directory: string,
    private readonly vocabularyBytes: Uint8Array,
    private readonly vocabularySize: number,
    private readonly description: DatasetDescription,
    private readonly batchTokens = defaultBatchTokens,
  ) {
    this.idType = idTypeFor(vocabularySize);
    this.ids = new Column<TokenIds>(this.idType === 'uint16' ? new Uint16Array(1 << 16) : new Uint32Array(1 << 16));
    this.pieceCounts = new Float64Array(vocabularySize);
    this.clearBatch();
  }

  /** Tokens given so far, those of the open document included. */
  get tokens(): number {
    return this.shards.reduce((sum, shard) => sum + shard.tokens, (this.shard?.tokens ?? 0) + this.ids.length);
  }

  /** Add the next block. The open document goes on until a border. */
  async append(block: TokenBlock): Promise<void> {
    const { ids, lineEnds, borders } = block;
    let copied = 0;
    let line = 0;
    // Index in the batch = index in the block + shift.
    let shift = this.ids.length;
    for (const border of borders) {
      for (; line < border; line++) this.lineEnds.push(lineEnds[line] + shift - this.openStart);
      const end = border === 0 ? 0 : lineEnds[border - 1];
      this.closeDocument(end + shift);
      if (!this.isBatchFull(end + shift)) continue;
      this.ids.append(ids.subarray(copied, end));
      await this.writeBatch();
      copied = end;
      shift = -end;
    }
    for (; line < lineEnds.length; line++) this.lineEnds.push(lineEnds[line] + shift - this.openStart);
    this.ids.append(ids.subarray(copied));
    this.checkOpenDocument();
    this.count(block);
  }

  /** Close the open document, write what is left, and all that stands beside the shards. @returns the manifest. */
  async finish(): Promise<Manifest> {
    this.closeDocument(this.ids.length);
    if (this.ids.length > 0) await this.writeBatch();
    await this.closeShard();
    const manifest = this.manifest();
    await this.writeFile(vocabularyFile, this.vocabularyBytes);
    await this.writeFile(tokenCountsFile, printTokenCounts(this.pieceCounts));
    await this.writeFile(manifestFile, Buffer.from(printManifest(manifest)));
    await writeFileDurably(path.join(this.directory, sumsFile), printSums(this.sums));
    return manifest;
  }

  /** Let go of the open file; what was written stays for the caller to remove. */
  async abandon(): Promise<void> {
    await this.shard?.abandon();
    this.shard = undefined;
  }

  /** A document without a token is no row. */
  private closeDocument(end: number): void {
    if (end === this.openStart) return;
    this.openStart = end;
    this.idOffsets.push(end);
    this.lineOffsets.push(this.lineEnds.length);
  }

  private isBatchFull(tokens: number): boolean {
    if (tokens === 0) return false;
    return tokens >= this.batchTokens || (this.shard?.tokens ?? 0) + tokens >= this.description.settings.shardTokens;
  }

  private checkOpenDocument(): void {
    const tokens = this.ids.length - this.openStart;
    if (tokens <= maxDocumentTokens) return;
    throw new GalvaniError({
      stage: 'prepare',
      expected: `documents of at most ${maxDocumentTokens} tokens`,
      got: `one of ${tokens} or more`,
      where: `document ${this.shards.reduce((sum, shard) => sum + shard.rows, this.shard?.rows ?? 0)}`,
      remedy: 'Choose another --documents, or split the input.',
      kind: 'badInput',
    });
  }

  private count(block: TokenBlock): void {
    for (let id = 0; id < block.pieceCounts.length; id++) this.pieceCounts[id] += block.pieceCounts[id];
    this.unknownTokens += block.unknownTokens;
    this.droppedBytes += block.droppedBytes;
    this.lines += block.lineEnds.length;
  }

  private async writeBatch(): Promise<void> {
    this.shard ??= await ShardWriter.create(path.join(this.directory, this.shardName()), this.idType);
    await this.shard.write({
      ids: this.ids.view(),
      idOffsets: this.idOffsets.view(),
      lineEnds: this.lineEnds.view(),
      lineOffsets: this.lineOffsets.view(),
    });
    this.clearBatch();
    if (this.shard.tokens >= this.description.settings.shardTokens) await this.closeShard();
  }

  private clearBatch(): void {
    this.ids.length = 0;
    this.lineEnds.length = 0;
    this.idOffsets.length = 0;
    this.lineOffsets.length = 0;
    this.idOffsets.push(0);
    this.lineOffsets.push(0);
    this.openStart = 0;
  }

  private shardName(): string {
    return `shard-${String(this.shards.length).padStart(5, '0')}.arrow`;
  }

  private async closeShard(): Promise<void> {
    if (this.shard === undefined) return;
    const file = this.shardName();
    this.sums.set(file, await this.shard.close());
    const { rows, tokens, bytes } = this.shard;
    this.shards.push({ file, rows, tokens, bytes });
    this.shard = undefined;
  }

  private manifest(): Manifest {
    const total = (key: 'rows' | 'tokens') => this.shards.reduce((sum, shard) => sum + shard[key], 0);
    const sha256 = createHash('sha256').update(this.vocabularyBytes).digest('hex');
    return {
      format: 'galvani-tokens',
      formatVersion: 1,
      vocabulary: { sha256, size: this.vocabularySize },
      tokenizer: this.description.tokenizer,
      settings: this.description.settings,
      inputs: this.description.inputs,
      counts: {
        documents: total('rows'),
        lines: this.lines,
        tokens: total('tokens'),
        unknownTokens: this.unknownTokens,
        droppedBytes: this.droppedBytes,
      },
      idType: this.idType,
      shards: this.shards,
    };
  }

  private async writeFile(name: string, bytes: Uint8Array): Promise<void> {
    await writeFileDurably(path.join(this.directory, name), bytes);
    this.sums.set(name, createHash('sha256').update(bytes).digest('hex'));
  }
}

/** An Arrow file with one column `count: uint64`; row i counts the piece with id i. */
function printTokenCounts(counts: Float64Array): Uint8Array {
  const data = BigUint64Array.from(counts, BigInt);
  const schema = new Schema([new Field('count', new Uint64(), true)]);
  const column = makeData({ type: new Uint64(), length: data.length, nullCount: 0, data });
  const rows = makeData({ type: new Struct(schema.fields), length: data.length, nullCount: 0, children: [column] });
  return tableToIPC(new Table(schema, new RecordBatch(schema, rows)), 'file');
}
