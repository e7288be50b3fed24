/**
 * Short trainings as a process of its own: two in every precision among its arguments, each told by a hash of its losses
 * and variables. Layers are as wide as ELECTRA-Small's and so is the batch: the library shares products among threads.
 */
import { createHash } from 'node:crypto';
import type { Precision, Runtime } from '../../src/engines/engine.js';
import { tensorflowEngine } from '../../src/engines/tensorflow/tensorflow.js';
import { buildTrain } from '../../src/model/electra.js';
import { sizeOf } from '../../src/ops/operation.js';
import { randomWeights, tinyBatch, tinyModel, tinySettings } from '../model/tiny.js';

const shape = { rows: 16, places: 128, masked: 10, segments: 1 };
const pieces = 3001;
const model = tinyModel({
  vocab_size: pieces,
  embedding_size: 64,
  hidden_size: 256,
  num_hidden_layers: 1,
  intermediate_size: 512,
  max_position_embeddings: shape.places,
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
});
const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-6, biasCorrection: true, weightDecay: 0.01, maxGradNorm: 1 };
const program = buildTrain({ ...tinySettings(model, shape), replacement: 'sampled', optimizer });

async function train(runtime: Runtime): Promise<string> {
  await runtime.write(new Map(runtime.variables().map(({ name, shape }) => [name, new Float32Array(sizeOf(shape))])));
  await randomWeights(runtime, model, 3);
  const hash = createHash('sha256');
  for (let step = 0; step < 5; step++) {
    const { given, ...batch } = tinyBatch(step, shape, pieces);
    const inputs = { ...batch, draw: Int32Array.of(5, 6, step, 0), rate: Float32Array.of(5e-4) };
    const { mlmLoss, rtdLoss } = await (await runtime.submit('program', inputs)).outputs;
    if (!Number.isFinite(mlmLoss[0] + rtdLoss[0])) throw new Error(`step ${step}: a loss that is not finite`);
    hash.update(mlmLoss).update(rtdLoss);
  }
  for (const [name, values] of await runtime.snapshot()) hash.update(name).update(values);
  return hash.digest('hex');
}

for (const precision of process.argv.slice(2) as Precision[]) {
  const runtime = await tensorflowEngine.load({ program }, { precision, deterministic: true });
  console.log(precision, await train(runtime), await train(runtime));
  await runtime.close();
}
