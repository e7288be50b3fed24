/**
 * The programs of a run, and the inputs of a step: which programs a stage needs, and how a batch from the loader becomes
 * the arrays that they take. A batch larger than micro_batch_size runs in parts whose gradients add up.
 */
import type { Batch } from '../batching/loader.js';
import { maskedPerRow } from '../batching/masking.js';
import type { Inputs } from '../engines/engine.js';
import {
  type BatchShape,
  buildAccumulate,
  buildEvaluate,
  buildTrain,
  buildUpdate,
  type Optimizer,
  type StepSettings,
} from '../model/electra.js';
import type { Program } from '../program/program.js';
import type { Key } from '../random/philox.js';
import { type Stage, stagesOf, type TrainingConfig } from './config.js';

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

function stepSettings(config: TrainingConfig, stage: Stage, masked: number): StepSettings {
  return {
    model: config.model,
    shape: shapeOf(stage, masked),
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
export function buildPrograms(config: TrainingConfig): Record<string, Program> {
  const masked = (stage: Stage) => maskedPerRow(config.mask_prob, stage.sequenceLength);
  const stages = stagesOf(config);
  const last = stages[stages.length - 1];
  return Object.assign(
    {},
    ...stages.map((stage, index) => buildStage(config, stage, masked(stage), `${index}`)),
    config.validation_fraction > 0 && buildEvaluations(config, last, masked(last)),
  );
}

/** Programs of one stage, named behind `prefix`. */
export function buildStage(
  config: TrainingConfig,
  stage: Stage,
  masked: number,
  prefix: string,
): Record<string, Program> {
  const settings = stepSettings(config, stage, masked);
  const optimizer = optimizerOf(config);
  if (stage.microBatchSize === stage.batchSize) return { [`${prefix}.train`]: buildTrain({ ...settings, optimizer }) };
  return {
    [`${prefix}.first`]: buildAccumulate({ ...settings, isFirst: true }),
    [`${prefix}.next`]: buildAccumulate({ ...settings, isFirst: false }),
    [`${prefix}.update`]: buildUpdate({ model: config.model, optimizer }),
  };
}

/** Evaluation with replacements of both kinds, at the extents of a stage. */
export function buildEvaluations(config: TrainingConfig, stage: Stage, masked: number): Record<string, Program> {
  const settings = stepSettings(config, stage, masked);
  return {
    'evaluate.generator': buildEvaluate({ ...settings, replacement: 'sampled' }),
    'evaluate.frequency': buildEvaluate({ ...settings, replacement: 'given' }),
  };
}

function shapeOf(stage: Stage, masked: number): BatchShape {
  return { rows: stage.microBatchSize, places: stage.sequenceLength, masked, segments: 1 };
}

/** The calls of one training step, in order. */
export function callsOf(batch: Batch, stage: Stage, prefix: string, key: Key, rate: number): Call[] {
  const ratePlane = { rate: Float32Array.of(rate) };
  if (stage.microBatchSize === stage.batchSize) {
    return [{ program: `${prefix}.train`, inputs: { ...planesOf(batch, key, 0, batch.B), ...ratePlane } }];
  }
  const calls: Call[] = [];
  for (let row = 0; row < batch.B; row += stage.microBatchSize) {
    const program = row === 0 ? `${prefix}.first` : `${prefix}.next`;
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
    lengths: part(batch.lengths, 1),
    seconds: part(batch.seconds, 1),
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
