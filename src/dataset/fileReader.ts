/**
 * Reads from shards, synchronously: it is called in workers, which have nothing else to do, and mostly answered by the
 * page cache. A file is opened when it is read, and some stay open: a process has few descriptors, a corpus many shards.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { GalvaniError } from '../errors.js';

const mostOpen = 32;

export class FileReader {
  /** Descriptors by file, the one that was read last at the end. */
  private readonly files = new Map<string, number>();

  /** Copy bytes [offset, offset + bytes) of a file into `target` from byte `at` on. @throws badInput if it ends before. */
  read(file: string, offset: number, bytes: number, target: Uint8Array, at: number): void {
    try {
      const descriptor = this.files.get(file) ?? this.open(file);
      this.files.delete(file);
      this.files.set(file, descriptor);
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
    const [oldest] = this.files;
    if (this.files.size === mostOpen) {
      closeSync(oldest[1]);
      this.files.delete(oldest[0]);
    }
    return openSync(file, 'r');
  }
}
