/**
 * The examples of a dataset: which tokens stand in which row of a batch, for one way to form them (`kinds.ts`), one T and
 * one side of the held-out split. They are numbered in the order of the corpus.
 *
 * The index is built once, by one pass over the offsets of the shards, and kept in a file beside them (in the user's cache
 * where that folder cannot be written to). Memory is 16 bytes a block: the rest is read where it lies.
 */
import path from 'node:path';
import { cacheFolder } from '../../cacheFolder.js';
import { GalvaniError } from '../../errors.js';
import { makePlaceFor, removeLeftovers, writeFileDurably } from '../../files.js';
import { openShards, type Shard, type TokenDataset } from '../dataset.js';
import { shardFileAt } from '../manifest.js';
import { readHeldOut } from '../split.js';
import { BlockBuilder, examplesPerBlock } from './blocks.js';
import type { Cutter } from './cutter.js';
import { type BlockTable, type IndexFooter, type IndexOrigin, readIndexFile, TableWriter } from './indexFile.js';
import { type ExampleKind, makeCutter } from './kinds.js';

export type Split = 'train' | 'validation';

/** Plain data, for workers too. */
export interface ExampleIndex extends Omit<IndexFooter, 'formatVersion' | 'origin'> {
  /** The file. */
  file: string;
  table: BlockTable;
  shardFiles: string[];
  idBytes: 2 | 4;
}

export interface ExampleOptions {
  /** How rows are formed. */
  kind: ExampleKind;
  /** T */
  sequenceLength: number;
  split: Split;
  /** Share of the documents that is held out, 0 ≤ fraction < 1. */
  validationFraction: number;
}

/**
 * Opens the index, and builds it first where there is none, in blocks of so many examples.
 * @throws badInput if it holds no example.
 */
export async function openExamples(
  dataset: TokenDataset,
  options: ExampleOptions,
  blockExamples = examplesPerBlock(options.sequenceLength),
): Promise<ExampleIndex> {
  const origin: IndexOrigin = { manifestSha256: dataset.manifestSha256, ...options };
  const { kind, sequenceLength, split, validationFraction } = options;
  const name = `examples-${kind}-${sequenceLength}-${split}-${validationFraction}.index`;
  const cached = path.join(cacheFolder('examples'), `${dataset.manifestSha256}-${name}`);
  const places = [path.join(dataset.directory, name), cached];
  for (const file of places) {
    const index = await openFile(file, origin, dataset);
    if (index !== undefined) return index;
  }
  const file = await build(places, dataset, origin, blockExamples);
  const { footer, table } = await readIndexFile(file);
  return indexOf(file, footer, table, dataset);
}

/** Undefined where there is no such file, or not the one that is wanted: a damaged one is built anew. */
async function openFile(file: string, origin: IndexOrigin, dataset: TokenDataset): Promise<ExampleIndex | undefined> {
  try {
    const { footer, table } = await readIndexFile(file);
    const isWanted = Object.entries(origin).every(
      ([name, value]) => footer.origin[name as keyof IndexOrigin] === value,
    );
    return isWanted ? indexOf(file, footer, table, dataset) : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined && !(error instanceof RangeError)) throw error;
    return undefined;
  }
}

function indexOf(file: string, footer: IndexFooter, table: BlockTable, dataset: TokenDataset): ExampleIndex {
  const { formatVersion: _, origin: __, ...totals } = footer;
  const shardFiles = dataset.manifest.shards.map((_, i) => path.join(dataset.directory, shardFileAt(i)));
  return { ...totals, file, table, shardFiles, idBytes: dataset.idBytes };
}

/** @returns the file: beside the shards, or in the cache where nothing can be written there. */
async function build(
  [beside, cached]: string[],
  dataset: TokenDataset,
  origin: IndexOrigin,
  blockExamples: number,
): Promise<string> {
  await removeLeftovers(beside);
  try {
    await writeFileDurably(beside, indexBytes(dataset, origin, blockExamples));
    return beside;
  } catch (error) {
    const isUnwritable =
      error instanceof GalvaniError &&
      error.stage === 'write' &&
      ['EACCES', 'EPERM', 'EROFS'].includes((error.cause as NodeJS.ErrnoException).code ?? '');
    if (!isUnwritable) throw error;
    await makePlaceFor(cached);
    await writeFileDurably(cached, indexBytes(dataset, origin, blockExamples));
    return cached;
  }
}

/** The file of the index, piece by piece. */
async function* indexBytes(
  dataset: TokenDataset,
  origin: IndexOrigin,
  blockExamples: number,
): AsyncGenerator<Uint8Array> {
  const { kind, sequenceLength, split, validationFraction } = origin;
  const builder = new BlockBuilder(blockExamples, dataset.idBytes);
  const cutter = makeCutter(kind, builder, sequenceLength, blockExamples);
  const table = new TableWriter();
  let [number, ordinal, documents, documentTokens] = [0, 0, 0, 0];
  for await (const shard of openShards(dataset.directory, dataset.manifest, { withLines: cutter.needsLines })) {
    const held = await readHeldOut(shard.path, shard.rows, validationFraction);
    builder.addShard(shard.pieces);
    for (let row = 0; row < shard.rows; row++) {
      if (held[row] !== (split === 'validation' ? 1 : 0)) continue;
      documents++;
      documentTokens += shard.rowOffsets[row + 1] - shard.rowOffsets[row];
      addDocument(cutter, shard, number, row, ordinal + row);
    }
    number++;
    ordinal += shard.rows;
    yield* builder.take().map((block) => table.add(block));
  }
  cutter.finish();
  builder.finish();
  yield* builder.take().map((block) => table.add(block));
  const { examples, tokens, segments, largestBlockWords, largestBlockTokens } = builder;
  if (examples === 0) throw noExamples(dataset, origin, ordinal);
  const blocks = { blockExamples, examples, tokens, segments, largestBlockWords, largestBlockTokens };
  yield table.finish({ formatVersion: 2, origin, ...blocks, documents, documentTokens });
}

function addDocument(cutter: Cutter, shard: Shard, number: number, row: number, ordinal: number): void {
  const { rowOffsets, lineOffsets, lineEnds } = shard;
  cutter.add({
    shard: number,
    start: rowOffsets[row],
    tokens: rowOffsets[row + 1] - rowOffsets[row],
    ordinal,
    lineEnds: lineOffsets && lineEnds?.subarray(lineOffsets[row], lineOffsets[row + 1]),
  });
}

function noExamples(dataset: TokenDataset, { split, validationFraction }: IndexOrigin, documents: number) {
  return new GalvaniError({
    stage: 'examples',
    expected: `documents with tokens for ${split === 'train' ? 'training' : 'validation'}`,
    got: `none among ${documents} documents at a validation fraction of ${validationFraction}`,
    where: dataset.directory,
    remedy: 'Change the validation fraction, or prepare more text.',
    kind: 'badInput',
  });
}
