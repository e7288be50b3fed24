/** What decides the rows and masks of a loader's training batches, and nothing else: for what is kept of them. */
import { z } from 'zod';
import { exampleKinds } from '../dataset/examples/kinds.js';
import { fillMasking, maskedPerRow } from './masking.js';
import { defaultCacheBytes, type LoaderOptions } from './options.js';
import type { WeightedDataset } from './planning.js';

export const batchOriginSchema = z.strictObject({
  data: z.array(z.strictObject({ manifestSha256: z.string(), weight: z.number() })),
  examples: z.enum(exampleKinds),
  batchSize: z.int().positive(),
  sequenceLength: z.int().positive(),
  maskedPerRow: z.int().positive(),
  /** In decimal: it may have 64 bits. */
  seed: z.string(),
  masking: z.strictObject({
    maskProb: z.number(),
    maskReplaceProb: z.number(),
    randomReplaceProb: z.number(),
    wholeWordMask: z.boolean(),
    maskWithReplacement: z.boolean(),
  }),
  validationFraction: z.number(),
  cacheBytes: z.int().positive(),
});
export type BatchOrigin = z.infer<typeof batchOriginSchema>;

export function originOf(options: Omit<LoaderOptions, 'data'>, data: readonly WeightedDataset[]): BatchOrigin {
  const { batchSize, sequenceLength } = options;
  const masking = fillMasking(options.masking ?? {}, sequenceLength);
  return {
    data: data.map(({ data: dataset, weight }) => ({ manifestSha256: dataset.manifestSha256, weight })),
    examples: options.examples ?? 'documents',
    batchSize,
    sequenceLength,
    maskedPerRow: maskedPerRow(masking.maskProb, sequenceLength),
    seed: String(options.seed ?? 0),
    masking,
    validationFraction: options.validationFraction ?? 0,
    cacheBytes: options.cacheBytes ?? defaultCacheBytes,
  };
}
