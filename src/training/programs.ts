/**
 * The programs of a run, and the inputs of a step: which programs a stage needs, and how a batch from the loader becomes
 * the arrays that they take. A batch larger than micro_batch_size runs in parts whose gradients add up.
 */
import { bucketWidths } from '../batching/buckets.js';
import type { Batch } from '../batching/loader.js';
import { maskedPerRow } from '../batching/masking.js';
import type { Inputs } from '../engines/engine.js';
import {
  buildAccumulate,
  buildEvaluate,
  buildTrain,
  buildUpdate,
  type Optimizer,
  type StepSettings,
} from '../model/electra.js';
import type { Program } from '../program/program.js';
import type { Key } from '../random/philox.js';
import type { RunStage, Stage, TrainingConfig } from './config.js';

/** One program to run, with what it takes. */
export interface Call {
  readonly program: string;
  readonly inputs: Inputs;
}

function optimizerOf(config: TrainingConfig): Optimizer {
  return {
    beta1: config.adam_beta1,
    beta2: config.adam_beta2,
    epsilon: config.adam_epsilon,
    biasCorrection: config.adam_bias_correction,
    weightDecay: config.weight_decay,
    maxGradNorm: config.max_grad_norm,
  };
}

function stepSettings(config: TrainingConfig, stage: RunStage): StepSettings {
  return {
    model: config.model,
    shape: {
      rows: stage.microBatchSize,
      places: stage.sequenceLength,
      masked: maskedPerRow(config.mask_prob, stage.sequenceLength),
      segments: stage.segments,
    },
    replacement: stage.replacement === 'generator' ? 'sampled' : 'given',
    objective: {
      genWeight: config.gen_weight,
      discWeight: config.disc_weight,
      temperature: config.temperature,
      disallowCorrect: config.disallow_correct,
    },
  };
}

/** All programs of a run: of each stage, named behind its number, and for what is held out. */
export function buildPrograms(config: TrainingConfig, stages: readonly RunStage[]): Record<string, Program> {
  return Object.assign(
    {},
    ...stages.map((stage, index) => buildStage(config, stage, `${index}`)),
    config.validation_fraction > 0 && buildEvaluations(config, stages[stages.length - 1]),
  );
}

/** Programs of one stage, named behind `prefix`: one for each width that its batches may have. */
export function buildStage(config: TrainingConfig, stage: RunStage, prefix: string): Record<string, Program> {
  const settings = stepSettings(config, stage);
  const optimizer = optimizerOf(config);
  const programs: Record<string, Program> = {};
  const { sequenceLength, microBatchSize, batchSize } = stage;
  for (const places of config.bucket ? bucketWidths(sequenceLength) : [sequenceLength]) {
    const wide = { ...settings, shape: { ...settings.shape, places } };
    const name = nameOf(prefix, stage, places);
    if (microBatchSize === batchSize) programs[`${name}.train`] = buildTrain({ ...wide, optimizer });
    else {
      programs[`${name}.first`] = buildAccumulate({ ...wide, isFirst: true });
      programs[`${name}.next`] = buildAccumulate({ ...wide, isFirst: false });
    }
  }
  if (microBatchSize !== batchSize) programs[`${prefix}.update`] = buildUpdate({ model: config.model, optimizer });
  return programs;
}

/** What the names of programs begin with whose rows have so many places. */
function nameOf(prefix: string, { sequenceLength }: Stage, places: number): string {
  return places === sequenceLength ? prefix : `${prefix}.${places}`;
}

/** Evaluation with replacements of both kinds, at the extents of a stage. */
export function buildEvaluations(config: TrainingConfig, stage: RunStage): Record<string, Program> {
  const settings = stepSettings(config, stage);
  return {
    'evaluate.generator': buildEvaluate({ ...settings, replacement: 'sampled' }),
    'evaluate.unigram': buildEvaluate({ ...settings, replacement: 'given' }),
  };
}

/** The calls of one training step, in order. */
export function callsOf(batch: Batch, stage: Stage, prefix: string, key: Key, rate: number): Call[] {
  const ratePlane = { rate: Float32Array.of(rate) };
  const name = nameOf(prefix, stage, batch.T);
  if (stage.microBatchSize === stage.batchSize) {
    return [{ program: `${name}.train`, inputs: { ...planesOf(batch, key, 0, batch.B), ...ratePlane } }];
  }
  const calls: Call[] = [];
  for (let row = 0; row < batch.B; row += stage.microBatchSize) {
    const program = row === 0 ? `${name}.first` : `${name}.next`;
    calls.push({ program, inputs: planesOf(batch, key, row, stage.microBatchSize) });
  }
  calls.push({ program: `${prefix}.update`, inputs: { draw: drawOf(key, batch.step, 0), ...ratePlane } });
  return calls;
}

/** The planes of rows [first, first + rows) of a batch, with the counters of their draws and the batch's denominators. */
export function planesOf(batch: Batch, key: Key, first: number, rows: number): Inputs {
  const part = (plane: Int32Array, width: number) => plane.subarray(first * width, (first + rows) * width);
  return {
    ids: part(batch.ids, batch.T),
    lengths: part(batch.lengths, batch.S),
    seconds: part(batch.seconds, batch.S),
    places: part(batch.places, batch.N),
    seen: part(batch.seen, batch.N),
    counts: part(batch.counts, 1),
    ...(batch.given && { given: part(batch.given, batch.N) }),
    draw: drawOf(key, batch.step, first),
    denominators: Float32Array.of(batch.maskedCount, batch.tokenCount),
  };
}

function drawOf(key: Key, step: number, firstRow: number): Int32Array {
  return Int32Array.of(key.low, key.high, step, firstRow);
}
