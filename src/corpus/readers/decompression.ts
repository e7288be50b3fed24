/**
 * Compressed files of the corpus as the bytes that were compressed, in order and in bounded memory: files and standard input,
 * of one member (gzip) or frame (zstd) or many. Nothing is skipped in silence: what ends too early, does not agree with its
 * checksum, or is followed by anything but zeros (gzip) is `Damage`, thrown after all that was good.
 */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { explainWriteError, writeFully } from '../../files.js';
import { CompressedInput, Damage } from './compressedInput.js';
import { gunzip } from './gzip.js';
import { unzstd } from './zstd.js';

export { Damage };
export type Compression = 'gzip' | 'zstd';

const readBytes = 1 << 18;

/**
 * @param source a path, or the compressed bytes themselves.
 * @param onRead is told how many compressed bytes have been read so far.
 * @returns pieces of at most 256 KiB. Whoever stops asking for them closes file and decoder.
 * @throws Damage, after all text before it; errors of the file system as they are.
 */
export async function* decompress(
  source: AsyncIterable<Uint8Array> | string,
  compression: Compression,
  onRead: (bytes: number) => void = () => {},
): AsyncGenerator<Uint8Array> {
  const stream = typeof source === 'string' ? createReadStream(source, { highWaterMark: readBytes }) : source;
  const bytes = stream[Symbol.asyncIterator]();
  try {
    const input = new CompressedInput(bytes, onRead);
    yield* compression === 'gzip' ? gunzip(input) : unzstd(input);
  } finally {
    await bytes.return?.();
  }
}

/**
 * Decompress a file into another one, for readers that must go to and fro in it (tables).
 * @throws Damage, when all before it has been written; where there is no room for it; what else the file system says, as it is.
 */
export async function decompressInto(path: string, compression: Compression, target: string): Promise<void> {
  const explain = (error: unknown) => {
    throw explainWriteError(error, target);
  };
  const file = await open(target, 'w').catch(explain);
  try {
    for await (const piece of decompress(path, compression)) await writeFully(file, piece).catch(explain);
  } finally {
    await file.close();
  }
}
