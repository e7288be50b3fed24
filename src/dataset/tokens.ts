/**
 * Reads runs of ids from shards, synchronously: it is called in workers, which have nothing else to do, and mostly
 * answered by the page cache. One positioned read a run, two across the end of a record batch.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { GalvaniError } from '../errors.js';
import type { ShardPiece } from './dataset.js';
import { lastAtMost, type TokenRun } from './examples.js';

export class TokenReader {
  private readonly files: (number | undefined)[] = [];

  constructor(
    private readonly shards: readonly { path: string; pieces: ShardPiece[] }[],
    private readonly idBytes: 2 | 4,
  ) {}

  /** Copy the ids of a run into `target` from byte `at` on. @returns the byte behind them. */
  read({ shard, startToken, tokens }: TokenRun, target: Uint8Array, at: number): number {
    const { path, pieces } = this.shards[shard];
    let piece = lastAtMost(pieces.length, (i) => pieces[i].firstToken, startToken);
    for (let token = startToken; token < startToken + tokens; piece++) {
      const { firstToken, tokens: pieceTokens, fileOffset } = pieces[piece];
      const end = Math.min(startToken + tokens, firstToken + pieceTokens);
      const bytes = (end - token) * this.idBytes;
      this.readFully(shard, path, target, at, bytes, fileOffset + (token - firstToken) * this.idBytes);
      at += bytes;
      token = end;
    }
    return at;
  }

  close(): void {
    for (const file of this.files) if (file !== undefined) closeSync(file);
    this.files.length = 0;
  }

  private readFully(shard: number, path: string, target: Uint8Array, at: number, bytes: number, offset: number): void {
    try {
      this.files[shard] ??= openSync(path, 'r');
      let done = 0;
      while (done < bytes) {
        const read = readSync(this.files[shard], target, at + done, bytes - done, offset + done);
        if (read === 0) throw new RangeError(`the end of the file after ${done}`);
        done += read;
      }
    } catch (cause) {
      throw new GalvaniError({
        stage: 'shard',
        expected: `${bytes} bytes of ids at offset ${offset}`,
        got: cause instanceof Error ? cause.message : String(cause),
        where: path,
        remedy: 'Was the dataset changed or moved meanwhile? "galvani verify" names what is damaged.',
        kind: 'badInput',
        cause,
      });
    }
  }
}
