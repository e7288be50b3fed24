/** A choice among the open columns of each row: reductions in one block; what is closed is selected away, never added. */
import { lossEpsilon } from '../../../ops/maskedLmHead.js';
import type { Wire } from '../graph.js';
import type { Nodes } from '../nodes.js';
import type { Emit, EmitCall } from './call.js';

export const softmaxCrossEntropy: Emit = (call) => {
  const { graph } = call;
  const choice = choiceOf(call);
  return graph.block(['softmax_cross_entropy', ...choice.parts], choice.inputs, (nodes, inputs) => {
    const { x, isOpen, isLabel, counts, weight, denominator } = choice.read(nodes, inputs);
    const hasOpen = nodes.greater(nodes.max(nodes.cast(isOpen, 'int32'), [1]), nodes.int(0));
    const most = nodes.max(nodes.select(isOpen, x, nodes.float(-3e38)), [1], true);
    const terms = nodes.select(isOpen, nodes.exp(nodes.sub(x, most)), nodes.float(0));
    const total = nodes.select(hasOpen, nodes.sum(terms, [1]), nodes.float(1));
    // From the largest logit on, so that what is far from zero cancels before it is rounded.
    const distance = nodes.sub(most, x);
    const lost = nodes.add(nodes.log(total), nodes.sum(nodes.select(isLabel, distance, nodes.float(0)), [1]));
    const logSumExp = nodes.add(nodes.reshape(most, [-1]), nodes.log(total));
    const loss = nodes.sum(nodes.select(counts, nodes.mul(weight, lost), nodes.float(0)), [0]);
    return [nodes.div(loss, denominator), nodes.select(hasOpen, logSumExp, nodes.float(0))];
  });
};

export const softmaxCrossEntropyGradient: Emit = (call) => {
  const { graph, inputs, outputTypes } = call;
  const choice = choiceOf(call);
  const [dLogits] = graph.block(
    ['softmax_cross_entropy_gradient', ...choice.parts],
    [...choice.inputs, inputs[6], inputs[7]],
    (nodes, inputs) => {
      const { x, isOpen, isLabel, counts, weight, denominator } = choice.read(nodes, inputs);
      const [logSumExp, dLoss] = inputs.slice(-2);
      const probability = nodes.exp(nodes.sub(x, nodes.expandDims(logSumExp, 1)));
      const slope = nodes.sub(probability, nodes.select(isLabel, nodes.float(1), nodes.float(0)));
      const scale = nodes.reshape(nodes.mul(nodes.div(dLoss, denominator), weight), [-1, 1]);
      const isSeen = nodes.and(isOpen, nodes.expandDims(counts, 1));
      return [nodes.select(isSeen, nodes.mul(scale, slope), nodes.float(0))];
    },
  );
  return [graph.reshape(dLogits, outputTypes[0].shape)];
};

/** What both blocks are given, and how they read it. */
function choiceOf({ graph, inputs, inputTypes }: EmitCall) {
  const [logits, labels, lengths, allowed, weights, denominator] = inputs;
  const [rows, columns] = inputTypes[0].shape;
  const optional = [lengths, allowed, weights].filter((wire) => wire !== undefined);
  const numbers = graph.ints(Array.from({ length: columns }, (_, i) => i));
  return {
    parts: [lengths, allowed, weights].map((wire) => wire !== undefined),
    inputs: [graph.reshape(logits, [rows, columns]), labels, denominator, numbers, ...optional],
    read(nodes: Nodes, [x, labels, denominator, numbers, ...others]: Wire[]) {
      const next = (wire: Wire | undefined) => (wire === undefined ? undefined : others.shift());
      const [ownLengths, ownAllowed, ownWeights] = [lengths, allowed, weights].map(next);
      // (1, C) where all rows are alike.
      const own = nodes.expandDims(numbers, 0);
      const isReal = ownLengths
        ? nodes.less(own, nodes.sum(ownLengths, [1], true))
        : nodes.greaterEqual(own, nodes.int(0));
      const isOpen = ownAllowed ? nodes.and(isReal, nodes.notEqual(ownAllowed, nodes.int(0))) : isReal;
      const isLabel = nodes.and(nodes.equal(nodes.expandDims(labels, 1), own), isOpen);
      return {
        x,
        isOpen,
        isLabel,
        /** (R): rows whose label is open. */
        counts: nodes.greater(nodes.max(nodes.cast(isLabel, 'int32'), [1]), nodes.int(0)),
        weight: ownWeights ?? nodes.float(1),
        denominator: nodes.add(denominator, nodes.float(lossEpsilon)),
      };
    },
  };
}
