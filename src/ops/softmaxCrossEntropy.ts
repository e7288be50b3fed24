/**
 * Cross-entropy of a choice among columns: of a class for each row, or of a place in each row (where an answer starts).
 *
 *   loss = Σ w · −log p(label) / (denominator + 1e-6)     p = softmax over the row's open columns
 *
 * A column is open if it lies within the row's segments (`lengths`) and `allowed` is not 0 there; the others have no
 * probability and are never read. A row whose label is not open has no loss and no gradient: an answer that the row
 * does not show. denominator is the sum of weights of the whole batch, so that micro-batches add up to it.
 */
import { lossEpsilon } from './maskedLmHead.js';
import {
  type Build,
  expectType,
  float32,
  type IndexRule,
  int32,
  type OperationDefinition,
  sizeOf,
  type Tensor,
  type TensorType,
} from './operation.js';
import { expectSegments } from './segments.js';

/**
 * logits (R, C) or (R, C, 1), labels (R) int32, lengths (R, S) int32 or absent, allowed (R, C) int32 or absent,
 * weights (R) or absent (1), denominator [] → loss [], log of the softmax denominators (R), 0 where no column is open.
 */
export const softmaxCrossEntropyOperation: OperationDefinition<Record<string, never>> = {
  name: 'softmaxCrossEntropy',
  infer([logits, labels, lengths, allowed, weights, denominator]) {
    const [rows] = logits.shape;
    expectChoice('softmaxCrossEntropy', logits, { labels, lengths, allowed, weights, denominator });
    return [float32(), float32(rows)];
  },
  gradient({ build, inputs, outputs: [, logSumExp], outputGradients: [dLoss] }) {
    const [logits, ...others] = inputs;
    const [dLogits] = build.apply(softmaxCrossEntropyGradientOperation, [logits, ...others, logSumExp, dLoss], {});
    return [dLogits, ...others.map(() => undefined)];
  },
  places: { inputs: [0], outputs: [], lengths: 2 },
  indices: indicesOf,
  flops([logits]) {
    return 10 * sizeOf(logits.shape);
  },
  reference({ inputs, outputs: [loss, logSumExp], inputTypes }) {
    const [logits, labels, lengths, allowed, weights, denominator] = inputs;
    const [rows, columns] = inputTypes[0].shape;
    const isOpen = openColumns(lengths, allowed, rows, columns);
    loss[0] = 0;
    for (let row = 0; row < rows; row++) {
      const open = Array.from({ length: columns }, (_, column) => row * columns + column).filter((i) => isOpen[i]);
      const most = open.reduce((a, i) => Math.max(a, logits[i]), Number.NEGATIVE_INFINITY);
      const total = open.reduce((sum, i) => sum + Math.exp(logits[i] - most), 0);
      logSumExp[row] = open.length === 0 ? 0 : most + Math.log(total);
      const label = row * columns + labels[row];
      if (isOpen[label]) loss[0] += (weights ? weights[row] : 1) * (logSumExp[row] - logits[label]);
    }
    loss[0] /= denominator[0] + lossEpsilon;
  },
};

export interface Choice {
  /** (R) int32 */
  readonly labels: Tensor;
  /** (R, S) int32: columns behind a row's segments have no probability. */
  readonly lengths?: Tensor;
  /** (R, C) int32: nor have those where it is 0. */
  readonly allowed?: Tensor;
  /** (R); 1 where absent. */
  readonly weights?: Tensor;
  /** []: the sum of weights of the whole batch. */
  readonly denominator: Tensor;
}

/** logits (R, C) or (R, C, 1) → loss []. */
export function softmaxCrossEntropy(build: Build, logits: Tensor, choice: Choice): Tensor {
  const { labels, lengths, allowed, weights, denominator } = choice;
  const inputs = [logits, labels, lengths, allowed, weights, denominator];
  return build.apply(softmaxCrossEntropyOperation, inputs, {})[0];
}

/** The forward operation's inputs, log of the softmax denominators (R), dLoss [] → dLogits, of the type of logits. */
export const softmaxCrossEntropyGradientOperation: OperationDefinition<Record<string, never>> = {
  name: 'softmaxCrossEntropyGradient',
  infer([logits, labels, lengths, allowed, weights, denominator, logSumExp, dLoss]) {
    expectChoice('softmaxCrossEntropyGradient', logits, { labels, lengths, allowed, weights, denominator });
    expectType('softmaxCrossEntropyGradient', 'logSumExp', logSumExp, float32(logits.shape[0]));
    expectType('softmaxCrossEntropyGradient', 'dLoss', dLoss, float32());
    return [logits];
  },
  inPlace: [[0, 0]],
  places: { inputs: [0], outputs: [0], lengths: 2 },
  indices: indicesOf,
  flops([logits]) {
    return 5 * sizeOf(logits.shape);
  },
  reference({ inputs, outputs: [dLogits], inputTypes }) {
    const [logits, labels, lengths, allowed, weights, denominator, logSumExp, dLoss] = inputs;
    const [rows, columns] = inputTypes[0].shape;
    const isOpen = openColumns(lengths, allowed, rows, columns);
    const scale = dLoss[0] / (denominator[0] + lossEpsilon);
    for (let i = 0; i < isOpen.length; i++) {
      const row = Math.floor(i / columns);
      const label = row * columns + labels[row];
      const slope = Math.exp(logits[i] - logSumExp[row]) - (i === label ? 1 : 0);
      dLogits[i] = isOpen[i] && isOpen[label] ? scale * (weights ? weights[row] : 1) * slope : 0;
    }
  },
};

function expectChoice(
  operation: string,
  logits: TensorType,
  choice: Record<keyof Choice, TensorType | undefined> & Pick<Record<string, TensorType>, 'labels' | 'denominator'>,
): void {
  const { labels, lengths, allowed, weights, denominator } = choice;
  const [rows, columns] = logits.shape;
  expectType(operation, 'logits', logits, float32(-1, -1, ...logits.shape.slice(2, 3).map(() => 1)));
  expectType(operation, 'labels', labels, int32(rows));
  if (lengths) expectSegments(operation, 'lengths', lengths, rows);
  if (allowed) expectType(operation, 'allowed', allowed, int32(rows, columns));
  if (weights) expectType(operation, 'weights', weights, float32(rows));
  expectType(operation, 'denominator', denominator, float32());
}

function indicesOf({ inputs: [logits, , lengths] }: { inputs: readonly TensorType[] }): Record<number, IndexRule> {
  const columns = logits.shape[1];
  return { 1: { below: columns }, ...(lengths && { 2: { segmentsIn: columns } }) };
}

/** Of every column of every row: whether it has a probability. */
export function openColumns(
  lengths: ArrayLike<number> | undefined,
  allowed: ArrayLike<number> | undefined,
  rows: number,
  columns: number,
): boolean[] {
  const segments = lengths ? lengths.length / rows : 0;
  return Array.from({ length: rows * columns }, (_, i) => {
    const row = Math.floor(i / columns);
    let real = lengths ? 0 : columns;
    for (let s = 0; lengths && s < segments; s++) real += lengths[row * segments + s];
    return i % columns < real && allowed?.[i] !== 0;
  });
}
