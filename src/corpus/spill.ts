/**
 * Blocks on their way from a worker to the writer by a file, where a task has more of them than should wait in memory: a
 * compressed file is one task, whatever its size. Each block is four lengths (uint32) and its arrays, as memory has them.
 */
import { type FileHandle, open, rm } from 'node:fs/promises';
import type { TokenBlock, TokenIds } from '../dataset/block.js';
import type { Manifest } from '../dataset/manifest.js';
import { explainWriteError, readFully, writePieces } from '../files.js';

export class SpillWriter {
  private constructor(
    private readonly file: string,
    private readonly handle: FileHandle,
  ) {}

  static async create(file: string): Promise<SpillWriter> {
    try {
      return new SpillWriter(file, await open(file, 'w'));
    } catch (error) {
      throw explainWriteError(error, file);
    }
  }

  async write({ ids, lineEnds, borders, textBytes }: TokenBlock): Promise<void> {
    const arrays = [ids, lineEnds, borders, textBytes ?? new Float64Array()];
    try {
      const lengths = Uint32Array.from(arrays, ({ length }) => length);
      await writePieces(
        this.handle,
        [lengths, ...arrays].map((array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)),
      );
    } catch (error) {
      throw explainWriteError(error, this.file);
    }
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

/** The blocks of a file that a worker wrote; it is removed behind the last one. */
export async function* readSpill(file: string, idType: Manifest['idType']): AsyncGenerator<TokenBlock> {
  const handle = await open(file, 'r');
  let at = 0;
  const read = async <A extends Uint16Array | Uint32Array | Float64Array>(array: A): Promise<A> => {
    const bytes = new Uint8Array(array.buffer);
    const found = await readFully(handle, bytes, at);
    if (found < bytes.length) throw new Error(`internal: ${file} ends after ${at + found} bytes`);
    at += bytes.length;
    return array;
  };
  try {
    const { size } = await handle.stat();
    while (at < size) {
      const [ids, lines, borders, textBytes] = await read(new Uint32Array(4));
      yield {
        ids: await read<TokenIds>(idType === 'uint16' ? new Uint16Array(ids) : new Uint32Array(ids)),
        lineEnds: await read(new Uint32Array(lines)),
        borders: await read(new Uint32Array(borders)),
        ...(textBytes > 0 && { textBytes: await read(new Float64Array(textBytes)) }),
      };
    }
  } finally {
    await handle.close();
    await rm(file, { force: true });
  }
}
