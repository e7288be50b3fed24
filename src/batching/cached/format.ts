/**
 * A store of candidates: for batches 0 … K − 1 of a loader, the k ids that a generator found most likely at each masked
 * place, with their log-probabilities. A folder of two files:
 *
 *   candidates.json  what it was made from, and sizes
 *   candidates.bin   K records of one size, each padded to a multiple of 4 bytes:
 *                    CRC-32 of all behind it u32 │ number of the batch u32 │ CRC-32 of its places, seen, counts u32 │
 *                    log-probabilities (B, N, k) f32 │ ids (B, N, k) u16 or u32
 *
 * Log-probabilities are natural ones over the whole vocabulary, the likeliest first. Places beyond a row's count hold 0.
 */
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { GalvaniError } from '../../errors.js';
import type { Batch } from '../loader.js';
import { batchOriginSchema } from '../origin.js';

export const headerFile = 'candidates.json';
export const recordsFile = 'candidates.bin';

const count = z.int().positive();

const headerSchema = z.strictObject({
  format: z.literal('galvani-candidates'),
  formatVersion: z.literal(1),
  generator: z.strictObject({
    /** Updates that it has had, and SHA-256 of its checkpoint's tensors. */
    step: z.int().nonnegative(),
    tensorsSha256: z.string(),
  }),
  /** K */
  batches: count,
  /** k */
  topK: count,
  idBytes: z.literal([2, 4]),
  origin: batchOriginSchema,
});
export type CandidateHeader = z.infer<typeof headerSchema>;

/** Where the parts of a record begin, in bytes. */
export interface RecordLayout {
  logProbs: number;
  ids: number;
  bytes: number;
}

const sumBytes = 4;

export function layOutRecord({
  topK,
  idBytes,
  origin,
}: Pick<CandidateHeader, 'topK' | 'idBytes' | 'origin'>): RecordLayout {
  const values = origin.batchSize * origin.maskedPerRow * topK;
  const logProbs = 12;
  const ids = logProbs + 4 * values;
  return { logProbs, ids, bytes: 4 * Math.ceil((ids + idBytes * values) / 4) };
}

/** Writes the first words of a record, behind which all is there. */
export function sealRecord(record: Uint8Array, batch: number, planesSum: number): void {
  const words = new DataView(record.buffer, record.byteOffset, record.byteLength);
  words.setUint32(4, batch, true);
  words.setUint32(8, planesSum, true);
  words.setUint32(0, crc32(record.subarray(sumBytes)), true);
}

/** The CRC-32 of the planes that a record is for; undefined where it is not the whole record of that batch. */
export function openRecord(record: Uint8Array, batch: number): number | undefined {
  const words = new DataView(record.buffer, record.byteOffset, record.byteLength);
  const isWhole = crc32(record.subarray(sumBytes)) === words.getUint32(0, true) && words.getUint32(4, true) === batch;
  return isWhole ? words.getUint32(8, true) : undefined;
}

/** What tells whether rows and masks of a batch are those that candidates were stored for, whatever its width. */
export function sumOfPlanes({ places, seen, counts }: Pick<Batch, 'places' | 'seen' | 'counts'>): number {
  return [places, seen, counts].reduce(
    (sum, { buffer, byteOffset, byteLength }) => crc32(new Uint8Array(buffer, byteOffset, byteLength), sum),
    0,
  );
}

/** The header of a finished store, whose records are all there. @throws badInput */
export async function readHeader(directory: string): Promise<CandidateHeader> {
  const header = await parseHeader(directory);
  if (header === undefined) throw noStore(directory, `one without ${headerFile}`);
  const file = path.join(directory, recordsFile);
  const { size } = await stat(file).catch(() => ({ size: 0 }));
  const bytes = header.batches * layOutRecord(header).bytes;
  if (size !== bytes) throw damagedStore(file, `${bytes} bytes`, `${size}`);
  return header;
}

/** Undefined where there is none. @throws badInput for one that cannot be read, or of another version. */
export async function parseHeader(directory: string): Promise<CandidateHeader | undefined> {
  const file = path.join(directory, headerFile);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw noStore(file, error.message, error);
  });
  if (text === undefined) return undefined;
  try {
    return headerSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw noStore(file, `a ${headerFile} of another version, or damaged`, cause);
  }
}

export function damagedStore(file: string, expected: string, got: string): GalvaniError {
  return new GalvaniError({
    stage: 'candidates',
    expected,
    got,
    where: file,
    remedy: 'Bring the file back from a copy, or store the candidates again.',
    kind: 'badInput',
  });
}

function noStore(where: string, got: string, cause?: unknown): GalvaniError {
  return new GalvaniError({
    stage: 'candidates',
    expected: 'a folder made by cacheCandidates',
    got,
    where,
    remedy: 'Give the folder that was its output.',
    kind: 'badInput',
    cause,
  });
}
