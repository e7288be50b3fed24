/**
 * Reads from shards, synchronously: it is called in workers, which have nothing else to do, and mostly answered by the
 * page cache. Files are opened when they are first read, and stay open.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { GalvaniError } from '../errors.js';

export class FileReader {
  private readonly files = new Map<string, number>();

  /** Copy bytes [offset, offset + bytes) of a file into `target` from byte `at` on. @throws badInput if it ends before. */
  read(file: string, offset: number, bytes: number, target: Uint8Array, at: number): void {
    try {
      const descriptor = this.files.get(file) ?? this.open(file);
      let done = 0;
      while (done < bytes) {
        const read = readSync(descriptor, target, at + done, bytes - done, offset + done);
        if (read === 0) throw new RangeError(`the end of the file after ${done}`);
        done += read;
      }
    } catch (cause) {
      throw new GalvaniError({
        stage: 'shard',
        expected: `${bytes} bytes at offset ${offset}`,
        got: cause instanceof Error ? cause.message : String(cause),
        where: file,
        remedy: 'Was the dataset changed or moved meanwhile? "galvani verify" names what is damaged.',
        kind: 'badInput',
        cause,
      });
    }
  }

  close(): void {
    for (const descriptor of this.files.values()) closeSync(descriptor);
    this.files.clear();
  }

  private open(file: string): number {
    const descriptor = openSync(file, 'r');
    this.files.set(file, descriptor);
    return descriptor;
  }
}
