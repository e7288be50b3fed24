/**
 * The n-gram model of a dataset's training documents: counted once by a pool, and kept beside the shards in one file,
 * which holds what it was counted from. One that is damaged, or of another dataset, is counted anew.
 *
 *   64 bytes    "galvngrm", format version u32, 0 u32, validation fraction f64, 0 u64, SHA-256 of manifest.json
 *   the table   (table.ts)
 *   32 bytes    SHA-256 of all before
 *
 * Counted are whole documents, each between [CLS] and [SEP], as a row holds a document that fits into it. In a window
 * that begins or ends inside a document, the place beside [CLS] or [SEP] is drawn as if the document began or ended there.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { TokenDataset } from '../../dataset/dataset.js';
import { writeFileDurably } from '../../files.js';
import { runInOrder } from '../../pool.js';
import type { SpecialIds } from '../plan.js';
import { type CountingLimits, checkVocabulary, type Partition, planCounting } from './counting.js';
import { TableBuilder, type TableLimits } from './table.js';

export interface NgramOptions {
  special: SpecialIds;
  /** Documents held out are not counted. */
  validationFraction: number;
  threads: number;
  /** Called when there is nothing to read and counting begins, and behind each part of it. */
  onProgress?(done: number, of: number): void;
}

export type NgramLimits = CountingLimits & TableLimits;

/**
 * The table of a dataset, as table.ts lays it out: read, or counted and written. Where it cannot be written, it is
 * counted every time, with a warning. Counting takes 128 MiB a thread and, at its end, twice the table.
 * @throws badInput for a dataset that is damaged, or whose vocabulary has more than 2²⁰ pieces.
 */
export async function openNgramTable(
  dataset: Pick<TokenDataset, 'directory' | 'manifest' | 'manifestSha256'>,
  options: NgramOptions,
): Promise<Uint32Array> {
  checkVocabulary(dataset.manifest.vocabulary.size);
  const { directory } = dataset;
  const file = path.join(directory, `ngram-${options.validationFraction}.bin`);
  const header = describe(dataset.manifestSha256, options.validationFraction);
  const kept = await readTable(file, header);
  if (kept !== undefined) return kept;
  const table = await countNgrams(dataset, options);
  await writeTable(file, header, table);
  return table;
}

/** Count, whatever file there is. The limits are for tests: the table does not depend on how counting is divided. */
export async function countNgrams(
  { directory, manifest }: Pick<TokenDataset, 'directory' | 'manifest'>,
  { special, validationFraction, threads, onProgress }: NgramOptions,
  limits: NgramLimits = {},
): Promise<Uint32Array> {
  const plan = planCounting({ directory, manifest, special, validationFraction }, limits);
  const builder = new TableBuilder(limits);
  const partitions = 2 ** plan.prefixBits;
  function* tasks(): Generator<Partition> {
    for (let prefix = 0; prefix < partitions; prefix++) {
      yield { bits: plan.prefixBits, prefix, leastCount: builder.leastCount };
    }
  }
  onProgress?.(0, partitions);
  let done = 0;
  for await (const blocks of runInOrder<Partition, Uint32Array[]>(
    tasks(),
    ({ prefix }) => `part ${prefix + 1} of ${partitions} of the n-gram counts`,
    {
      stage: 'batch',
      worker: new URL('./worker.js', import.meta.url),
      workerData: plan,
      threads: Math.min(threads, partitions),
    },
  )) {
    for (const block of blocks) builder.append(block);
    onProgress?.(++done, partitions);
  }
  return builder.finish();
}

const magic = 'galvngrm';
const formatVersion = 2;
const headerBytes = 64;
const sumBytes = 32;

/** The file's first 64 bytes. */
function describe(manifestSha256: string, validationFraction: number): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.write(magic, 0, 'latin1');
  header.writeUInt32LE(formatVersion, 8);
  header.writeDoubleLE(validationFraction, 16);
  header.write(manifestSha256, 32, 'hex');
  return header;
}

/** Undefined where there is none that fits, with a warning where there is another. */
async function readTable(file: string, header: Buffer): Promise<Uint32Array | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') warn(file, 'a file that can be read', String(error));
    return undefined;
  }
  const end = bytes.length - sumBytes;
  if (end < headerBytes || !sumOf([bytes.subarray(0, end)]).equals(bytes.subarray(end))) {
    warn(file, 'bytes that have their checksum', 'others');
    return undefined;
  }
  if (!bytes.subarray(0, headerBytes).equals(header)) {
    warn(file, 'the n-grams of this dataset', 'those of another, or of another version of Galvani');
    return undefined;
  }
  return new Uint32Array(bytes.buffer.slice(bytes.byteOffset + headerBytes, bytes.byteOffset + end));
}

async function writeTable(file: string, header: Buffer, table: Uint32Array): Promise<void> {
  const words = new Uint8Array(table.buffer, table.byteOffset, table.byteLength);
  try {
    await writeFileDurably(file, [header, words, sumOf([header, words])]);
  } catch (error) {
    process.emitWarning(
      `${error instanceof Error ? error.message : String(error)} The n-grams will be counted again next time.`,
      'GalvaniWarning',
    );
  }
}

function sumOf(pieces: Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
}

function warn(file: string, expected: string, got: string): void {
  process.emitWarning(
    `batch: expected ${expected}, got ${got} (${file}). The n-grams are counted anew.`,
    'GalvaniWarning',
  );
}
