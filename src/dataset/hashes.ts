/**
 * The hashes of a shard's documents, beside it: `shard-00000.arrow` has `shard-00000.hashes`, 16 bytes a document in the
 * order of its rows, and nothing else. `merge --deduplicate` reads them instead of the ids.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { explainWriteError, readFully, syncAndClose, writeFully } from '../files.js';
import type { TokenIds } from './block.js';
import { damaged } from './damage.js';
import { hashBytes, hashIds, hashWords } from './hash.js';

/** The file of hashes that belongs to a shard's file, a name or a path. */
export function hashesFileOf(shardFile: string): string {
  return shardFile.replace(/\.arrow$/, '.hashes');
}

/** 64 KiB of hashes at a time. */
const pieceDocuments = 4096;
/** 1 MiB when they are read. */
const readDocuments = 1 << 16;

export class HashesWriter {
  private readonly sum = createHash('sha256');
  private readonly words = new Uint32Array(pieceDocuments * hashWords);

  private constructor(
    private readonly file: string,
    private readonly handle: FileHandle,
  ) {}

  static async create(file: string): Promise<HashesWriter> {
    try {
      return new HashesWriter(file, await open(file, 'wx'));
    } catch (error) {
      throw explainWriteError(error, file);
    }
  }

  /**
   * Hash the documents of a record batch and write them.
   *
   * idOffsets  (documents + 1): the first id of each document, and last the number of ids
   */
  async write(ids: TokenIds, idOffsets: Int32Array): Promise<void> {
    const documents = idOffsets.length - 1;
    try {
      for (let first = 0; first < documents; first += pieceDocuments) {
        const count = Math.min(pieceDocuments, documents - first);
        hashDocuments(ids, idOffsets.subarray(first, first + count + 1), this.words);
        const bytes = new Uint8Array(this.words.buffer, 0, 4 * hashWords * count);
        this.sum.update(bytes);
        await writeFully(this.handle, bytes);
      }
    } catch (error) {
      throw explainWriteError(error, this.file);
    }
  }

  /** Begin to flush to the disk. @returns the SHA-256 of the file, in hex, and when it is there. */
  close(): { sum: string; synced: Promise<void> } {
    return { sum: this.sum.digest('hex'), synced: syncAndClose(this.handle, this.file) };
  }

  async abandon(): Promise<void> {
    await this.handle.close();
  }
}

/**
 * The hashes in a file, four words each, some thousands at a time; a view holds until the next one.
 * @throws badInput where there are not as many as documents.
 */
export async function* readHashes(file: string, documents: number): AsyncGenerator<Uint32Array> {
  const handle = await open(file, 'r').catch((cause) => {
    throw damaged(file, 'a file of hashes', cause.code ?? String(cause), cause);
  });
  try {
    const { size } = await handle.stat();
    if (size !== hashBytes * documents) throw damaged(file, `${hashBytes * documents} bytes`, String(size));
    const words = new Uint32Array(hashWords * Math.min(documents, readDocuments));
    for (let first = 0; first < documents; first += readDocuments) {
      const piece = words.subarray(0, hashWords * (documents - first));
      await readFully(handle, new Uint8Array(piece.buffer, 0, piece.byteLength), hashBytes * first);
      yield piece;
    }
  } finally {
    await handle.close();
  }
}

/** The hashes of documents that lie one behind the other: four words each, into the beginning of `words`. */
export function hashDocuments(ids: TokenIds, idOffsets: Int32Array, words: Uint32Array): void {
  for (let document = 0; document < idOffsets.length - 1; document++) {
    hashIds(ids, idOffsets[document], idOffsets[document + 1], words, hashWords * document);
  }
}
