/**
 * Documents that equal an earlier one, found by their hashes in bounded memory.
 *
 *   pass 1  every (hash, ordinal) goes to one of P partitions by the hash's top bits, all in one file on the disk
 *   pass 2  partition by partition, a table holds the hashes met so far; who finds its own there is a duplicate
 *
 * Equal hashes meet in one partition, and every partition keeps the order of the documents, so the first of them stays,
 * however the documents are spread over files. A partition holds about 2²¹ different hashes; those that come again and
 * again, however often, take no more room.
 * Memory: a bit a document, 64 MiB of table (96 while it grows), 32 MiB of buffers. Disk: 24 bytes a document, gone when it returns.
 */
import { type FileHandle, open, rm } from 'node:fs/promises';
import { explainWriteError, readFully, writeFully } from '../files.js';
import { hashWords } from './hash.js';
import { readHashes } from './hashes.js';

/** A file of hashes and how many there are in it. */
export interface HashFile {
  file: string;
  documents: number;
}

/** One bit for each document, counted through all files. */
export class DocumentMarks {
  private readonly bits: Uint8Array;
  count = 0;

  constructor(readonly documents: number) {
    this.bits = new Uint8Array(Math.ceil(documents / 8));
  }

  mark(document: number): void {
    this.bits[Math.floor(document / 8)] |= 1 << (document % 8);
    this.count++;
  }

  has(document: number): boolean {
    return (this.bits[Math.floor(document / 8)] & (1 << (document % 8))) !== 0;
  }
}

const meantHashes = 1 << 21;
const bufferWords = (32 << 20) / 4;
/** 64 KiB. */
const mostChunkRecords = 2730;
/** Four words of hash, and the ordinal: its low 32 bits, and the rest. */
const recordWords = hashWords + 2;

export interface DuplicateOptions {
  /** A file that must not exist. */
  temporary: string;
  /** Different hashes that a partition should hold. */
  partitionHashes?: number;
  /** Documents read in pass 1, now and then. */
  onProgress?(documents: number): void;
}

export async function findDuplicates(
  files: readonly HashFile[],
  { temporary, partitionHashes = meantHashes, onProgress }: DuplicateOptions,
): Promise<DocumentMarks> {
  const documents = files.reduce((sum, file) => sum + file.documents, 0);
  const marks = new DocumentMarks(documents);
  const partitions = await Partitions.create(temporary, Math.ceil(documents / partitionHashes));
  try {
    let ordinal = 0;
    for (const file of files) {
      for await (const hashes of readHashes(file.file, file.documents)) {
        await partitions.add(hashes, ordinal);
        ordinal += hashes.length / hashWords;
        onProgress?.(ordinal);
      }
    }
    const seen = new HashSet();
    for (let partition = 0; partition < partitions.count; partition++) {
      seen.clear();
      for await (const records of partitions.read(partition)) {
        for (let at = 0; at < records.length; at += recordWords) {
          if (!seen.add(records, at)) marks.mark(records[at + hashWords] + 2 ** 32 * records[at + hashWords + 1]);
        }
      }
    }
    return marks;
  } finally {
    await partitions.remove();
  }
}

/** Records in P partitions of one file, which is cut into chunks of equal size; each chunk belongs to one partition. */
class Partitions {
  private readonly chunkWords: number;
  /** A chunk for each partition, and how many words of it are in use. */
  private readonly buffers: Uint32Array;
  private readonly used: Uint32Array;
  /** By partition, its full chunks: their numbers in the file. */
  private readonly chunks: number[][];
  private written = 0;

  private constructor(
    private readonly file: string,
    private readonly handle: FileHandle,
    readonly count: number,
  ) {
    const records = Math.floor(bufferWords / recordWords / count);
    this.chunkWords = recordWords * Math.max(1, Math.min(records, mostChunkRecords));
    this.buffers = new Uint32Array(count * this.chunkWords);
    this.used = new Uint32Array(count);
    this.chunks = Array.from({ length: count }, () => []);
  }

  static async create(file: string, count: number): Promise<Partitions> {
    try {
      return new Partitions(file, await open(file, 'wx+'), count);
    } catch (error) {
      throw explainWriteError(error, file);
    }
  }

  /** Add the hashes of documents with the ordinals `first`, `first + 1`, … */
  async add(hashes: Uint32Array, first: number): Promise<void> {
    const { buffers, used, chunkWords, count } = this;
    for (let at = 0, ordinal = first; at < hashes.length; at += hashWords, ordinal++) {
      const partition = Math.floor((hashes[at] / 2 ** 32) * count);
      const to = partition * chunkWords + used[partition];
      for (let word = 0; word < hashWords; word++) buffers[to + word] = hashes[at + word];
      buffers[to + hashWords] = ordinal;
      buffers[to + hashWords + 1] = ordinal / 2 ** 32;
      used[partition] += recordWords;
      if (used[partition] === chunkWords) await this.flush(partition);
    }
  }

  /** The records of a partition in the order they were added, a chunk at a time; a view holds until the next. */
  async *read(partition: number): AsyncGenerator<Uint32Array> {
    const chunk = new Uint32Array(this.chunkWords);
    for (const number of this.chunks[partition]) {
      await readFully(this.handle, new Uint8Array(chunk.buffer), number * chunk.byteLength);
      yield chunk;
    }
    const start = partition * this.chunkWords;
    yield this.buffers.subarray(start, start + this.used[partition]);
  }

  async remove(): Promise<void> {
    await this.handle.close();
    await rm(this.file, { force: true });
  }

  private async flush(partition: number): Promise<void> {
    const start = partition * this.chunkWords;
    const chunk = this.buffers.subarray(start, start + this.chunkWords);
    try {
      await writeFully(this.handle, new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    } catch (error) {
      throw explainWriteError(error, this.file);
    }
    this.chunks[partition].push(this.written++);
    this.used[partition] = 0;
  }
}

/** Hashes by open addressing. A slot of zeros is empty: that is the hash of no tokens, which no row has. */
class HashSet {
  private words = new Uint32Array(hashWords << 16);
  private size = 0;

  /** @returns false if it is there already. */
  add(from: Uint32Array, at: number): boolean {
    if (4 * hashWords * this.size >= 3 * this.words.length) this.grow();
    const { words } = this;
    const last = words.length - hashWords;
    // Top bits of the first word have chosen the partition.
    let slot = (from[at + 1] * hashWords) & last;
    for (; !isEmpty(words, slot); slot = (slot + hashWords) & last) if (isEqual(words, slot, from, at)) return false;
    for (let word = 0; word < hashWords; word++) words[slot + word] = from[at + word];
    this.size++;
    return true;
  }

  clear(): void {
    this.words.fill(0);
    this.size = 0;
  }

  private grow(): void {
    const { words } = this;
    this.words = new Uint32Array(2 * words.length);
    this.size = 0;
    for (let at = 0; at < words.length; at += hashWords) if (!isEmpty(words, at)) this.add(words, at);
  }
}

function isEmpty(words: Uint32Array, slot: number): boolean {
  return (words[slot] | words[slot + 1] | words[slot + 2] | words[slot + 3]) === 0;
}

function isEqual(a: Uint32Array, i: number, b: Uint32Array, j: number): boolean {
  return a[i] === b[j] && a[i + 1] === b[j + 1] && a[i + 2] === b[j + 2] && a[i + 3] === b[j + 3];
}
