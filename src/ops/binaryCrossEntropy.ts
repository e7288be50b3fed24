/**
 * The discriminator's loss: was this token replaced? Over all real tokens, [CLS] and [SEP] included.
 *
 *   loss = Σ bce(logit, label) / (denominators[1] + 1e-6)     denominators[1] = real tokens of the whole batch
 *
 * hits (4): right decisions, replaced and found, said to be replaced, replaced; a decision is logit > 0.
 * Source: google-research/electra 8a46635, run_pretraining.py.
 */
import { lossEpsilon } from './maskedLmHead.js';
import {
  type Build,
  expectType,
  float32,
  int32,
  type OperationDefinition,
  sizeOf,
  type Tensor,
  type TensorType,
  type Values,
} from './operation.js';
import { expectSegments } from './segments.js';

/** logits (B, T, 1), labels (B, T) int32, lengths (B, S), denominators (2) → loss [], hits (4). */
export const binaryCrossEntropyOperation: OperationDefinition<Record<string, never>> = {
  name: 'binaryCrossEntropy',
  infer([logits, labels, lengths, denominators]) {
    expectType('binaryCrossEntropy', 'labels', labels, int32(-1, -1));
    expectType('binaryCrossEntropy', 'logits', logits, float32(...labels.shape, 1));
    expectSegments('binaryCrossEntropy', 'lengths', lengths, labels.shape[0]);
    expectType('binaryCrossEntropy', 'denominators', denominators, float32(2));
    return [float32(), float32(4)];
  },
  gradient({ build, inputs, outputGradients: [dLoss] }) {
    const [dLogits] = build.apply(binaryCrossEntropyGradientOperation, [...inputs, dLoss], {});
    return [dLogits, undefined, undefined, undefined];
  },
  places: { inputs: [0], outputs: [], lengths: 2 },
  indices({ inputs: [, labels] }) {
    return { 2: { segmentsIn: labels.shape[1] } };
  },
  flops([logits]) {
    return 20 * sizeOf(logits.shape);
  },
  reference({ inputs: [logits, labels, lengths, denominators], outputs: [loss, hits], inputTypes }) {
    loss[0] = 0;
    hits.fill(0);
    for (const i of realTokens(lengths, inputTypes[2], inputTypes[1])) {
      // log(1 + e^x) − x·label, written so that neither end overflows.
      const x = logits[i];
      loss[0] += Math.max(x, 0) - x * labels[i] + Math.log1p(Math.exp(-Math.abs(x)));
      const decision = x > 0 ? 1 : 0;
      hits[0] += decision === labels[i] ? 1 : 0;
      hits[1] += decision * labels[i];
      hits[2] += decision;
      hits[3] += labels[i];
    }
    loss[0] /= denominators[1] + lossEpsilon;
  },
};

/** Flat indices of all places that belong to a segment. */
function* realTokens(lengths: Values, lengthsType: TensorType, labelsType: TensorType): Generator<number> {
  const [rows, places] = labelsType.shape;
  const segments = lengthsType.shape[1];
  for (let row = 0; row < rows; row++) {
    let real = 0;
    for (let s = 0; s < segments; s++) real += lengths[row * segments + s];
    for (let place = 0; place < real; place++) yield row * places + place;
  }
}

export function binaryCrossEntropy(
  build: Build,
  logits: Tensor,
  labels: Tensor,
  lengths: Tensor,
  denominators: Tensor,
): { loss: Tensor; hits: Tensor } {
  const [loss, hits] = build.apply(binaryCrossEntropyOperation, [logits, labels, lengths, denominators], {});
  return { loss, hits };
}

/** logits (B, T, 1), labels, lengths, denominators, dLoss [] → dLogits (B, T, 1). */
export const binaryCrossEntropyGradientOperation: OperationDefinition<Record<string, never>> = {
  name: 'binaryCrossEntropyGradient',
  infer([logits, labels, lengths, denominators, dLoss]) {
    expectType('binaryCrossEntropyGradient', 'logits', logits, float32(...labels.shape, 1));
    expectSegments('binaryCrossEntropyGradient', 'lengths', lengths, labels.shape[0]);
    expectType('binaryCrossEntropyGradient', 'denominators', denominators, float32(2));
    expectType('binaryCrossEntropyGradient', 'dLoss', dLoss, float32());
    return [logits];
  },
  inPlace: [[0, 0]],
  places: { inputs: [0], outputs: [0], lengths: 2 },
  indices({ inputs: [, labels] }) {
    return { 2: { segmentsIn: labels.shape[1] } };
  },
  flops([logits]) {
    return 10 * sizeOf(logits.shape);
  },
  reference({ inputs: [logits, labels, lengths, denominators, dLoss], outputs: [dLogits], inputTypes }) {
    const scale = dLoss[0] / (denominators[1] + lossEpsilon);
    const gradients = new Float64Array(logits.length);
    for (const i of realTokens(lengths, inputTypes[2], inputTypes[1])) {
      gradients[i] = scale * (1 / (1 + Math.exp(-logits[i])) - labels[i]);
    }
    dLogits.set(gradients);
  },
};
