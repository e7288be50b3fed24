/**
 * The loss of a regression, a number for each row: loss = Σ w · (prediction − target)² / (denominator + 1e-6).
 * denominator is the sum of weights of the whole batch, so that micro-batches add up to it.
 */
import { lossEpsilon } from './maskedLmHead.js';
import {
  type Build,
  expectType,
  float32,
  type OperationDefinition,
  type Tensor,
  type TensorType,
} from './operation.js';

/** predictions (R, 1), targets (R), weights (R) or absent (1), denominator [] → loss []. Targets get no gradient. */
export const meanSquaredErrorOperation: OperationDefinition<Record<string, never>> = {
  name: 'meanSquaredError',
  infer(inputs) {
    expectRegression('meanSquaredError', inputs);
    return [float32()];
  },
  gradient({ build, inputs, outputGradients: [dLoss] }) {
    const [dPredictions] = build.apply(meanSquaredErrorGradientOperation, [...inputs, dLoss], {});
    return [dPredictions, undefined, undefined, undefined];
  },
  flops([predictions]) {
    return 4 * predictions.shape[0];
  },
  reference({ inputs: [predictions, targets, weights, denominator], outputs: [loss] }) {
    loss[0] = 0;
    for (let row = 0; row < targets.length; row++) {
      loss[0] += (weights ? weights[row] : 1) * (predictions[row] - targets[row]) ** 2;
    }
    loss[0] /= denominator[0] + lossEpsilon;
  },
};

export function meanSquaredError(
  build: Build,
  predictions: Tensor,
  targets: Tensor,
  weights: Tensor | undefined,
  denominator: Tensor,
): Tensor {
  return build.apply(meanSquaredErrorOperation, [predictions, targets, weights, denominator], {})[0];
}

/** predictions (R, 1), targets (R), weights (R) or absent, denominator [], dLoss [] → dPredictions (R, 1). */
export const meanSquaredErrorGradientOperation: OperationDefinition<Record<string, never>> = {
  name: 'meanSquaredErrorGradient',
  infer(inputs) {
    expectRegression('meanSquaredErrorGradient', inputs);
    expectType('meanSquaredErrorGradient', 'dLoss', inputs[4], float32());
    return [inputs[0]];
  },
  inPlace: [[0, 0]],
  flops([predictions]) {
    return 3 * predictions.shape[0];
  },
  reference({ inputs: [predictions, targets, weights, denominator, dLoss], outputs: [dPredictions] }) {
    const scale = (2 * dLoss[0]) / (denominator[0] + lossEpsilon);
    for (let row = 0; row < targets.length; row++) {
      dPredictions[row] = scale * (weights ? weights[row] : 1) * (predictions[row] - targets[row]);
    }
  },
};

function expectRegression(operation: string, inputs: readonly TensorType[]): void {
  const [predictions, targets, weights, denominator] = inputs;
  expectType(operation, 'targets', targets, float32(-1));
  expectType(operation, 'predictions', predictions, float32(targets.shape[0], 1));
  if (weights) expectType(operation, 'weights', weights, targets);
  expectType(operation, 'denominator', denominator, float32());
}
