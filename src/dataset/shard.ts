/**
 * One shard: an Arrow IPC *file* (random access by its footer), one row a document, several uncompressed record batches.
 *
 *   input_ids: list<uint16 | uint32>   the ids of the document
 *   line_ends: list<uint32>            ends of its lines that hold a token, in tokens from the document's start
 *
 * Written batch by batch with its SHA-256 taken on the way: memory is one batch. Read here is only where things lie.
 * Source: Arrow columnar format, "IPC File Format"; buffers of a list are validity, offsets, then those of its items.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import {
  AsyncByteQueue,
  type DataType,
  Field,
  List,
  makeData,
  RecordBatch,
  RecordBatchFileWriter,
  Schema,
  Struct,
  Uint16,
  Uint32,
} from 'apache-arrow';
import { Footer } from 'apache-arrow/ipc/metadata/file';
import { type RecordBatch as BatchMetadata, Message } from 'apache-arrow/ipc/metadata/message';
import { explainWriteError, readFully, syncAndClose, writePieces } from '../files.js';
import type { TokenIds } from './block.js';
import { HashesWriter, hashesFileOf } from './hashes.js';
import type { Manifest } from './manifest.js';

/** Rows that become one record batch. Offsets have one value more than there are rows and begin with 0. */
export interface BatchRows {
  ids: TokenIds;
  idOffsets: Int32Array;
  lineEnds: Uint32Array;
  lineOffsets: Int32Array;
}

function shardSchema(idType: Manifest['idType']): Schema {
  const item = (type: DataType) => new List(new Field('item', type, true));
  return new Schema([
    new Field('input_ids', item(idType === 'uint16' ? new Uint16() : new Uint32()), true),
    new Field('line_ends', item(new Uint32()), true),
  ]);
}

/** What the Arrow writer emits, kept until it is on its way to the file. */
class ChunkQueue extends AsyncByteQueue {
  private chunks: Uint8Array[] = [];

  override write(chunk: Uint8Array): void {
    this.chunks.push(chunk);
  }

  take(): Uint8Array[] {
    const taken = this.chunks;
    this.chunks = [];
    return taken;
  }
}

export interface WrittenShard {
  /** SHA-256 of the two files, in hex. */
  sums: { shard: string; hashes: string };
  /** Resolves when they are on the disk, which takes a while. */
  synced: Promise<void>;
}

/** Writes a shard, and the hashes of its documents beside it (hashes.ts). */
export class ShardWriter {
  private readonly queue = new ChunkQueue();
  private readonly arrow: RecordBatchFileWriter;
  private readonly hash = createHash('sha256');
  private readonly schema: Schema;
  rows = 0;
  tokens = 0;
  bytes = 0;

  private constructor(
    private readonly file: string,
    private readonly handle: FileHandle,
    private readonly hashes: HashesWriter,
    idType: Manifest['idType'],
  ) {
    this.schema = shardSchema(idType);
    this.arrow = new RecordBatchFileWriter();
    this.arrow.reset(this.queue, null);
  }

  static async create(file: string, idType: Manifest['idType']): Promise<ShardWriter> {
    const hashes = await HashesWriter.create(hashesFileOf(file));
    try {
      return new ShardWriter(file, await open(file, 'wx'), hashes, idType);
    } catch (error) {
      await hashes.abandon();
      throw explainWriteError(error, file);
    }
  }

  /** Resolves when the rows are handed to the operating system, so that their arrays may be used again. */
  async write(rows: BatchRows): Promise<void> {
    this.arrow.write(recordBatch(this.schema, rows));
    this.rows += rows.idOffsets.length - 1;
    this.tokens += rows.ids.length;
    await this.drain();
    await this.hashes.write(rows.ids, rows.idOffsets);
  }

  /** Write the footer, and begin to flush both files to the disk. */
  async close(): Promise<WrittenShard> {
    this.arrow.close();
    await this.drain();
    const { sum, synced } = this.hashes.close();
    return {
      sums: { shard: this.hash.digest('hex'), hashes: sum },
      synced: Promise.all([syncAndClose(this.handle, this.file), synced]).then(() => {}),
    };
  }

  async abandon(): Promise<void> {
    await this.handle.close();
    await this.hashes.abandon();
  }

  private async drain(): Promise<void> {
    try {
      const chunks = this.queue.take();
      for (const chunk of chunks) {
        this.hash.update(chunk);
        this.bytes += chunk.byteLength;
      }
      await writePieces(this.handle, chunks);
    } catch (error) {
      throw explainWriteError(error, this.file);
    }
  }
}

function recordBatch(schema: Schema, { ids, idOffsets, lineEnds, lineOffsets }: BatchRows): RecordBatch {
  const length = idOffsets.length - 1;
  const list = (field: Field, valueOffsets: Int32Array, data: TokenIds) => {
    const type = field.type as List;
    const child = makeData({ type: type.children[0].type as Uint32, length: data.length, data: data as Uint32Array });
    return makeData({ type, length, nullCount: 0, valueOffsets, child });
  };
  const [idField, lineField] = schema.fields;
  const children = [list(idField, idOffsets, ids), list(lineField, lineOffsets, lineEnds)];
  return new RecordBatch(schema, makeData({ type: new Struct(schema.fields), length, nullCount: 0, children }));
}

/** Where the buffers of one record batch lie, in bytes from the start of the file; lengths in items. */
export interface BatchLayout {
  rows: number;
  tokens: number;
  lines: number;
  idOffsetsAt: number;
  idsAt: number;
  lineOffsetsAt: number;
  lineEndsAt: number;
}

const magic = Buffer.from('ARROW1');

/** Read the footer and the metadata of every batch. @throws RangeError that says what is wrong with the bytes. */
export async function readLayout(handle: FileHandle, idType: Manifest['idType']): Promise<BatchLayout[]> {
  const { size } = await handle.stat();
  const end = await readAt(handle, size - 10, 10);
  const footerBytes = end.readInt32LE(0);
  if (!end.subarray(4).equals(magic)) throw new RangeError('a file that does not end as an Arrow file does');
  const footer = Footer.decode(await readAt(handle, size - 10 - footerBytes, footerBytes));
  if (describeFields(footer.schema) !== describeFields(shardSchema(idType))) {
    throw new RangeError(`the columns ${describeFields(footer.schema)}`);
  }
  const batches: BatchLayout[] = [];
  for (const block of footer.recordBatches()) {
    // The metadata begins with a continuation marker and its own length, 4 bytes each.
    const metadata = await readAt(handle, block.offset, block.metaDataLength);
    const message = Message.decode(metadata.subarray(8));
    if (!message.isRecordBatch()) throw new RangeError('a block that is no record batch');
    batches.push(placeBuffers(message.header(), block.offset + block.metaDataLength, size));
  }
  return batches;
}

function describeFields(schema: Schema): string {
  return schema.fields.map((field) => `${field.name}: ${field.type}`).join(', ');
}

function placeBuffers(batch: BatchMetadata, bodyAt: number, fileBytes: number): BatchLayout {
  const { nodes, buffers, compression } = batch;
  if (compression) throw new RangeError('compressed record batches');
  if (nodes.length !== 4 || buffers.length !== 8) throw new RangeError(`${buffers.length} buffers in a record batch`);
  for (const { offset, length } of buffers) {
    if (offset < 0 || bodyAt + offset + length > fileBytes) throw new RangeError('a buffer beyond the end of the file');
  }
  return {
    rows: nodes[0].length,
    tokens: nodes[1].length,
    lines: nodes[3].length,
    idOffsetsAt: bodyAt + buffers[1].offset,
    idsAt: bodyAt + buffers[3].offset,
    lineOffsetsAt: bodyAt + buffers[5].offset,
    lineEndsAt: bodyAt + buffers[7].offset,
  };
}

/** Exactly `length` bytes at `position`. @throws RangeError when the file ends before. */
export async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  if (position < 0 || length < 0) throw new RangeError('a file that is too short');
  // Its own memory, so that views of 2 and 4 bytes begin aligned.
  const bytes = Buffer.from(new ArrayBuffer(length));
  if ((await readFully(handle, bytes, position)) < length) throw new RangeError('a file that is too short');
  return bytes;
}
