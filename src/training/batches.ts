/** The loader of one stage of a run, for training or for a pass over what is held out. */
import { type Loader, openLoader } from '../batching/loader.js';
import type { TokenDataset } from '../dataset/dataset.js';
import type { Stage, TrainingConfig } from './config.js';

export interface BatchesOptions {
  readonly split?: 'train' | 'validation';
  readonly startStep?: number;
  readonly workers?: number;
}

/** Whole batches when training; evaluation takes them in the parts that fit. */
export function openBatches(
  dataset: TokenDataset,
  config: TrainingConfig,
  stage: Stage,
  { split = 'train', startStep, workers }: BatchesOptions = {},
): Promise<Loader> {
  return openLoader({
    data: dataset,
    batchSize: split === 'train' ? stage.batchSize : stage.microBatchSize,
    sequenceLength: stage.sequenceLength,
    seed: config.seed,
    maskProb: config.mask_prob,
    replacement: stage.replacement,
    workers,
    startStep,
    validationFraction: config.validation_fraction,
    split,
  });
}
