/**
 * The two losses of ELECTRA and their gradients. Logits over the vocabulary are one product; everything that is told
 * about a row of them (its denominator, its best guess, its sample) is a reduction in a block.
 */
import { lossEpsilon } from '../../../ops/maskedLmHead.js';
import { uniform, words } from '../draws.js';
import type { Wire } from '../graph.js';
import type { Nodes } from '../nodes.js';
import { type Emit, type EmitCall, plus, product } from './call.js';
import { asRows } from './linear.js';
import { wallsOf } from './segments.js';

export const maskedLmHead: Emit<{ temperature: number; disallowCorrect: boolean; sample: boolean; stream: number }> = (
  call,
) => {
  const { graph, inputs, inputTypes, outputTypes, attributes } = call;
  const [, , , targets, counts, denominators, draw] = inputs;
  const [rows, places] = outputTypes[1].shape;
  const [pieces] = inputTypes[1].shape;
  const { temperature, disallowCorrect, sample, stream } = attributes;
  const logits = logitsOf(call);
  const target = graph.reshape(targets, [rows * places]);
  const places1 = graph.ints(Array.from({ length: places }, (_, i) => i));
  const pieces1 = graph.ints(Array.from({ length: pieces }, (_, i) => i));

  const [loss, logSumExp, hits, isUsed] = graph.block(
    ['masked_lm'],
    [logits, target, graph.gather(logits, graph.expandDims(target, 1), 1, 1), counts, denominators, places1, pieces1],
    (nodes, [logits, target, targetLogit, counts, denominators, places, pieces]) => {
      const most = nodes.max(logits, [1], true);
      const total = nodes.sum(nodes.exp(nodes.sub(logits, most)), [1], true);
      const logSumExp = nodes.reshape(nodes.add(most, nodes.log(total)), [-1]);
      const isUsed = nodes.reshape(nodes.less(places, nodes.expandDims(counts, 1)), [-1]);
      const lost = nodes.sub(logSumExp, nodes.reshape(targetLogit, [-1]));
      const best = firstAt(nodes, nodes.equal(logits, most), pieces);
      const count = (is: Wire) => nodes.sum(nodes.cast(nodes.and(is, isUsed), 'float32'), [0]);
      const loss = nodes.sum(nodes.select(isUsed, lost, nodes.float(0)), [0]);
      return [
        nodes.div(loss, denominator(nodes, denominators, 0)),
        nodes.select(isUsed, logSumExp, nodes.float(0)),
        nodes.pack([count(nodes.equal(best, target)), count(nodes.not(nodes.isFinite(logSumExp)))]),
        isUsed,
      ];
    },
  );
  const sampled = sample
    ? sampledIds()
    : { ids: graph.constant('int32', [rows * places], new Int32Array(rows * places)), right: graph.float(0) };

  function sampledIds(): { ids: Wire; right: Wire } {
    const noise = words(graph, { draw, stream, shape: [rows, places, pieces] }, [rows * places, pieces]);
    const [ids, right] = graph.block(
      ['sample', temperature, disallowCorrect],
      [logits, target, isUsed, pieces1, noise],
      (nodes, [logits, target, isUsed, pieces, noise]) => {
        const isTarget = nodes.equal(nodes.expandDims(target, 1), pieces);
        const tempered = nodes.div(logits, nodes.float(temperature));
        const allowed = disallowCorrect
          ? nodes.sub(tempered, nodes.select(isTarget, nodes.float(1000), nodes.float(0)))
          : tempered;
        const noisy = nodes.add(allowed, gumbel(nodes, uniform(nodes, noise)));
        const chosen = firstAt(nodes, nodes.equal(noisy, nodes.max(noisy, [1], true)), pieces);
        const ids = nodes.select(isUsed, chosen, nodes.int(0));
        const isRight = nodes.and(nodes.equal(ids, target), isUsed);
        return [ids, nodes.sum(nodes.cast(isRight, 'float32'), [0])];
      },
    );
    return { ids, right };
  }

  const part = (i: number) => graph.reshape(graph.slice(hits, graph.ints([i]), [1]), []);
  return [
    loss,
    graph.reshape(sampled.ids, [rows, places]),
    graph.reshape(logSumExp, [rows, places]),
    graph.pack([part(0), sampled.right, part(1)]),
  ];
};

/** (B · N, V) */
function logitsOf(call: EmitCall): Wire {
  const [hidden, table, bias] = call.inputs;
  const sums = product(call, asRows(call.graph, hidden, call.inputTypes[0]), table, { b: true });
  return plus(call.graph, sums, bias);
}

/** The first of `numbers` where a row is true; 0 where it nowhere is, as for logits that are no numbers. (R, V) → (R) */
function firstAt(nodes: Nodes, is: Wire, numbers: Wire): Wire {
  const none = nodes.int(2 ** 31 - 1);
  const first = nodes.min(nodes.select(is, numbers, none), [1]);
  return nodes.select(nodes.equal(first, none), nodes.int(0), first);
}

/**
 * −log(−log(u + 1e-9) + 1e-9). Near u = 1, where u + 1e-9 would be rounded to u, the inner logarithm is its series in
 * (u − 1) + 1e-9, whose first difference is exact: for −2⁻⁷ ≤ v < 0 what is cut off is below 2⁻³⁷ of it. Elsewhere the
 * rounding is below 1.3e-7 of the logarithm.
 */
function gumbel(nodes: Nodes, u: Wire): Wire {
  const tiny = nodes.float(1e-9);
  const v = nodes.add(nodes.sub(u, nodes.float(1)), tiny);
  let series = nodes.float(1 / 5);
  for (const n of [4, 3, 2, 1]) series = nodes.sub(nodes.float(1 / n), nodes.mul(v, series));
  const isNear = nodes.greater(v, nodes.float(-(2 ** -7)));
  const inner = nodes.select(isNear, nodes.mul(v, series), nodes.log(nodes.add(u, tiny)));
  return nodes.neg(nodes.log(nodes.sub(tiny, inner)));
}

export const maskedLmHeadGradient: Emit = (call) => {
  const { graph, inputs, inputTypes, outputTypes, precision } = call;
  const [hidden, table, , logSumExp, targets, counts, denominators, dLoss, ...previous] = inputs;
  const [, places] = inputTypes[0].shape;
  const [pieces] = inputTypes[1].shape;
  const numbers = (count: number) => graph.ints(Array.from({ length: count }, (_, i) => i));
  const [dLogits, dBias] = graph.block(
    ['masked_lm_gradient', precision],
    [
      logitsOf(call),
      graph.reshape(logSumExp, [-1]),
      graph.reshape(targets, [-1]),
      counts,
      denominators,
      dLoss,
      numbers(places),
      numbers(pieces),
    ],
    (nodes, [logits, logSumExp, targets, counts, denominators, dLoss, places, pieces]) => {
      const isUsed = nodes.reshape(nodes.less(places, nodes.expandDims(counts, 1)), [-1, 1]);
      const scale = nodes.div(dLoss, denominator(nodes, denominators, 0));
      const probability = nodes.exp(nodes.sub(logits, nodes.expandDims(logSumExp, 1)));
      const isTarget = nodes.equal(nodes.expandDims(targets, 1), pieces);
      const target = nodes.select(isTarget, nodes.float(1), nodes.float(0));
      const gradient = nodes.select(isUsed, nodes.mul(scale, nodes.sub(probability, target)), nodes.float(0));
      return [nodes.cast(gradient, precision), nodes.sum(gradient, [0])];
    },
  );
  const dHidden = graph.reshape(product(call, dLogits, table, {}), outputTypes[0].shape);
  const dTable = product(call, dLogits, asRows(graph, hidden, inputTypes[0]), { a: true });
  return [dHidden, dTable, dBias].map((gradient, i) => plus(graph, gradient, previous[i]));
};

export const binaryCrossEntropy: Emit = ({ graph, inputs, inputTypes }) => {
  const [logits, labels, lengths, denominators] = inputs;
  const [, places] = inputTypes[1].shape;
  const [, segments] = inputTypes[2].shape;
  const { segment } = wallsOf(graph, lengths, places);
  return graph.block(
    ['binary_cross_entropy', segments],
    [graph.reshape(logits, inputTypes[1].shape), labels, segment, denominators],
    (nodes, [x, labels, segment, denominators]) => {
      const isReal = nodes.less(segment, nodes.int(segments));
      const label = nodes.cast(labels, 'float32');
      const softplus = nodes.log1p(nodes.exp(nodes.neg(nodes.abs(x))));
      const lost = nodes.add(nodes.sub(nodes.maximum(x, nodes.float(0)), nodes.mul(x, label)), softplus);
      const total = (values: Wire) => nodes.sum(nodes.select(isReal, values, nodes.float(0)), [0, 1]);
      const isSaid = nodes.greater(x, nodes.float(0));
      const said = nodes.cast(isSaid, 'float32');
      const isRight = nodes.equal(nodes.cast(isSaid, 'int32'), labels);
      const hits = [nodes.cast(isRight, 'float32'), nodes.mul(said, label), said, label].map(total);
      return [nodes.div(total(lost), denominator(nodes, denominators, 1)), nodes.pack(hits)];
    },
  );
};

export const binaryCrossEntropyGradient: Emit = ({ graph, inputs, inputTypes, outputTypes }) => {
  const [logits, labels, lengths, denominators, dLoss] = inputs;
  const [, places] = inputTypes[1].shape;
  const [, segments] = inputTypes[2].shape;
  const { segment } = wallsOf(graph, lengths, places);
  const outputs = graph.block(
    ['binary_cross_entropy_gradient', segments],
    [graph.reshape(logits, inputTypes[1].shape), labels, segment, denominators, dLoss],
    (nodes, [x, labels, segment, denominators, dLoss]) => {
      const isReal = nodes.less(segment, nodes.int(segments));
      const scale = nodes.div(dLoss, denominator(nodes, denominators, 1));
      // σ(x) − label = s σ(s x) with s = 1 for an original, −1 for a replacement: nothing cancels.
      const sign = nodes.sub(nodes.float(1), nodes.mul(nodes.float(2), nodes.cast(labels, 'float32')));
      const sigmoid = nodes.div(nodes.float(1), nodes.add(nodes.float(1), nodes.exp(nodes.neg(nodes.mul(sign, x)))));
      const gradient = nodes.mul(nodes.mul(sign, scale), sigmoid);
      return [nodes.select(isReal, gradient, nodes.float(0))];
    },
  );
  return [graph.reshape(outputs[0], outputTypes[0].shape)];
};

/** In a block: one of the two denominators of a mean over weights. */
function denominator(nodes: Nodes, denominators: Wire, which: 0 | 1): Wire {
  const own = nodes.reshape(nodes.slice(denominators, nodes.ints([which]), [1]), []);
  return nodes.add(own, nodes.float(lossEpsilon));
}
