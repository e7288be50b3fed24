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
  formatVersion: z.literal(2),
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
    /** Where the text is in a record of a .jsonl, .parquet or .arrow file; dots lead into nested ones. */
    textField: z.string().min(1),
    shardTokens: z.int().positive(),
    /** Documents beyond these were left out. */
    maxDocumentBytes: z.int().positive().optional(),
    minTokens: z.int().positive().optional(),
    maxUnknownFraction: z.number().min(0).max(1).optional(),
  }),
  /** What of the inputs is in here, the 1st of 1 where it is absent; the parts of a corpus list the same inputs. */
  part: z.strictObject({ index: z.int().positive(), count: z.int().positive() }).optional(),
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
  /** Documents that were left out, by what did it. */
  leftOut: z.strictObject({
    maxDocumentBytes: count,
    minTokens: count,
    maxUnknownFraction: count,
    /** Could not be read (`--on-error skip`). */
    errors: count,
    /** Equal to an earlier one (`galvani merge --deduplicate`). */
    duplicates: count,
  }),
  /** Those of `leftOut.errors`, the first 10,000: name of the input, where in it, and why. */
  skipped: z.array(z.strictObject({ input: z.string(), at: z.string(), reason: z.string() })),
  idType: z.enum(['uint16', 'uint32']),
  shards: z
    .array(z.strictObject({ file: z.string(), rows: count, tokens: count, bytes: count }))
    .refine((shards) => shards.every(({ file }, i) => file === shardFileAt(i)), {
      message: `names other than ${shardFileAt(0)}, ${shardFileAt(1)}, …`,
    }),
});

export type Manifest = z.infer<typeof manifestSchema>;

export type DocumentRule = Manifest['settings']['documents'];

/** A record, or the rest of a file, that could not be read and was left out. */
export type Skipped = Manifest['skipped'][number];

export const nothingLeftOut: Manifest['leftOut'] = {
  maxDocumentBytes: 0,
  minTokens: 0,
  maxUnknownFraction: 0,
  errors: 0,
  duplicates: 0,
};

/** The name of a dataset's shard, counted from 0. */
export function shardFileAt(index: number): string {
  return `shard-${String(index).padStart(5, '0')}.arrow`;
}

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
    expected: 'a manifest of token shards, format version 2',
    got,
    where,
    remedy: 'Run "galvani prepare" again, with the version of Galvani that is to read it.',
    kind: 'badInput',
    cause,
  });
}
