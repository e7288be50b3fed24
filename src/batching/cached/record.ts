/**
 * A record of candidates, one a batch, padded to a multiple of 4 bytes:
 *
 *   CRC-32 of all behind it u32 │ number of the batch u32 │ CRC-32 of its places, seen, counts u32 │
 *   log-probabilities (B, N, k) f32 │ ids (B, N, k) u16 or u32
 *
 * Log-probabilities are natural ones over the whole vocabulary, the likeliest first. Places beyond a row's count hold 0.
 */
import { crc32 } from 'node:zlib';
import { GalvaniError } from '../../errors.js';
import type { Batch } from '../loader.js';
import type { CandidateHeader } from './header.js';

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
