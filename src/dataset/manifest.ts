/**
 * The manifest of a dataset: what was read, with which vocabulary and settings, and what came of it.
 * It holds nothing that differs between two equal runs: no times, hosts, absolute paths or thread counts.
 * SHA256SUMS beside it covers every file, the manifest included.
 */
import { z } from 'zod';
import { GalvaniError } from '../errors.js';
import { profileNames } from '../text/profile.js';

export const manifestFile = 'manifest.json';
export const vocabularyFile = 'vocab.txt';
export const tokenCountsFile = 'token-counts.arrow';
export const sumsFile = 'SHA256SUMS';

const count = z.int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const manifestSchema = z.strictObject({
  format: z.literal('galvani-tokens'),
  formatVersion: z.literal(1),
  vocabulary: z.strictObject({
    /** Of vocab.txt as it lies beside the manifest. */
    sha256,
    size: z.int().positive(),
  }),
  tokenizer: z.strictObject({
    profile: z.enum(profileNames),
    lowercase: z.boolean(),
    stripAccents: z.boolean(),
    unicodeVersion: z.string(),
  }),
  settings: z.strictObject({
    documents: z.enum(['line', 'blank-line', 'file']),
    shardTokens: z.int().positive(),
  }),
  /** In the order read; names are relative to the folder that was given, sizes are bytes. */
  inputs: z.array(z.strictObject({ name: z.string(), bytes: count })),
  counts: z.strictObject({
    documents: count,
    /** Lines that hold a token. */
    lines: count,
    tokens: count,
    unknownTokens: count,
    /** Bytes that are no UTF-8 and were left out. */
    droppedBytes: count,
  }),
  idType: z.enum(['uint16', 'uint32']),
  shards: z.array(z.strictObject({ file: z.string(), rows: count, tokens: count, bytes: count })),
});

export type Manifest = z.infer<typeof manifestSchema>;

/** Ids take 2 bytes while every one of them fits. */
export function idTypeFor(vocabularySize: number): Manifest['idType'] {
  return vocabularySize <= 0x10000 ? 'uint16' : 'uint32';
}

export function printManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** @throws badInput with the first field that does not fit; `where` is the file's path. */
export function parseManifest(text: string, where: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw damagedManifest('text that is no JSON', where, cause);
  }
  const result = manifestSchema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw damagedManifest(`${issue.path.join('.') || 'the whole'}: ${issue.message}`, where);
}

function damagedManifest(got: string, where: string, cause?: unknown): GalvaniError {
  return new GalvaniError({
    stage: 'dataset',
    expected: 'a manifest of token shards, format version 1',
    got,
    where,
    remedy: 'Run "galvani prepare" again, with the version of Galvani that is to read it.',
    kind: 'badInput',
    cause,
  });
}
