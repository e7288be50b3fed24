/**
 * ELECTRA as programs: the joint pre-training step, its evaluation, and inference with either model.
 *
 * One step: hide the masked places → generator → loss and samples there → its gradients → put the samples in →
 * discriminator → loss at every real token → its gradients → one clip over both models → AdamW. Replacements are an edge:
 * sampled on the device, or given by the loader. Gradients do not flow through samples, which are integers.
 * Source: google-research/electra 8a46635, run_pretraining.py.
 */
import { adamW } from '../ops/adamW.js';
import { scale } from '../ops/arithmetic.js';
import { binaryCrossEntropy } from '../ops/binaryCrossEntropy.js';
import { clip, globalNorm } from '../ops/clip.js';
import { drawType } from '../ops/dropout.js';
import { gatherIds, gatherRows } from '../ops/gatherRows.js';
import { layerNorm } from '../ops/layerNorm.js';
import { linear } from '../ops/linear.js';
import { type MaskedLmHead, maskedLmHead } from '../ops/maskedLmHead.js';
import { float32, int32, type Tensor } from '../ops/operation.js';
import { replace } from '../ops/replace.js';
import { ProgramBuilder } from '../program/builder.js';
import type { Program } from '../program/program.js';
import { streams } from '../random/streams.js';
import type { ModelConfig } from './config.js';
import { type Encoder, type EncoderInputs, encode, pair, type Weights } from './encoder.js';
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
  const { batch, head, found, gradients } = buildStep(build, settings, parameters);
  appendUpdate(build, parameters, gradients, batch.draw, settings.optimizer);
  if (settings.exposesAll) {
    build.output('generatorLogits', linear(build, ...head.inputs));
    build.output('logSumExp', head.logSumExp);
    build.output('discriminatorLogits', found.logits);
    build.output('labels', found.labels);
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
  const sums = parameters.map((parameter) => gradientTensor(build, parameter));
  const { gradients } = buildStep(build, settings, parameters, settings.isFirst ? undefined : sums);
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
  const batch = inputBatch(build, settings);
  const head = buildGenerator(build, settings, batch, false);
  const { logits, labels, corrupted } = buildDiscriminator(build, settings, batch, head, false);
  build.output('logits', logits);
  build.output('labels', labels);
  build.output('corrupted', corrupted);
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

interface Batch extends EncoderInputs {
  readonly places: Tensor;
  readonly seen: Tensor;
  readonly counts: Tensor;
  readonly given?: Tensor;
  readonly denominators: Tensor;
}

/**
 * Forward and backward of the generator, then of the discriminator: no gradient crosses the samples between them, so
 * nothing of the generator is kept while the discriminator runs. Gradients are added to `previous`.
 */
function buildStep(
  build: ProgramBuilder,
  settings: StepSettings,
  parameters: readonly Parameter[],
  previous?: readonly Tensor[],
) {
  const tensors = parameters.map((parameter) => parameterTensor(build, parameter));
  const gradientsOf = (loss: Tensor, weight: number, earlier?: readonly (Tensor | undefined)[]) =>
    build.gradients(
      build.scope('loss', () => scale(build, loss, weight)),
      tensors,
      earlier,
    );
  const batch = inputBatch(build, settings);
  const head = buildGenerator(build, settings, batch, true);
  const ofGenerator = gradientsOf(head.loss, settings.objective.genWeight, previous);
  const found = buildDiscriminator(build, settings, batch, head, true);
  // Every parameter belongs to one of the two.
  const gradients = gradientsOf(found.loss, settings.objective.discWeight, ofGenerator) as Tensor[];
  return { batch, head, found, gradients };
}

function inputBatch(build: ProgramBuilder, { shape, replacement }: StepSettings): Batch {
  const atPlaces = int32(shape.rows, shape.masked);
  return {
    ...inputRows(build, shape),
    places: build.input('places', atPlaces),
    seen: build.input('seen', atPlaces),
    counts: build.input('counts', int32(shape.rows)),
    given: replacement === 'given' ? build.input('given', atPlaces) : undefined,
    draw: build.input('draw', drawType),
    denominators: build.input('denominators', float32(2)),
  };
}

/** Its loss at the masked places, and samples for them unless replacements are given. */
function buildGenerator(
  build: ProgramBuilder,
  { model, objective }: StepSettings,
  { ids, places, seen, counts, given, denominators, ...rows }: Batch,
  isTraining: boolean,
): MaskedLmHead & { readonly inputs: readonly [Tensor, Tensor, Tensor] } {
  const head = build.scope('generator', () => {
    const { replaced } = replace(build, ids, places, seen, counts);
    const encoder = encoderOf(build, model, 'generator', isTraining);
    const states = encode(build, encoder, { ...rows, ids: replaced });
    return build.scope('head', () => {
      const hidden = generatorHidden(build, encoder, states, places);
      const batch = { targets: gatherIds(build, ids, places), counts, denominators, draw: rows.draw };
      const inputs = [hidden, ...outputLayer(encoder.weights)] as const;
      const outputs = maskedLmHead(build, ...inputs, batch, {
        temperature: objective.temperature,
        disallowCorrect: objective.disallowCorrect,
        sample: given === undefined,
        stream: streams.gumbel,
      });
      return { ...outputs, inputs };
    });
  });
  build.output('mlmLoss', head.loss);
  build.output('mlmHits', head.hits);
  return head;
}

/** Its loss at every real token, with its input, what was replaced there, and its logits. */
function buildDiscriminator(
  build: ProgramBuilder,
  { model }: StepSettings,
  { ids, places, counts, given, denominators, ...rows }: Batch,
  { sampled }: MaskedLmHead,
  isTraining: boolean,
) {
  const { corrupted, labels, logits } = build.scope('discriminator', () => {
    const { replaced: corrupted, labels } = replace(build, ids, places, given ?? sampled, counts);
    const encoder = encoderOf(build, model, 'discriminator', isTraining);
    return { corrupted, labels, logits: discriminatorLogits(build, encoder, { ...rows, ids: corrupted }) };
  });
  const rtd = build.scope('loss', () => binaryCrossEntropy(build, logits, labels, rows.lengths, denominators));
  build.output('rtdLoss', rtd.loss);
  build.output('rtdHits', rtd.hits);
  return { loss: rtd.loss, corrupted, labels, logits };
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

function discriminatorLogits(build: ProgramBuilder, encoder: Encoder, inputs: EncoderInputs): Tensor {
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
