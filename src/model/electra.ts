/**
 * ELECTRA as programs: the joint pre-training step, its evaluation, and inference with either model.
 *
 * One step: hide the masked places → generator → loss and samples there → put the samples in → discriminator → loss at
 * every real token → gradients → one clip over both models → AdamW. Replacements are an edge: sampled on the device, or
 * given by the loader. Gradients do not flow through samples, which are integers.
 * Source: google-research/electra 8a46635, run_pretraining.py.
 */
import { adamW } from '../ops/adamW.js';
import { add, scale } from '../ops/arithmetic.js';
import { binaryCrossEntropy } from '../ops/binaryCrossEntropy.js';
import { clip, globalNorm } from '../ops/clip.js';
import { drawType } from '../ops/dropout.js';
import { gatherIds, gatherRows } from '../ops/gatherRows.js';
import { layerNorm } from '../ops/layerNorm.js';
import { linear } from '../ops/linear.js';
import { maskedLmHead } from '../ops/maskedLmHead.js';
import { float32, int32, type Tensor } from '../ops/operation.js';
import { replace } from '../ops/replace.js';
import { ProgramBuilder } from '../program/builder.js';
import type { Program } from '../program/program.js';
import { streams } from '../random/streams.js';
import type { ModelConfig } from './config.js';
import { type Encoder, encode, pair, type Weights } from './encoder.js';
import { isDecayed, type ModelPart, type Parameter, parameterName, parametersOf } from './parameters.js';

/** Extents of a batch. */
export interface BatchShape {
  /** B */
  readonly rows: number;
  /** T */
  readonly places: number;
  /** N */
  readonly masked: number;
  /** S */
  readonly segments: number;
}

export type Replacement = 'sampled' | 'given';

export interface Objective {
  readonly genWeight: number;
  readonly discWeight: number;
  readonly temperature: number;
  readonly disallowCorrect: boolean;
}

export interface Optimizer {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly biasCorrection: boolean;
  readonly weightDecay: number;
  readonly maxGradNorm: number;
}

export interface StepSettings {
  readonly model: ModelConfig;
  readonly shape: BatchShape;
  readonly replacement: Replacement;
  readonly objective: Objective;
}

/** Forward, backward and update in one. Inputs: the planes of a batch, `draw`, `denominators`, `rate`. */
export function buildTrain(
  settings: StepSettings & { readonly optimizer: Optimizer; readonly exposesAll?: boolean },
): Program {
  const build = new ProgramBuilder();
  const parameters = parametersOf(settings.model);
  const forward = buildForward(build, settings, true);
  const tensors = parameters.map((parameter) => parameterTensor(build, parameter));
  const gradients = build.gradients(forward.loss, tensors);
  appendUpdate(build, parameters, gradients, forward.draw, settings.optimizer);
  if (settings.exposesAll) {
    exposePredictions(build, forward);
    for (const [i, { name }] of parameters.entries()) build.output(`gradient/${name}`, gradients[i]);
  }
  return build.finish();
}

/**
 * Forward and backward of one micro-batch; gradients stay in variables. The first of a step overwrites what is there,
 * the others add to it.
 */
export function buildAccumulate(settings: StepSettings & { readonly isFirst: boolean }): Program {
  const build = new ProgramBuilder();
  const parameters = parametersOf(settings.model);
  const forward = buildForward(build, settings, true);
  const tensors = parameters.map((parameter) => parameterTensor(build, parameter));
  const sums = parameters.map((parameter) => gradientTensor(build, parameter));
  const gradients = build.gradients(forward.loss, tensors, settings.isFirst ? undefined : sums);
  for (const [i, parameter] of parameters.entries()) build.assign(gradientName(parameter), gradients[i]);
  return build.finish();
}

/** The update from gradients that micro-batches have summed. Inputs: `draw`, `rate`. */
export function buildUpdate(settings: { readonly model: ModelConfig; readonly optimizer: Optimizer }): Program {
  const build = new ProgramBuilder();
  const parameters = parametersOf(settings.model);
  const gradients = parameters.map((parameter) => gradientTensor(build, parameter));
  appendUpdate(build, parameters, gradients, build.input('draw', drawType), settings.optimizer);
  return build.finish();
}

/** Losses and counts of a held-out batch, with the discriminator's logits, its input and what was replaced. */
export function buildEvaluate(settings: StepSettings): Program {
  const build = new ProgramBuilder();
  const forward = buildForward(build, settings, false);
  build.output('logits', forward.discriminatorLogits);
  build.output('labels', forward.labels);
  build.output('corrupted', forward.corrupted);
  return build.finish();
}

/** Inference with the discriminator. Inputs: ids, lengths, seconds, draw → `logits` (B, T, 1). */
export function buildDiscriminate(model: ModelConfig, shape: Omit<BatchShape, 'masked'>): Program {
  const build = new ProgramBuilder();
  const { ids, lengths, seconds } = inputRows(build, shape);
  const inputs = { ids, lengths, seconds, draw: build.input('draw', drawType) };
  build.output('logits', discriminatorLogits(build, encoderOf(build, model, 'discriminator', false), inputs));
  return build.finish();
}

/** Inference with the generator. Inputs: ids, lengths, seconds, places, draw → `logits` (B, N, V). */
export function buildFillMask(model: ModelConfig, shape: BatchShape): Program {
  const build = new ProgramBuilder();
  const { ids, lengths, seconds } = inputRows(build, shape);
  const places = build.input('places', int32(shape.rows, shape.masked));
  const inputs = { ids, lengths, seconds, draw: build.input('draw', drawType) };
  const encoder = encoderOf(build, model, 'generator', false);
  const hidden = generatorHidden(build, encoder, encode(build, encoder, inputs), places);
  build.output('logits', linear(build, hidden, ...outputLayer(encoder.weights)));
  return build.finish();
}

interface Forward {
  readonly loss: Tensor;
  readonly draw: Tensor;
  readonly generatorLogits: Tensor;
  readonly logSumExp: Tensor;
  readonly discriminatorLogits: Tensor;
  readonly labels: Tensor;
  readonly corrupted: Tensor;
}

function buildForward(build: ProgramBuilder, settings: StepSettings, isTraining: boolean): Forward {
  const { model, shape, replacement, objective } = settings;
  const { ids, lengths, seconds } = inputRows(build, shape);
  const places = build.input('places', int32(shape.rows, shape.masked));
  const seen = build.input('seen', int32(shape.rows, shape.masked));
  const counts = build.input('counts', int32(shape.rows));
  const given = replacement === 'given' ? build.input('given', int32(shape.rows, shape.masked)) : undefined;
  const draw = build.input('draw', drawType);
  const denominators = build.input('denominators', float32(2));

  const head = build.scope('generator', () => {
    const { replaced } = replace(build, ids, places, seen, counts);
    const encoder = encoderOf(build, model, 'generator', isTraining);
    const states = encode(build, encoder, { ids: replaced, lengths, seconds, draw });
    return build.scope('head', () => {
      const hidden = generatorHidden(build, encoder, states, places);
      const batch = { targets: gatherIds(build, ids, places), counts, denominators, draw };
      return maskedLmHead(build, hidden, ...outputLayer(encoder.weights), batch, {
        temperature: objective.temperature,
        disallowCorrect: objective.disallowCorrect,
        sample: given === undefined,
        stream: streams.gumbel,
      });
    });
  });

  const { corrupted, labels, logits } = build.scope('discriminator', () => {
    const { replaced: corrupted, labels } = replace(build, ids, places, given ?? head.sampled, counts);
    const encoder = encoderOf(build, model, 'discriminator', isTraining);
    return {
      corrupted,
      labels,
      logits: discriminatorLogits(build, encoder, { ids: corrupted, lengths, seconds, draw }),
    };
  });
  return build.scope('loss', () => {
    const rtd = binaryCrossEntropy(build, logits, labels, lengths, denominators);
    build.output('mlmLoss', head.loss);
    build.output('mlmHits', head.hits);
    build.output('rtdLoss', rtd.loss);
    build.output('rtdHits', rtd.hits);
    const loss = add(build, scale(build, head.loss, objective.genWeight), scale(build, rtd.loss, objective.discWeight));
    return {
      loss,
      draw,
      generatorLogits: head.logits,
      logSumExp: head.logSumExp,
      discriminatorLogits: logits,
      labels,
      corrupted,
    };
  });
}

function inputRows(build: ProgramBuilder, { rows, places, segments }: Omit<BatchShape, 'masked'>) {
  return {
    ids: build.input('ids', int32(rows, places)),
    lengths: build.input('lengths', int32(rows, segments)),
    seconds: build.input('seconds', int32(rows, segments)),
  };
}

function encoderOf(build: ProgramBuilder, model: ModelConfig, part: ModelPart, isTraining: boolean): Encoder {
  const known = new Map(parametersOf(model).map((parameter) => [parameter.name, parameter]));
  const weights: Weights = (key) => {
    const parameter = known.get(parameterName(model, part, key));
    if (!parameter) throw new Error(`internal: ${part} has no parameter ${key}`);
    return parameterTensor(build, parameter);
  };
  return { part, config: model[part], weights, isTraining };
}

/** States at the places, through the generator's transform: (B, N, E). */
function generatorHidden(build: ProgramBuilder, { config, weights }: Encoder, states: Tensor, places: Tensor): Tensor {
  const gathered = gatherRows(build, states, places);
  const inner = linear(build, gathered, ...pair(weights, 'generator_predictions.dense'), 'gelu');
  return layerNorm(build, inner, ...pair(weights, 'generator_predictions.LayerNorm'), config.layer_norm_eps);
}

function outputLayer(weights: Weights): [Tensor, Tensor] {
  return [weights('electra.embeddings.word_embeddings.weight'), weights('generator_lm_head.bias')];
}

function discriminatorLogits(
  build: ProgramBuilder,
  encoder: Encoder,
  inputs: { ids: Tensor; lengths: Tensor; seconds: Tensor; draw: Tensor },
): Tensor {
  const states = encode(build, encoder, inputs);
  return build.scope('head', () => {
    const inner = linear(build, states, ...pair(encoder.weights, 'discriminator_predictions.dense'), 'gelu');
    return linear(build, inner, ...pair(encoder.weights, 'discriminator_predictions.dense_prediction'));
  });
}

function appendUpdate(
  build: ProgramBuilder,
  parameters: readonly Parameter[],
  gradients: readonly Tensor[],
  draw: Tensor,
  optimizer: Optimizer,
): void {
  build.inScope('update', () => {
    const rate = build.input('rate', float32());
    const norm = globalNorm(build, gradients);
    build.output('gradientNorm', norm);
    const factor = clip(build, norm, optimizer.maxGradNorm);
    for (const [i, parameter] of parameters.entries()) {
      const [nameM, nameV] = momentNames(parameter.name);
      const state = {
        parameter: parameterTensor(build, parameter),
        m: build.variable(nameM, parameter.shape, 'moment'),
        v: build.variable(nameV, parameter.shape, 'moment'),
      };
      const next = adamW(
        build,
        state,
        gradients[i],
        { factor, rate, draw },
        {
          beta1: optimizer.beta1,
          beta2: optimizer.beta2,
          epsilon: optimizer.epsilon,
          epsilonInRoot: false,
          weightDecay: isDecayed(parameter.name) ? optimizer.weightDecay : 0,
          rateFactor: 1,
          biasCorrection: optimizer.biasCorrection,
        },
      );
      build.assign(parameter.name, next.parameter);
      build.assign(nameM, next.m);
      build.assign(nameV, next.v);
    }
  });
}

/** Names of Adam's two moments of a parameter, as the original's checkpoints spell them. */
export function momentNames(name: string): [string, string] {
  return [`adam_m/${name}`, `adam_v/${name}`];
}

function gradientName({ name }: Parameter): string {
  return `gradient/${name}`;
}

function parameterTensor(build: ProgramBuilder, { name, shape }: Parameter): Tensor {
  return build.variable(name, shape, 'parameter');
}

function gradientTensor(build: ProgramBuilder, parameter: Parameter): Tensor {
  return build.variable(gradientName(parameter), parameter.shape, 'gradient');
}

function exposePredictions(build: ProgramBuilder, forward: Forward): void {
  build.output('generatorLogits', forward.generatorLogits);
  build.output('logSumExp', forward.logSumExp);
  build.output('discriminatorLogits', forward.discriminatorLogits);
  build.output('labels', forward.labels);
}
