/**
 * The generator's output layer as one operation: logits over the vocabulary at the masked places, their loss, one
 * sample a place, and how often both the best guess and the sample were right. The logits (B, N, V) are no output, and
 * the gradient computes them again, so that an engine need not have all of them at any time.
 *
 *   logits = hidden tableᵀ + bias            table = the word embeddings (tied), (V, E)
 *   loss   = Σ w · −log p(target) / (denominators[0] + 1e-6),   w = 1 for the first counts[row] places of a row
 *   sample = argmax(logits / temperature [− 1000 at the target, if disallowCorrect] + g),
 *            g = −log(−log(u + 1e-9) + 1e-9),  u = uniform draw ((row · N + place) · V + id) of the stream
 *
 * denominators is float32 [2]: masked places and real tokens of the whole batch, so that micro-batches add up to it.
 * A sample is an id in [0, V) whatever the logits are; a row of them that holds no finite maximum is counted instead.
 * Unused places (≥ counts[row]) give sample 0, log of the denominator 0, no loss and no gradient.
 * Source: google-research/electra 8a46635, run_pretraining.py and pretrain_helpers.sample_from_softmax.
 */

import { drawWord, uniformOfWord } from '../random/philox.js';
import { flag, positive, word } from './attributes.js';
import { type Draw, drawType, readDraw } from './dropout.js';
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
 * sampled (B, N) int32, log of the softmax denominators (B, N),
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
    return [float32(), int32(rows, places), float32(rows, places), float32(3)];
  },
  accumulates: [0, 1, 2],
  gradient({ build, inputs, outputs: [, , logSumExp], outputGradients: [dLoss], previous }) {
    const [hidden, table, bias, targets, counts, denominators] = inputs;
    return build.apply(
      maskedLmHeadGradientOperation,
      [hidden, table, bias, logSumExp, targets, counts, denominators, dLoss, ...previous.slice(0, 3)],
      {},
    );
  },
  indices({ inputs: [hidden, table] }) {
    return { 3: { below: table.shape[0] }, 4: { below: hidden.shape[1] + 1 } };
  },
  flops([hidden, table]) {
    return 2 * rowsOf(hidden.shape) * sizeOf(table.shape);
  },
  reference({ inputs, outputs: [loss, sampled, logSumExp, hits], inputTypes, attributes }) {
    const [hidden, table, bias, targets, counts, denominators, drawValues] = inputs;
    const places = inputTypes[0].shape[1];
    const draw = readDraw(drawValues);
    loss[0] = 0;
    for (const output of [hits, sampled, logSumExp]) output.fill(0);
    for (let i = 0; i < targets.length; i++) {
      if (i % places >= counts[Math.floor(i / places)]) continue;
      const row = logitsOf(hidden, table, bias, i);
      const best = argmax(row);
      let denominator = 0;
      for (const logit of row) denominator += Math.exp(logit - row[best]);
      logSumExp[i] = row[best] + Math.log(denominator);
      loss[0] += (logSumExp[i] - row[targets[i]]) / (denominators[0] + lossEpsilon);
      if (best === targets[i]) hits[0]++;
      if (!Number.isFinite(logSumExp[i])) hits[2]++;
      if (!attributes.sample) continue;
      sampled[i] = sampleOf(row, targets[i], draw, draw.firstRow * places + i, attributes);
      if (sampled[i] === targets[i]) hits[1]++;
    }
  },
};

/** Logits of a place over the vocabulary. */
function logitsOf(hidden: Values, table: Values, bias: Values, place: number): Float64Array {
  const width = table.length / bias.length;
  return Float64Array.from(bias, (sum, id) => {
    let logit = sum;
    for (let e = 0; e < width; e++) logit += hidden[place * width + e] * table[id * width + e];
    return logit;
  });
}

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
  const [loss, sampled, logSumExp, hits] = build.apply(maskedLmHeadOperation, inputs, attributes);
  return { loss, sampled, logSumExp, hits };
}

/**
 * hidden (B, N, E), table (V, E), bias (V), logSumExp, targets (B, N), counts (B), denominators (2), dLoss [], then for
 * hidden, table and bias what was there before or nothing → dHidden, dTable, dBias.
 */
export const maskedLmHeadGradientOperation: OperationDefinition<Record<string, never>> = {
  name: 'maskedLmHeadGradient',
  infer([
    hidden,
    table,
    bias,
    logSumExp,
    targets,
    counts,
    denominators,
    dLoss,
    earlierHidden,
    earlierTable,
    earlierBias,
  ]) {
    const [rows, places, width] = hidden.shape;
    expectType('maskedLmHeadGradient', 'table', table, float32(-1, width));
    expectType('maskedLmHeadGradient', 'bias', bias, float32(table.shape[0]));
    expectType('maskedLmHeadGradient', 'logSumExp', logSumExp, float32(rows, places));
    expectType('maskedLmHeadGradient', 'targets', targets, int32(rows, places));
    expectType('maskedLmHeadGradient', 'counts', counts, int32(rows));
    expectType('maskedLmHeadGradient', 'denominators', denominators, float32(2));
    expectType('maskedLmHeadGradient', 'dLoss', dLoss, float32());
    if (earlierHidden) expectType('maskedLmHeadGradient', 'previous hidden', earlierHidden, hidden);
    if (earlierTable) expectType('maskedLmHeadGradient', 'previous table', earlierTable, table);
    if (earlierBias) expectType('maskedLmHeadGradient', 'previous bias', earlierBias, bias);
    return [hidden, table, bias];
  },
  inPlace: [
    [0, 8],
    [1, 9],
    [2, 10],
  ],
  indices({ inputs: [hidden, table] }) {
    return { 4: { below: table.shape[0] }, 5: { below: hidden.shape[1] + 1 } };
  },
  flops([hidden, table]) {
    return 6 * rowsOf(hidden.shape) * sizeOf(table.shape);
  },
  reference({ inputs, outputs, inputTypes }) {
    const [hidden, table, bias, logSumExp, targets, counts, denominators, dLoss, ...previous] = inputs;
    const [dHidden, dTable, dBias] = outputs;
    for (const [i, gradient] of outputs.entries()) {
      if (previous[i]) gradient.set(previous[i]);
      else gradient.fill(0);
    }
    const [, places, width] = inputTypes[0].shape;
    const scale = dLoss[0] / (denominators[0] + lossEpsilon);
    for (let i = 0; i < targets.length; i++) {
      if (i % places >= counts[Math.floor(i / places)]) continue;
      for (const [id, logit] of logitsOf(hidden, table, bias, i).entries()) {
        const dLogit = scale * (Math.exp(logit - logSumExp[i]) - (id === targets[i] ? 1 : 0));
        dBias[id] += dLogit;
        for (let e = 0; e < width; e++) {
          dHidden[i * width + e] += dLogit * table[id * width + e];
          dTable[id * width + e] += dLogit * hidden[i * width + e];
        }
      }
    }
  },
};
