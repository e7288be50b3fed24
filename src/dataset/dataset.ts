/**
 * Opens a folder that `galvani prepare` made: the manifest, and where every token lies.
 * Token t of a shard is at `piece.fileOffset + idBytes × (t − piece.firstToken)` of its file, so any window of tokens is
 * one positioned read (two across a piece's end). Opening reads footers and document offsets, never the ids; what it
 * reads is checked, and `galvani verify` checks the rest.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { tableFromIPC } from 'apache-arrow';
import { GalvaniError } from '../errors.js';
import { damaged } from './damage.js';
import { type Manifest, manifestFile, parseManifest, tokenCountsFile, vocabularyFile } from './manifest.js';
import { type BatchLayout, readAt, readLayout } from './shard.js';
import { readSums } from './sums.js';

/** A run of ids that is contiguous in the file: one record batch. */
export interface ShardPiece {
  firstToken: number;
  tokens: number;
  /** Bytes from the start of the file to the piece's first id; a multiple of 8. */
  fileOffset: number;
}

export interface Shard {
  path: string;
  rows: number;
  tokens: number;
  /** (rows + 1): the first token of each document within the shard, and last the number of tokens. */
  rowOffsets: Uint32Array;
  pieces: ShardPiece[];
}

export interface TokenDataset {
  directory: string;
  manifest: Manifest;
  vocabularyPath: string;
  idBytes: 2 | 4;
  shards: Shard[];
}

/** @throws badInput that names the file, for a folder that is damaged or no dataset. */
export async function openDataset(directory: string): Promise<TokenDataset> {
  const manifest = await readManifest(directory);
  const shards: Shard[] = [];
  for await (const shard of openShards(directory, manifest)) shards.push(shard);
  return {
    directory,
    manifest,
    vocabularyPath: path.join(directory, vocabularyFile),
    idBytes: manifest.idType === 'uint16' ? 2 : 4,
    shards,
  };
}

/** One shard after the other, for who needs no more of them at a time. @throws badInput for one that is damaged. */
export async function* openShards(directory: string, manifest: Manifest): AsyncGenerator<Shard> {
  for (const entry of manifest.shards) yield await openShard(path.join(directory, entry.file), entry, manifest);
}

/** The manifest, with its own checksum and the vocabulary's checked. */
export async function readManifest(directory: string): Promise<Manifest> {
  const file = path.join(directory, manifestFile);
  const bytes = await readFile(file).catch((cause) => {
    throw new GalvaniError({
      stage: 'dataset',
      expected: 'a folder made by "galvani prepare"',
      got: `one without ${manifestFile}`,
      where: directory,
      remedy: 'Give the folder that was its --output.',
      kind: 'badInput',
      cause,
    });
  });
  const sums = await readSums(directory);
  const manifest = parseManifest(bytes.toString('utf8'), file);
  if (sha256(bytes) !== sums.get(manifestFile)) throw damaged(file, 'the bytes that SHA256SUMS covers', 'others');
  const vocabulary = path.join(directory, vocabularyFile);
  const vocabularyBytes = await readFile(vocabulary).catch((cause) => {
    throw damaged(vocabulary, 'the vocabulary', 'no such file', cause);
  });
  if (sha256(vocabularyBytes) !== manifest.vocabulary.sha256) {
    throw damaged(vocabulary, 'the vocabulary that the manifest names', 'another');
  }
  return manifest;
}

/** Count of every piece in the whole dataset, by id. */
export async function readTokenCounts(dataset: Pick<TokenDataset, 'directory' | 'manifest'>): Promise<Float64Array> {
  const file = path.join(dataset.directory, tokenCountsFile);
  try {
    const column = tableFromIPC(await readFile(file)).getChild('count');
    const counts = Float64Array.from((column?.toArray() ?? []) as BigUint64Array, Number);
    if (counts.length === dataset.manifest.vocabulary.size) return counts;
    throw damaged(file, `${dataset.manifest.vocabulary.size} counts`, String(counts.length));
  } catch (error) {
    if (error instanceof GalvaniError) throw error;
    throw damaged(file, 'an Arrow file of token counts', 'something else', error);
  }
}

async function openShard(file: string, entry: Manifest['shards'][number], manifest: Manifest): Promise<Shard> {
  const bytes = await stat(file).catch((cause) => {
    throw damaged(file, 'a shard', 'no such file', cause);
  });
  if (bytes.size !== entry.bytes) throw damaged(file, `${entry.bytes} bytes`, String(bytes.size));
  const handle = await open(file, 'r');
  try {
    const layout = await readLayout(handle, manifest.idType);
    const shard = await readOffsets(handle, file, layout);
    if (shard.rows !== entry.rows || shard.tokens !== entry.tokens) {
      throw new RangeError(`${shard.rows} rows and ${shard.tokens} tokens`);
    }
    return shard;
  } catch (error) {
    if (error instanceof GalvaniError) throw error;
    throw damaged(
      file,
      `an Arrow file of ${entry.rows} rows and ${entry.tokens} tokens`,
      error instanceof RangeError ? error.message : 'something else',
      error,
    );
  } finally {
    await handle.close();
  }
}

/** Join the offsets of all batches, and check on the way that documents follow each other without a gap. */
async function readOffsets(handle: FileHandle, file: string, layout: BatchLayout[]): Promise<Shard> {
  const rows = layout.reduce((sum, batch) => sum + batch.rows, 0);
  const rowOffsets = new Uint32Array(rows + 1);
  const pieces: ShardPiece[] = [];
  let row = 0;
  let firstToken = 0;
  for (const batch of layout) {
    const bytes = await readAt(handle, batch.idOffsetsAt, 4 * (batch.rows + 1));
    const offsets = new Int32Array(bytes.buffer, bytes.byteOffset, batch.rows + 1);
    checkOffsets(offsets, batch.tokens);
    for (let i = 1; i <= batch.rows; i++) rowOffsets[row + i] = firstToken + offsets[i];
    pieces.push({ firstToken, tokens: batch.tokens, fileOffset: batch.idsAt });
    row += batch.rows;
    firstToken += batch.tokens;
  }
  return { path: file, rows, tokens: firstToken, rowOffsets, pieces };
}

/** @throws RangeError unless the offsets rise from 0 to `total` and no row is empty. */
export function checkOffsets(offsets: Int32Array, total: number): void {
  for (let i = 1; i < offsets.length; i++) {
    if (offsets[i] <= offsets[i - 1]) throw new RangeError(`row offset ${offsets[i]} after ${offsets[i - 1]}`);
  }
  const last = offsets[offsets.length - 1];
  if (offsets[0] !== 0 || last !== total) throw new RangeError(`row offsets from ${offsets[0]} to ${last} of ${total}`);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
