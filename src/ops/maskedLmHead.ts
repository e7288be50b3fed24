/**
 * The generator's output layer as one operation: logits over the vocabulary at the masked places, their loss, one
 * sample a place, and how often both the best guess and the sample were right.
 *
 *   logits = hidden tableᵀ + bias            table = the word embeddings (tied), (V, E)
 *   loss   = Σ w · −log p(target) / (denominators[0] + 1e-6),   w = 1 for the first counts[row] places of a row
 *   sample = argmax(logits / temperature [− 1000 at the target, if disallowCorrect] + g),
 *            g = −log(−log(u + 1e-9) + 1e-9),  u = uniform draw ((row · N + place) · V + id) of the stream
 *
 * denominators is float32 [2]: masked places and real tokens of the whole batch, so that micro-batches add up to it.
 * A sample is an id in [0, V) whatever the logits are; a row of them that holds no finite maximum is counted instead.
 * Unused places (≥ counts[row]) give sample 0, no loss and no gradient.
 * Source: google-research/electra 8a46635, run_pretraining.py and pretrain_helpers.sample_from_softmax.
 */

import { drawWord, uniformOfWord } from '../random/philox.js';
import { flag, positive, word } from './attributes.js';
import { biasGradient } from './biasGradient.js';
import { type Draw, drawType, readDraw } from './dropout.js';
import { linearInputGradient, linearWeightGradient } from './linear.js';
import {
  type Build,
  expectType,
  float32,
  int32,
  type OperationDefinition,
  rowsOf,
  sizeOf,
  type Tensor,
  type Values,
} from './operation.js';

type MaskedLmHeadAttributes = {
  readonly temperature: number;
  readonly disallowCorrect: boolean;
  /** false: no sample is drawn, and the samples are all 0. */
  readonly sample: boolean;
  readonly stream: number;
};

/** Added to the denominator of a mean over weights, as the original does. */
export const lossEpsilon = 1e-6;

/**
 * hidden (B, N, E), table (V, E), bias (V), targets (B, N), counts (B), denominators (2), draw → loss [],
 * sampled (B, N) int32, logits (B, N, V), log of the softmax denominators (B, N),
 * hits (3): best guesses that were right, samples that were right, places whose logits were not finite.
 */
export const maskedLmHeadOperation: OperationDefinition<MaskedLmHeadAttributes> = {
  name: 'maskedLmHead',
  attributes: { temperature: positive, disallowCorrect: flag, sample: flag, stream: word },
  infer([hidden, table, bias, targets, counts, denominators, draw]) {
    expectType('maskedLmHead', 'hidden', hidden, float32(-1, -1, table.shape[1]));
    const [rows, places] = hidden.shape;
    expectType('maskedLmHead', 'table', table, float32(-1, -1));
    expectType('maskedLmHead', 'bias', bias, float32(table.shape[0]));
    expectType('maskedLmHead', 'targets', targets, int32(rows, places));
    expectType('maskedLmHead', 'counts', counts, int32(rows));
    expectType('maskedLmHead', 'denominators', denominators, float32(2));
    expectType('maskedLmHead', 'draw', draw, drawType);
    return [float32(), int32(rows, places), float32(rows, places, table.shape[0]), float32(rows, places), float32(3)];
  },
  accumulates: [0, 1, 2],
  gradient({ build, inputs, outputs: [, , logits, logSumExp], outputGradients: [dLoss], needed, previous }) {
    const [hidden, table, , targets, counts, denominators] = inputs;
    const [dLogits] = build.apply(
      maskedLmHeadGradientOperation,
      [logits, logSumExp, targets, counts, denominators, dLoss],
      {},
    );
    return [
      needed[0] ? linearInputGradient(build, dLogits, table, previous[0]) : undefined,
      needed[1] ? linearWeightGradient(build, dLogits, hidden, previous[1]) : undefined,
      needed[2] ? biasGradient(build, dLogits, previous[2]) : undefined,
    ];
  },
  indices({ inputs: [hidden, table] }) {
    return { 3: { below: table.shape[0] }, 4: { below: hidden.shape[1] + 1 } };
  },
  flops([hidden, table]) {
    return 2 * rowsOf(hidden.shape) * sizeOf(table.shape);
  },
  reference({ inputs, outputs: [loss, sampled, logits, logSumExp, hits], inputTypes, attributes }) {
    const [hidden, table, bias, targets, counts, denominators, drawValues] = inputs;
    const [, places, width] = inputTypes[0].shape;
    const pieces = inputTypes[1].shape[0];
    const draw = readDraw(drawValues);
    loss[0] = 0;
    hits.fill(0);
    sampled.fill(0);
    for (let i = 0; i < targets.length; i++) {
      const row = logits.subarray(i * pieces, (i + 1) * pieces);
      for (let id = 0; id < pieces; id++) {
        row[id] = bias[id];
        for (let e = 0; e < width; e++) row[id] += hidden[i * width + e] * table[id * width + e];
      }
      const best = argmax(row);
      let denominator = 0;
      for (const logit of row) denominator += Math.exp(logit - row[best]);
      logSumExp[i] = row[best] + Math.log(denominator);
      if (i % places >= counts[Math.floor(i / places)]) continue;
      loss[0] += (logSumExp[i] - row[targets[i]]) / (denominators[0] + lossEpsilon);
      if (best === targets[i]) hits[0]++;
      if (!Number.isFinite(logSumExp[i])) hits[2]++;
      if (!attributes.sample) continue;
      sampled[i] = sampleOf(row, targets[i], draw, draw.firstRow * places + i, attributes);
      if (sampled[i] === targets[i]) hits[1]++;
    }
  },
};

function sampleOf(
  logits: Values,
  target: number,
  draw: Draw,
  place: number,
  { temperature, disallowCorrect, stream }: MaskedLmHeadAttributes,
): number {
  return argmax(
    Float64Array.from(logits, (logit, id) => {
      const uniform = uniformOfWord(drawWord(draw.key, stream, draw.step, place * logits.length + id));
      const noise = -Math.log(-Math.log(uniform + 1e-9) + 1e-9);
      return logit / temperature - (disallowCorrect && id === target ? 1000 : 0) + noise;
    }),
  );
}

/** Index of the first largest value; 0 when nothing compares. */
function argmax(values: Values): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

export interface MaskedLmHead {
  readonly loss: Tensor;
  readonly sampled: Tensor;
  readonly logits: Tensor;
  readonly logSumExp: Tensor;
  readonly hits: Tensor;
}

export function maskedLmHead(
  build: Build,
  hidden: Tensor,
  table: Tensor,
  bias: Tensor,
  batch: { targets: Tensor; counts: Tensor; denominators: Tensor; draw: Tensor },
  attributes: MaskedLmHeadAttributes,
): MaskedLmHead {
  const { targets, counts, denominators, draw } = batch;
  const inputs = [hidden, table, bias, targets, counts, denominators, draw];
  const [loss, sampled, logits, logSumExp, hits] = build.apply(maskedLmHeadOperation, inputs, attributes);
  return { loss, sampled, logits, logSumExp, hits };
}

/** logits (B, N, V), logSumExp, targets (B, N), counts (B), denominators (2), dLoss [] → dLogits (B, N, V). */
export const maskedLmHeadGradientOperation: OperationDefinition<Record<string, never>> = {
  name: 'maskedLmHeadGradient',
  infer([logits, logSumExp, targets, counts, denominators, dLoss]) {
    expectType('maskedLmHeadGradient', 'logits', logits, float32(...targets.shape, -1));
    expectType('maskedLmHeadGradient', 'logSumExp', logSumExp, float32(...targets.shape));
    expectType('maskedLmHeadGradient', 'counts', counts, int32(targets.shape[0]));
    expectType('maskedLmHeadGradient', 'denominators', denominators, float32(2));
    expectType('maskedLmHeadGradient', 'dLoss', dLoss, float32());
    return [logits];
  },
  inPlace: [[0, 0]],
  indices({ inputs: [logits] }) {
    return { 2: { below: logits.shape[2] }, 3: { below: logits.shape[1] + 1 } };
  },
  flops([logits]) {
    return 4 * sizeOf(logits.shape);
  },
  reference({ inputs, outputs: [dLogits], inputTypes }) {
    const [logits, logSumExp, targets, counts, denominators, dLoss] = inputs;
    const [, places, pieces] = inputTypes[0].shape;
    const scale = dLoss[0] / (denominators[0] + lossEpsilon);
    for (let i = 0; i < targets.length; i++) {
      const weight = i % places < counts[Math.floor(i / places)] ? scale : 0;
      for (let id = 0; id < pieces; id++) {
        const probability = Math.exp(logits[i * pieces + id] - logSumExp[i]);
        dLogits[i * pieces + id] = weight === 0 ? 0 : weight * (probability - (id === targets[i] ? 1 : 0));
      }
    }
  },
};
