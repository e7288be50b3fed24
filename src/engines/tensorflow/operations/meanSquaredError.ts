/** The loss of a regression and its gradient. */
import { lossEpsilon } from '../../../ops/maskedLmHead.js';
import type { Emit, EmitCall } from './call.js';

export const meanSquaredError: Emit = (call) => {
  const { graph, inputs } = call;
  const weights = weightsOf(call);
  return graph.block(
    ['mean_squared_error', weights.length],
    [flat(call), inputs[1], inputs[3], ...weights],
    (nodes, [x, y, denominator, weight = nodes.float(1)]) => {
      const sum = nodes.sum(nodes.mul(weight, nodes.square(nodes.sub(x, y))), [0]);
      return [nodes.div(sum, nodes.add(denominator, nodes.float(lossEpsilon)))];
    },
  );
};

export const meanSquaredErrorGradient: Emit = (call) => {
  const { graph, inputs, outputTypes } = call;
  const weights = weightsOf(call);
  const [dPredictions] = graph.block(
    ['mean_squared_error_gradient', weights.length],
    [flat(call), inputs[1], inputs[3], inputs[4], ...weights],
    (nodes, [x, y, denominator, dLoss, weight = nodes.float(1)]) => {
      const twice = nodes.mul(nodes.float(2), dLoss);
      const scale = nodes.div(twice, nodes.add(denominator, nodes.float(lossEpsilon)));
      return [nodes.mul(nodes.mul(scale, weight), nodes.sub(x, y))];
    },
  );
  return [graph.reshape(dPredictions, outputTypes[0].shape)];
};

function flat({ graph, inputs, inputTypes }: EmitCall) {
  return graph.reshape(inputs[0], inputTypes[1].shape);
}

function weightsOf({ inputs }: EmitCall) {
  return inputs[2] === undefined ? [] : [inputs[2]];
}
