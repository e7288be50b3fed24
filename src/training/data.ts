/** The datasets of a run: whether they fit its settings, and the loader of one stage, for training or for a pass over what is held out. */
import { type Loader, openLoader } from '../batching/loader.js';
import type { MaskingSettings } from '../batching/masking.js';
import type { LoaderOptions } from '../batching/options.js';
import type { WeightedDataset } from '../batching/planning.js';
import { openExamples, type Split } from '../dataset/examples/examples.js';
import { GalvaniError } from '../errors.js';
import { type RunStage, type Stage, stagesOf, type TrainingConfig } from './config.js';

export interface BatchesOptions {
  readonly split?: Split;
  readonly startStep?: number;
  readonly workers?: number;
}

/** Batches of `stage.batchSize` rows. */
export function openBatches(
  data: readonly WeightedDataset[],
  config: TrainingConfig,
  stage: RunStage,
  options: BatchesOptions = {},
): Promise<Loader> {
  return openLoader(batchOptions(data, config, stage, options));
}

/** What the loader of a stage is asked for. */
export function batchOptions(
  data: readonly WeightedDataset[],
  config: TrainingConfig,
  stage: RunStage,
  { split = 'train', startStep, workers }: BatchesOptions = {},
): LoaderOptions {
  const { replacement } = stage;
  return {
    data,
    batchSize: stage.batchSize,
    sequenceLength: stage.sequenceLength,
    examples: config.examples,
    bucket: config.bucket && split === 'train',
    segments: stage.segments,
    cacheBytes: config.cache_bytes,
    seed: config.seed,
    masking: maskingOf(config),
    replacement,
    ...(replacement === 'cached' && { candidates: config.candidates!, temperature: config.temperature }),
    disallowCorrect: config.disallow_correct && replacement !== 'generator',
    workers,
    startStep,
    validationFraction: config.validation_fraction,
    split,
  };
}

function maskingOf(config: TrainingConfig): MaskingSettings {
  return {
    maskProb: config.mask_prob,
    maskReplaceProb: config.mask_replace_prob,
    randomReplaceProb: config.random_replace_prob,
    wholeWordMask: config.whole_word_mask,
    maskWithReplacement: config.mask_with_replacement,
  };
}

/**
 * Looks at all stages before the first one begins; the indexes of their examples are there then.
 * @throws for datasets that do not fit the settings, or hold no example of a split that is needed.
 */
export async function surveyStages(data: readonly WeightedDataset[], config: TrainingConfig): Promise<RunStage[]> {
  const [{ data: first }] = data;
  const { size } = first.manifest.vocabulary;
  const { vocab_size } = config.model.discriminator;
  if (vocab_size !== size) {
    throw new GalvaniError({
      stage: 'config',
      expected: `vocab_size ${size}, the pieces of the dataset's vocabulary`,
      got: `${vocab_size}`,
      where: first.directory,
      remedy: 'Leave vocab_size to the dataset, or give the dataset that the model is for.',
      kind: 'wrongUse',
    });
  }
  const stages: RunStage[] = [];
  for (const stage of stagesOf(config)) stages.push({ ...stage, segments: await mostSegments(data, config, stage) });
  return stages;
}

/** Of a row of either split. */
async function mostSegments(data: readonly WeightedDataset[], config: TrainingConfig, stage: Stage): Promise<number> {
  const { sequenceLength } = stage;
  const validationFraction = config.validation_fraction;
  const splits: Split[] = validationFraction > 0 ? ['train', 'validation'] : ['train'];
  let most = 1;
  for (const { data: dataset } of data) {
    for (const split of splits) {
      const options = { kind: config.examples, sequenceLength, split, validationFraction };
      most = Math.max(most, (await openExamples(dataset, options)).segments);
    }
  }
  return most;
}
