/**
 * What a person wants to know of a dataset at a glance. Memory: the offsets of one shard, whatever the size of the whole.
 */
import path from 'node:path';
import { Vocabulary } from '../text/vocabulary.js';
import { openShards, readManifest, type Shard } from './dataset.js';
import { FileReader } from './fileReader.js';
import { binLengths, type LengthBin, LengthCounts, lengthAt } from './lengths.js';
import { type Manifest, vocabularyFile } from './manifest.js';

export interface DatasetSummary extends Omit<Manifest, 'inputs'> {
  inputs: { files: number; bytes: number };
  tokensPerDocument: { least: number; median: number; mean: number; most: number };
  tokensPerLine: number;
  unknownFraction: number;
  /** Documents by their number of tokens. */
  lengths: LengthBin[];
  /** The beginnings of a few documents, spread over the dataset. */
  samples: Sample[];
}

export interface Sample {
  /** Its place in the dataset, from 0. */
  document: number;
  tokens: number;
  /** The first of them. */
  pieces: string[];
}

const sampledDocuments = 3;
const sampledPieces = 24;

/** @throws badInput for a folder that is damaged or no dataset. */
export async function summarizeDataset(directory: string): Promise<DatasetSummary> {
  const manifest = await readManifest(directory);
  const { inputs, counts, ...rest } = manifest;
  const vocabulary = Vocabulary.read(path.join(directory, vocabularyFile), manifest.tokenizer.profile);
  const wanted = spread(counts.documents, sampledDocuments);
  const samples: Sample[] = [];
  const lengthCounts = new LengthCounts();
  let first = 0;
  for await (const shard of openShards(directory, manifest)) {
    const { rows, rowOffsets } = shard;
    for (let row = 0; row < rows; row++) lengthCounts.add(rowOffsets[row + 1] - rowOffsets[row]);
    for (const document of wanted) {
      if (document < first || document >= first + rows) continue;
      samples.push({ document, ...readSample(shard, document - first, manifest, vocabulary) });
    }
    first += rows;
  }
  const lengths = lengthCounts.list();
  return {
    ...rest,
    counts,
    inputs: { files: inputs.length, bytes: inputs.reduce((sum, input) => sum + input.bytes, 0) },
    tokensPerDocument: {
      least: lengthAt(lengths, 0),
      median: lengthAt(lengths, Math.floor(counts.documents / 2)),
      mean: ratio(counts.tokens, counts.documents),
      most: lengthAt(lengths, counts.documents - 1),
    },
    tokensPerLine: ratio(counts.tokens, counts.lines),
    unknownFraction: ratio(counts.unknownTokens, counts.tokens),
    lengths: binLengths(lengths),
    samples,
  };
}

/** The middles of `count` equal pieces of [0, total), each once. */
function spread(total: number, count: number): Set<number> {
  const places = Array.from({ length: Math.min(count, total) }, (_, i) => ((2 * i + 1) * total) / (2 * count));
  return new Set(places.map(Math.floor));
}

function readSample(shard: Shard, row: number, { idType }: Manifest, vocabulary: Vocabulary): Omit<Sample, 'document'> {
  const startToken = shard.rowOffsets[row];
  const tokens = shard.rowOffsets[row + 1] - startToken;
  const ids = new (idType === 'uint16' ? Uint16Array : Uint32Array)(Math.min(tokens, sampledPieces));
  const piece = shard.pieces.findLast(({ firstToken }) => firstToken <= startToken)!;
  const offset = piece.fileOffset + ids.BYTES_PER_ELEMENT * (startToken - piece.firstToken);
  const reader = new FileReader();
  reader.read(shard.path, offset, ids.byteLength, new Uint8Array(ids.buffer), 0);
  reader.close();
  // Opening a shard checks no ids: only verify does.
  return { tokens, pieces: Array.from(ids, (id) => vocabulary.idToToken(id) ?? `(id ${id})`) };
}

/** A part of a corpus may have no document. */
function ratio(a: number, b: number): number {
  return b === 0 ? 0 : a / b;
}
