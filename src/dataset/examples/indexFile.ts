/**
 * The file of an example index. Only the table and the footer are read when it is opened; blocks are read when they are
 * needed. Every byte is covered by a CRC-32.
 *
 *   blocks  one behind the other (blocks.ts)
 *   table   (blocks) of 16 bytes: offset f64, words u32, CRC-32 of the block u32
 *   footer  JSON: what it was made from, and totals
 *   tail    24 bytes: bytes of the footer u32, CRC-32 of table and footer u32, blocks f64, "galvexam"
 */
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { readAt } from '../shard.js';
import { exampleKinds } from './kinds.js';

const magic = Buffer.from('galvexam');
const tailBytes = 24;
const entryBytes = 16;

const count = z.int().nonnegative();

/** What decides which examples there are. */
const originSchema = z.strictObject({
  manifestSha256: z.string(),
  kind: z.enum(exampleKinds),
  sequenceLength: count,
  split: z.enum(['train', 'validation']),
  validationFraction: z.number(),
});
export type IndexOrigin = z.infer<typeof originSchema>;

const footerSchema = z.strictObject({
  formatVersion: z.literal(2),
  origin: originSchema,
  /** Examples of each block but the last. */
  blockExamples: count,
  examples: count,
  /** Tokens of all examples, without special ones. */
  tokens: count,
  /** Documents of this side of the split, and their tokens. */
  documents: count,
  documentTokens: count,
  /** Segments of the example that has most. */
  segments: count,
  largestBlockWords: count,
  largestBlockTokens: count,
});
export type IndexFooter = z.infer<typeof footerSchema>;

/** Where the blocks lie: in shared memory, since workers read it too. */
export interface BlockTable {
  offsets: Float64Array;
  words: Uint32Array;
  crcs: Uint32Array;
}

/** Collects the table while blocks are written. */
export class TableWriter {
  private readonly entries: { offset: number; words: number; crc: number }[] = [];
  private offset = 0;

  /** The bytes of the next block. */
  add(block: Uint32Array<ArrayBuffer>): Uint8Array {
    const bytes = new Uint8Array(block.buffer, block.byteOffset, block.byteLength);
    this.entries.push({ offset: this.offset, words: block.length, crc: crc32(bytes) });
    this.offset += bytes.length;
    return bytes;
  }

  /** What stands behind the last block. */
  finish(footer: IndexFooter): Uint8Array {
    const json = Buffer.from(JSON.stringify(footer));
    const table = Buffer.alloc(entryBytes * this.entries.length);
    for (const [i, { offset, words, crc }] of this.entries.entries()) {
      table.writeDoubleLE(offset, entryBytes * i);
      table.writeUInt32LE(words, entryBytes * i + 8);
      table.writeUInt32LE(crc, entryBytes * i + 12);
    }
    const tail = Buffer.alloc(tailBytes);
    tail.writeUInt32LE(json.length, 0);
    tail.writeUInt32LE(crc32(json, crc32(table)), 4);
    tail.writeDoubleLE(this.entries.length, 8);
    magic.copy(tail, 16);
    return Buffer.concat([table, json, tail]);
  }
}

/** @throws RangeError that says what is wrong with the bytes; the system's error where there is no such file. */
export async function readIndexFile(file: string): Promise<{ footer: IndexFooter; table: BlockTable }> {
  const handle = await open(file, 'r');
  try {
    return await readEnd(handle);
  } finally {
    await handle.close();
  }
}

async function readEnd(handle: FileHandle): Promise<{ footer: IndexFooter; table: BlockTable }> {
  const { size } = await handle.stat();
  const tail = await readAt(handle, size - tailBytes, tailBytes);
  const blocks = tail.readDoubleLE(8);
  const bytes = entryBytes * blocks + tail.readUInt32LE(0);
  if (!tail.subarray(16).equals(magic) || !Number.isSafeInteger(blocks) || bytes > size - tailBytes) {
    throw new RangeError('another end');
  }
  const end = await readAt(handle, size - tailBytes - bytes, bytes);
  if (crc32(end) !== tail.readUInt32LE(4)) throw new RangeError('another checksum');
  const { data: footer } = footerSchema.safeParse(JSON.parse(end.subarray(entryBytes * blocks).toString('utf8')));
  if (footer === undefined) throw new RangeError('another version');
  const table = {
    offsets: new Float64Array(new SharedArrayBuffer(8 * blocks)),
    words: new Uint32Array(new SharedArrayBuffer(4 * blocks)),
    crcs: new Uint32Array(new SharedArrayBuffer(4 * blocks)),
  };
  for (let i = 0; i < blocks; i++) {
    table.offsets[i] = end.readDoubleLE(entryBytes * i);
    table.words[i] = end.readUInt32LE(entryBytes * i + 8);
    table.crcs[i] = end.readUInt32LE(entryBytes * i + 12);
  }
  return { footer, table };
}
