/** The generator's output layer: logits, their softmax in tensors, and what is one number a place on the host. */
import {
  add,
  argMax,
  div,
  engine,
  exp,
  gather,
  getBackend,
  log,
  max,
  mul,
  ones,
  reshape,
  scalar,
  scatterND,
  sub,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  tensor,
  tensor1d,
  tensor2d,
} from '@tensorflow/tfjs-core';
import { readDraw } from '../../../ops/dropout.js';
import { lossEpsilon } from '../../../ops/maskedLmHead.js';
import { fillWithGumbel } from '../draws.js';
import { ownBackendName } from '../kernels/kernel.js';
import { asRows, type OperationCall, plus } from '../operationCall.js';
import { product } from '../products.js';
import { keepRows } from '../rows.js';
import { sumOfColumns, sumOfRows } from '../sums.js';
import { affine } from './linear.js';

export function maskedLmHead(call: OperationCall): Tensor[] {
  if (getBackend() === ownBackendName) return ownKernel('maskedLmHead', call);
  const logits = logitsOf(call);
  const targets = call.host(3);
  const largest = max(logits, 1, true);
  const denominators = sumOfRows(exp(sub(logits, largest)) as Tensor2D);
  const statistics = add(reshape(largest, [-1]), log(denominators)).dataSync();
  const best = argMax(logits, 1).dataSync();
  const atTarget = gather(reshape(logits, [-1]), flatTargets(targets, logits.shape[1])).dataSync();
  const isUsed = usedPlaces(call, 4);
  const sampled = call.attributes.sample ? sample(call, logits, isUsed) : new Int32Array(isUsed.length);
  let loss = 0;
  const hits = [0, 0, 0];
  for (const [i, used] of isUsed.entries()) {
    if (!used) continue;
    loss += statistics[i] - atTarget[i];
    if (best[i] === targets[i]) hits[0]++;
    if (call.attributes.sample && sampled[i] === targets[i]) hits[1]++;
    if (!Number.isFinite(statistics[i])) hits[2]++;
  }
  return [
    scalar(loss / (call.host(5)[0] + lossEpsilon)),
    tensor1d(sampled, 'int32'),
    tensor1d(Float32Array.from(statistics, (one, i) => (isUsed[i] ? one : 0))),
    tensor1d(hits, 'float32'),
  ];
}

function logitsOf({ inputs: [hidden, table, bias] }: OperationCall): Tensor2D {
  return affine(hidden, table, bias) as Tensor2D;
}

/** argmax(logits / temperature [− 1000 at the target] + noise) at the places in use, 0 elsewhere. */
function sample({ attributes, host }: OperationCall, logits: Tensor2D, isUsed: readonly boolean[]): Int32Array {
  const { temperature, disallowCorrect, stream } = attributes;
  const targets = host(3);
  const draw = readDraw(host(6) as Int32Array);
  const [rows, pieces] = logits.shape;
  const first = draw.firstRow * (rows / host(4).length);
  const noise = new Float32Array(rows * pieces);
  for (const [i, used] of isUsed.entries()) {
    if (!used) continue;
    fillWithGumbel(noise.subarray(i * pieces, (i + 1) * pieces), draw, Number(stream), (first + i) * pieces);
    if (disallowCorrect) noise[i * pieces + targets[i]] -= 1000;
  }
  const scores = add(div(logits, Number(temperature)), tensor(noise, [rows, pieces]));
  return (argMax(scores, 1).dataSync() as Int32Array).map((id, i) => (isUsed[i] ? id : 0));
}

export function maskedLmHeadGradient(call: OperationCall): Tensor[] {
  if (getBackend() === ownBackendName) return ownKernel('maskedLmHeadGradient', call);
  const [hidden, table, , logSumExp, , , , dLoss, previousHidden, previousTable, previousBias] = call.inputs;
  const logits = logitsOf(call);
  const probabilities = exp(sub(logits, reshape(logSumExp, [-1, 1])));
  const atTargets = scatterND(cellsOf(call.host(4)), ones([logits.shape[0]]), [...logits.shape]);
  const scale = div(dLoss, call.host(6)[0] + lossEpsilon);
  const dLogits = keepRows(asRows(mul(sub(probabilities, atTargets), scale)), usedPlaces(call, 5));
  return [
    plus(product(dLogits, table), previousHidden),
    plus(product(dLogits, asRows(hidden), { a: true }), previousTable),
    plus(sumOfColumns(dLogits), previousBias),
  ];
}

function ownKernel(name: string, { inputs, attributes }: OperationCall): Tensor[] {
  const outputs = engine().runKernel<Tensor | Tensor[]>(name, Object.fromEntries(inputs.entries()), attributes);
  return Array.isArray(outputs) ? outputs : [outputs];
}

/** Numbers of the targets' logits in all of (rows · V). */
function flatTargets(targets: Int32Array | Float32Array, pieces: number): Tensor1D {
  return tensor1d(
    Int32Array.from(targets, (id, i) => i * pieces + id),
    'int32',
  );
}

/** (row, target) of every row, as numbers of the cells in (rows, V). */
function cellsOf(targets: Int32Array | Float32Array): Tensor2D {
  return tensor2d(
    Int32Array.from({ length: 2 * targets.length }, (_, i) => (i % 2 === 0 ? i / 2 : targets[(i - 1) / 2])),
    [targets.length, 2],
    'int32',
  );
}

/** Whether a masked place is among the first counts[row] of its row. */
function usedPlaces({ inputTypes, host }: OperationCall, counts: number): boolean[] {
  const [rows, places] = inputTypes[counts - 1].shape;
  const used = host(counts);
  return Array.from({ length: rows * places }, (_, i) => i % places < used[Math.floor(i / places)]);
}
