/** What a run needs of a dataset, and the loader of one stage: for training, or for a pass over what is held out. */
import { type Loader, openLoader } from '../batching/loader.js';
import type { TokenDataset } from '../dataset/dataset.js';
import { openExamples } from '../dataset/examples/examples.js';
import { GalvaniError } from '../errors.js';
import { type Stage, stagesOf, type TrainingConfig } from './config.js';

export interface BatchesOptions {
  readonly split?: 'train' | 'validation';
  readonly startStep?: number;
  readonly workers?: number;
}

/** Batches of `stage.batchSize` rows. */
export function openBatches(
  dataset: TokenDataset,
  config: TrainingConfig,
  stage: Stage,
  { split = 'train', startStep, workers }: BatchesOptions = {},
): Promise<Loader> {
  return openLoader({
    data: dataset,
    batchSize: stage.batchSize,
    sequenceLength: stage.sequenceLength,
    seed: config.seed,
    masking: { maskProb: config.mask_prob },
    replacement: stage.replacement === 'frequency' ? 'unigram' : stage.replacement,
    workers,
    startStep,
    validationFraction: config.validation_fraction,
    split,
  });
}

/** Looks at all stages before the first one begins. @throws for a dataset that does not fit the settings or is too small. */
export async function checkData(dataset: TokenDataset, config: TrainingConfig): Promise<void> {
  const { size } = dataset.manifest.vocabulary;
  const { vocab_size } = config.model.discriminator;
  if (vocab_size !== size) {
    throw new GalvaniError({
      stage: 'config',
      expected: `vocab_size ${size}, the pieces of the dataset's vocabulary`,
      got: `${vocab_size}`,
      where: dataset.directory,
      remedy: 'Leave vocab_size to the dataset, or give the dataset that the model is for.',
      kind: 'wrongUse',
    });
  }
  const validationFraction = config.validation_fraction;
  for (const { sequenceLength, batchSize } of stagesOf(config)) {
    const options = { kind: 'documents', sequenceLength, validationFraction } as const;
    const { examples } = await openExamples(dataset, { ...options, split: 'train' });
    if (examples < batchSize) throw tooSmall(dataset, batchSize, examples, sequenceLength);
    if (validationFraction > 0) await openExamples(dataset, { ...options, split: 'validation' });
  }
}

function tooSmall(dataset: TokenDataset, batchSize: number, examples: number, places: number): GalvaniError {
  return new GalvaniError({
    stage: 'batch',
    expected: `at least ${batchSize} examples for a batch`,
    got: `${examples} of ${places} places`,
    where: dataset.directory,
    remedy: 'Prepare more text, or choose a smaller --batch-size or --sequence-length.',
    kind: 'badInput',
  });
}
