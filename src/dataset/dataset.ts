/**
 * Opens a folder that `galvani prepare` made: the manifest, and one shard after the other where its documents lie.
 * Token t of a shard is at `piece.fileOffset + idBytes × (t − piece.firstToken)` of its file, so any tokens of a document
 * are one positioned read. Opening a shard reads its footer and offsets, never the ids; what is read is checked, and
 * `galvani verify` checks the rest.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { tableFromIPC } from 'apache-arrow';
import { GalvaniError } from '../errors.js';
import { sha256File } from '../files.js';
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
  /** Where they were asked for: ends of the lines, in tokens of their document, and (rows + 1) where each document's begin. */
  lineEnds?: Uint32Array;
  lineOffsets?: Uint32Array;
}

export interface TokenDataset {
  directory: string;
  manifest: Manifest;
  /** Of manifest.json, in hex: what tells this dataset from any other. */
  manifestSha256: string;
  vocabularyPath: string;
  idBytes: 2 | 4;
}

/**
 * Reads no shard, but sees that all are there and as long as they should be.
 * @throws badInput that names the file, for a folder that is damaged or no dataset.
 */
export async function openDataset(directory: string): Promise<TokenDataset> {
  const manifest = await readManifest(directory);
  for (const entry of manifest.shards) await checkSize(path.join(directory, entry.file), entry.bytes);
  return {
    directory,
    manifest,
    manifestSha256: await sha256File(path.join(directory, manifestFile)),
    vocabularyPath: path.join(directory, vocabularyFile),
    idBytes: manifest.idType === 'uint16' ? 2 : 4,
  };
}

/** One shard after the other, with its lines if they are wanted. @throws badInput for one that is damaged. */
export async function* openShards(
  directory: string,
  manifest: Manifest,
  { withLines = false } = {},
): AsyncGenerator<Shard> {
  for (const entry of manifest.shards)
    yield await openShard(path.join(directory, entry.file), entry, manifest, withLines);
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

async function checkSize(file: string, bytes: number): Promise<void> {
  const { size } = await stat(file).catch((cause) => {
    throw damaged(file, 'a shard', 'no such file', cause);
  });
  if (size !== bytes) throw damaged(file, `${bytes} bytes`, String(size));
}

async function openShard(
  file: string,
  entry: Manifest['shards'][number],
  manifest: Manifest,
  withLines: boolean,
): Promise<Shard> {
  await checkSize(file, entry.bytes);
  const handle = await open(file, 'r').catch((cause) => {
    throw damaged(file, 'a shard that can be read', cause.code, cause);
  });
  try {
    const layout = await readLayout(handle, manifest.idType);
    const rows = await readRows(handle, layout);
    const shard = { path: file, ...rows, ...(withLines && (await readLines(handle, layout, rows.rowOffsets))) };
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
async function readRows(handle: FileHandle, layout: BatchLayout[]) {
  const rowOffsets = new Uint32Array(layout.reduce((sum, { rows }) => sum + rows, 1));
  const pieces: ShardPiece[] = [];
  let row = 0;
  let firstToken = 0;
  for (const { rows, tokens, idOffsetsAt, idsAt } of layout) {
    joinOffsets(rowOffsets, row, firstToken, await readOffsets(handle, idOffsetsAt, rows, tokens));
    pieces.push({ firstToken, tokens, fileOffset: idsAt });
    row += rows;
    firstToken += tokens;
  }
  return { rows: row, tokens: firstToken, rowOffsets, pieces };
}

async function readLines(handle: FileHandle, layout: BatchLayout[], rowOffsets: Uint32Array) {
  const lineOffsets = new Uint32Array(rowOffsets.length);
  const lineEnds = new Uint32Array(layout.reduce((sum, { lines }) => sum + lines, 0));
  let row = 0;
  let firstLine = 0;
  for (const { rows, lines, lineOffsetsAt, lineEndsAt } of layout) {
    joinOffsets(lineOffsets, row, firstLine, await readOffsets(handle, lineOffsetsAt, rows, lines));
    const ends = await readAt(handle, lineEndsAt, 4 * lines);
    lineEnds.set(new Uint32Array(ends.buffer, ends.byteOffset, lines), firstLine);
    row += rows;
    firstLine += lines;
  }
  checkLines(rowOffsets, lineOffsets, lineEnds);
  return { lineOffsets, lineEnds };
}

/** @throws RangeError unless the ends of a document's lines rise, and the last is its own. */
function checkLines(rowOffsets: Uint32Array, lineOffsets: Uint32Array, lineEnds: Uint32Array): void {
  for (let row = 0; row + 1 < rowOffsets.length; row++) {
    let end = 0;
    for (let line = lineOffsets[row]; line < lineOffsets[row + 1]; line++) {
      if (lineEnds[line] <= end) throw new RangeError(`a line that ends at token ${lineEnds[line]} after ${end}`);
      end = lineEnds[line];
    }
    const tokens = rowOffsets[row + 1] - rowOffsets[row];
    if (end !== tokens) throw new RangeError(`lines that end at token ${end} of ${tokens}`);
  }
}

async function readOffsets(handle: FileHandle, at: number, rows: number, total: number): Promise<Int32Array> {
  const bytes = await readAt(handle, at, 4 * (rows + 1));
  const offsets = new Int32Array(bytes.buffer, bytes.byteOffset, rows + 1);
  checkOffsets(offsets, total);
  return offsets;
}

function joinOffsets(joined: Uint32Array, row: number, first: number, offsets: Int32Array): void {
  for (let i = 1; i < offsets.length; i++) joined[row + i] = first + offsets[i];
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
