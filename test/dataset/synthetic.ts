/** Small datasets made without text, for tests of whatever reads shards. A document is a list of lines of ids. */
import { mkdirSync } from 'node:fs';
import type { TextCounts, TokenBlock } from '../../src/dataset/block.js';
import { openShards, readManifest, type Shard } from '../../src/dataset/dataset.js';
import { hashIds } from '../../src/dataset/hash.js';
import { idTypeFor, type Manifest } from '../../src/dataset/manifest.js';
import { markHeldOut } from '../../src/dataset/split.js';
import { DatasetWriter } from '../../src/dataset/writer.js';

export type Documents = number[][][];

export interface SyntheticSettings {
  vocabularySize?: number;
  /** The piece of an id that is not special. Default `w` and the id. */
  pieceOf?: (id: number) => string;
  shardTokens?: number;
  batchTokens?: number;
  part?: Manifest['part'];
  inputs?: Manifest['inputs'];
  /** What else was found in the text. */
  found?: Partial<TextCounts>;
}

/** Write `documents` into `directory`, which must not exist. The vocabulary is [PAD] [UNK] [CLS] [SEP] [MASK] w5 w6 … */
export async function writeSyntheticDataset(
  directory: string,
  documents: Documents,
  {
    vocabularySize = 100,
    pieceOf = (id) => `w${id}`,
    shardTokens = 1 << 20,
    batchTokens = 1 << 16,
    part,
    inputs = [],
    found,
  }: SyntheticSettings = {},
): Promise<Manifest> {
  mkdirSync(directory);
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
  const pieces = Array.from({ length: vocabularySize }, (_, id) => special[id] ?? pieceOf(id));
  const writer = new DatasetWriter(directory, {
    vocabulary: { bytes: Buffer.from(`${pieces.join('\n')}\n`), size: vocabularySize, unknownId: 1 },
    description: {
      tokenizer: { profile: 'huggingface', lowercase: true, stripAccents: true, unicodeVersion: 'none' },
      settings: { documents: 'line', textField: 'text', shardTokens },
      inputs,
      part,
    },
    batchTokens,
  });
  const block = blockOf(documents, vocabularySize);
  await writer.append(block);
  writer.addCounts({ ...countsOf(block, vocabularySize), ...found });
  return writer.finish();
}

/** As if the text of a block had nothing wrong in it. */
export function countsOf({ ids, lineEnds }: TokenBlock, vocabularySize: number): TextCounts {
  const pieces = new Uint32Array(vocabularySize);
  for (const id of ids) pieces[id]++;
  return { pieces, lines: lineEnds.length, droppedBytes: 0, errors: 0, skipped: [] };
}

/** One block that holds whole documents. */
export function blockOf(documents: Documents, vocabularySize: number): TokenBlock {
  const ids: number[] = [];
  const lineEnds: number[] = [];
  const borders: number[] = [];
  for (const lines of documents) {
    for (const line of lines) {
      ids.push(...line);
      lineEnds.push(ids.length);
    }
    borders.push(lineEnds.length);
  }
  return {
    ids: idTypeFor(vocabularySize) === 'uint16' ? Uint16Array.from(ids) : Uint32Array.from(ids),
    lineEnds: Uint32Array.from(lineEnds),
    borders: Uint32Array.from(borders),
  };
}

/** All shards of a dataset at once, with their lines. */
export async function readShards(directory: string): Promise<Shard[]> {
  const shards: Shard[] = [];
  for await (const shard of openShards(directory, await readManifest(directory), { withLines: true }))
    shards.push(shard);
  return shards;
}

/** 1 for each of some documents that is held out. */
export function heldOutOf(documents: number[][], fraction: number, vocabularySize = 100): Uint8Array {
  const hashes = new Uint32Array(4 * documents.length);
  for (const [i, ids] of documents.entries()) {
    const values = idTypeFor(vocabularySize) === 'uint16' ? Uint16Array.from(ids) : Uint32Array.from(ids);
    hashIds(values, 0, values.length, hashes, 4 * i);
  }
  return markHeldOut(hashes, fraction);
}
