/**
 * A store of candidates: for batches 0 … K − 1 of a loader, the k ids that a generator found most likely at each masked
 * place, with their log-probabilities. A folder of two files:
 *
 *   candidates.json  what it was made from, and sizes
 *   candidates.bin   K records of one size (record.ts)
 */
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { GalvaniError } from '../../errors.js';
import { batchOriginSchema } from '../origin.js';
import { damagedStore, layOutRecord } from './record.js';

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
