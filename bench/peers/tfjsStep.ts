/**
 * The joint ELECTRA pre-training step as a user of TensorFlow.js writes it: operations of tfjs-core on its wasm backend,
 * tfjs's own gradients. The peer of `galvani bench step`, asked as torch_step.py is.
 *
 *   node dist/bench/peers/tfjsStep.js answer QUESTION [--steps 4]   losses and gradient norms of some steps, dropout off
 *   node dist/bench/peers/tfjsStep.js time   QUESTION [--steps 1]   how long a step takes, dropout on
 *
 * QUESTION is a folder that question.ts writes: settings, first weights, batches. Prints one JSON object.
 * Forms are the library's where it has one (`tf.dropout`, `tf.losses`), and else those of tf.layers: kernels of dense layers
 * as (in, out), GELU by erf, Adam. Beyond that it has what PyTorch's step has: the output layer at the masked places alone,
 * no attention mask for full rows, batches made before the clock starts.
 * `tf.multinomial` draws the samples: one uniform a place. The one gradient of its own is that of a look-up, for which
 * tfjs wants UnsortedSegmentSum, which the wasm backend lacks.
 * A batch that does not fit into the backend's memory goes through in parts, whose gradients are added up.
 * SIMD is on. Threads are off: the backend finds none under Node, and so computes on one.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { Command } from 'commander';
import { parseCount } from '../../src/cli/options.js';
import { startWasmBackend } from '../../src/engines/tfjs/node.js';
import { readSafetensors, type StoredTensors } from '../../src/formats/safetensors.js';
import { median } from '../../src/median.js';
import type { ElectraConfig } from '../../src/model/config.js';
import { isDecayed, type ModelPart, parameterName } from '../../src/model/parameters.js';
import { lossEpsilon } from '../../src/ops/maskedLmHead.js';
import type { TrainingConfig } from '../../src/training/config.js';
import { peakResidentBytes } from '../../src/training/residentMemory.js';
import { runCommand } from './command.js';
import type { Answer, StepAnswer } from './question.js';
import { registerGradients } from './tfjsGradients.js';

/** What a loader would give: B rows of a batch, as many as fit into memory. Places are numbers in flat (B · T). */
interface MicroBatch {
  readonly rows: number;
  readonly ids: Int32Array;
  readonly maskedIds: tf.Tensor1D;
  readonly types: tf.Tensor1D;
  /** (B, 1, 1, T) 0 at real tokens and much less at padding; rows that are full need none. */
  readonly mask?: tf.Tensor;
  /** (B · T) 1 at real tokens. */
  readonly weights: tf.Tensor1D;
  readonly places: tf.Tensor1D;
  readonly targets: tf.Tensor1D;
  /** (B · N) 1 at places in use. */
  readonly isUsed: tf.Tensor1D;
  /** Masked places and real tokens of the whole batch. */
  readonly denominators: readonly number[];
  /** (B · N) Replacements to use where nothing is to be drawn. */
  readonly given: Int32Array;
}

/**
 * Places that a part of a batch may have. The backend's memory ends at 4 GiB; what ELECTRA-Small's forward pass keeps for
 * the gradients of 2048 places takes 3.5 of them [measured].
 */
const mostPlaces = 1024;

class Training {
  readonly #variables = new Map<string, tf.Variable>();
  /** By name: Adam's moments. */
  readonly #moments = new Map<string, { readonly m: tf.Variable; readonly v: tf.Variable }>();
  #steps = 0;

  constructor(
    weights: StoredTensors,
    private readonly config: TrainingConfig,
    private readonly rate: number,
    private readonly isDrawn: boolean,
  ) {
    for (const [name, { shape, values }] of weights) {
      const variable = tf.tidy(() => {
        const stored = tf.tensor(values, [...shape], 'float32');
        return tf.variable(isKernel(name, shape) ? tf.transpose(stored) : stored, true, name);
      });
      const zeros = () => tf.tidy(() => tf.variable(tf.zerosLike(variable), false));
      this.#variables.set(name, variable);
      this.#moments.set(name, { m: zeros(), v: zeros() });
    }
  }

  get parameters(): number {
    return [...this.#variables.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** On a batch in parts. */
  step(microBatches: readonly MicroBatch[]): StepAnswer {
    return tf.tidy(() => {
      const losses = { mlmLoss: 0, rtdLoss: 0 };
      const grads = microBatches.map((batch) => this.#gradients(batch, losses)).reduce(sumOf);
      // Rows first, here and in the loss: the backend adds float32 one after another, inexact over thousands.
      const squares = Object.values(grads).map((gradient) => tf.sum(tf.sum(tf.square(gradient), -1)));
      const norm = tf.sqrt(tf.addN(squares));
      const factor = tf.minimum(tf.div(this.config.max_grad_norm, norm), 1);
      this.#steps++;
      for (const [name, gradient] of Object.entries(grads)) tf.tidy(() => this.#adamW(name, tf.mul(gradient, factor)));
      return { ...losses, gradientNorm: norm.dataSync()[0] };
    });
  }

  /** Of what these rows add to the loss, which is added to `losses`. */
  #gradients(batch: MicroBatch, losses: { mlmLoss: number; rtdLoss: number }): tf.NamedTensorMap {
    const { gen_weight: genWeight, disc_weight: discWeight } = this.config;
    const total = () => {
      const { mlm, rtd } = this.#losses(batch);
      losses.mlmLoss += mlm.dataSync()[0];
      losses.rtdLoss += rtd.dataSync()[0];
      return tf.add(tf.mul(mlm, genWeight), tf.mul(rtd, discWeight)) as tf.Scalar;
    };
    return tf.variableGrads(total, [...this.#variables.values()]).grads;
  }

  /** As `tf.train.adam`, which has no decay, and the corrections of its bias in float32: 1 − 0.999 to five digits. */
  #adamW(name: string, gradient: tf.Tensor): void {
    const { adam_beta1: beta1, adam_beta2: beta2, adam_epsilon: epsilon, weight_decay: decay } = this.config;
    const variable = this.#variables.get(name)!;
    const { m, v } = this.#moments.get(name)!;
    m.assign(tf.add(tf.mul(m, beta1), tf.mul(gradient, 1 - beta1)));
    v.assign(tf.add(tf.mul(v, beta2), tf.mul(tf.square(gradient), 1 - beta2)));
    const root = tf.sqrt(tf.div(v, 1 - beta2 ** this.#steps));
    const update = tf.div(tf.div(m, 1 - beta1 ** this.#steps), tf.add(root, epsilon));
    const decayed = isDecayed(name) ? tf.mul(variable, 1 - this.rate * decay) : variable;
    variable.assign(tf.sub(decayed, tf.mul(update, this.rate)));
  }

  #losses(batch: MicroBatch): { mlm: tf.Tensor; rtd: tf.Tensor } {
    const [masked, tokens] = batch.denominators;
    const logits = this.#generatorLogits(batch);
    const labels = tf.oneHot(batch.targets, logits.shape[1]);
    const mlm = tf.losses.softmaxCrossEntropy(labels, logits, batch.isUsed, 0, tf.Reduction.SUM);

    // On the host: what is drawn has no gradient.
    const sampled = this.isDrawn ? this.#sample(logits) : batch.given;
    const corrupted = replaced(batch.ids, batch.places.dataSync(), batch.isUsed.dataSync(), sampled);
    const scores = this.#scores(batch, tf.tensor1d(corrupted, 'int32'));
    const isReplaced = tf.tensor1d(Float32Array.from(corrupted, (id, i) => (id === batch.ids[i] ? 0 : 1)));
    const each = tf.losses.sigmoidCrossEntropy(isReplaced, scores, batch.weights, 0, tf.Reduction.NONE);
    const rtd = tf.sum(tf.sum(tf.reshape(each, [batch.rows, -1]), -1));
    return { mlm: tf.div(mlm, masked + lossEpsilon), rtd: tf.div(rtd, tokens + lossEpsilon) };
  }

  #sample(logits: tf.Tensor2D): ArrayLike<number> {
    return tf.tidy(() => tf.multinomial(tf.div(logits, this.config.temperature) as tf.Tensor2D, 1).dataSync());
  }

  /** (B · N, V) */
  #generatorLogits(batch: MicroBatch): tf.Tensor2D {
    const states = lookUp(this.#encode('generator', batch, batch.maskedIds), batch.places);
    const inner = gelu(this.#linear('generator', 'generator_predictions.dense', states));
    const hidden = this.#layerNorm('generator', 'generator_predictions.LayerNorm', inner);
    const table = this.#weight('generator', 'electra.embeddings.word_embeddings.weight');
    const bias = this.#weight('generator', 'generator_lm_head.bias');
    // Not fused: with `transposeB` the backend adds a wrong bias to all rows but the first.
    return tf.add(tf.matMul(hidden, table, false, true), bias);
  }

  /** (B · T) */
  #scores(batch: MicroBatch, ids: tf.Tensor1D): tf.Tensor1D {
    const states = this.#encode('discriminator', batch, ids);
    const inner = gelu(this.#linear('discriminator', 'discriminator_predictions.dense', states));
    const scores = this.#linear('discriminator', 'discriminator_predictions.dense_prediction', inner);
    return tf.reshape(scores, [-1]);
  }

  /** → last hidden states (B · T, H) */
  #encode(part: ModelPart, batch: MicroBatch, ids: tf.Tensor1D): tf.Tensor2D {
    const config = this.config.model[part];
    let x = tf.tidy(() => this.#embed(part, batch, ids));
    for (let layer = 0; layer < config.num_hidden_layers; layer++) {
      x = tf.tidy(() => this.#layer(part, `electra.encoder.layer.${layer}`, batch, x));
    }
    return x;
  }

  #embed(part: ModelPart, { rows, types }: MicroBatch, ids: tf.Tensor1D): tf.Tensor2D {
    const at = 'electra.embeddings';
    const config = this.config.model[part];
    const [words, positions, kinds] = ['word', 'position', 'token_type'].map(
      (name) => this.#weight(part, `${at}.${name}_embeddings.weight`) as tf.Tensor2D,
    );
    const places = ids.size / rows;
    const width = config.embedding_size;
    const tokens = tf.reshape(tf.add(lookUp(words, ids), lookUp(kinds, types)), [rows, places, width]);
    const placed = tf.add(tokens, tf.slice(positions, [0, 0], [places, width]));
    const normal = this.#layerNorm(part, `${at}.LayerNorm`, tf.reshape(placed, [-1, width]));
    const x = this.#dropout(normal, config.hidden_dropout_prob);
    return width === config.hidden_size ? x : this.#linear(part, 'electra.embeddings_project', x);
  }

  #layer(part: ModelPart, at: string, batch: MicroBatch, x: tf.Tensor2D): tf.Tensor2D {
    const config = this.config.model[part];
    const context = this.#attention(part, `${at}.attention.self`, batch, x);
    const mixed = this.#linear(part, `${at}.attention.output.dense`, context);
    const attended = this.#addNorm(part, `${at}.attention.output.LayerNorm`, mixed, x, config);
    const inner = gelu(this.#linear(part, `${at}.intermediate.dense`, attended));
    const output = this.#linear(part, `${at}.output.dense`, inner);
    return this.#addNorm(part, `${at}.output.LayerNorm`, output, attended, config);
  }

  #attention(part: ModelPart, at: string, { rows, mask }: MicroBatch, x: tf.Tensor2D): tf.Tensor2D {
    const { num_attention_heads: heads, attention_probs_dropout_prob: dropout } = this.config.model[part];
    const [count, width] = x.shape;
    const [q, k, v] = ['query', 'key', 'value'].map((name) => {
      const split = tf.reshape(this.#linear(part, `${at}.${name}`, x), [rows, count / rows, heads, width / heads]);
      return tf.transpose(split, [0, 2, 1, 3]);
    });
    const scores = tf.div(tf.matMul(q, k, false, true), Math.sqrt(width / heads));
    const probabilities = tf.softmax(mask === undefined ? scores : tf.add(scores, mask));
    const context = tf.matMul(this.#dropout(probabilities, dropout), v);
    return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [count, width]);
  }

  #addNorm(part: ModelPart, at: string, y: tf.Tensor2D, x: tf.Tensor2D, config: ElectraConfig): tf.Tensor2D {
    return this.#layerNorm(part, at, tf.add(this.#dropout(y, config.hidden_dropout_prob), x));
  }

  #layerNorm(part: ModelPart, at: string, x: tf.Tensor2D): tf.Tensor2D {
    const { mean, variance } = tf.moments(x, -1, true);
    const scale = tf.rsqrt(tf.add(variance, this.config.model[part].layer_norm_eps));
    const normal = tf.mul(tf.sub(x, mean), scale);
    return tf.add(tf.mul(normal, this.#weight(part, `${at}.weight`)), this.#weight(part, `${at}.bias`));
  }

  #linear(part: ModelPart, at: string, x: tf.Tensor2D): tf.Tensor2D {
    const [b, bias] = [this.#weight(part, `${at}.weight`), this.#weight(part, `${at}.bias`)];
    return tf.fused.matMul({ a: x, b, bias }) as tf.Tensor2D;
  }

  #dropout<T extends tf.Tensor>(x: T, probability: number): T {
    return this.isDrawn && probability > 0 ? (tf.dropout(x, probability) as T) : x;
  }

  #weight(part: ModelPart, key: string): tf.Variable {
    return this.#variables.get(parameterName(this.config.model, part, key))!;
  }
}

/** Rows of the table, whose gradient is a sum by row: `scatterND` adds up what falls together. */
function lookUp(table: tf.Tensor2D, ids: tf.Tensor1D): tf.Tensor2D {
  const rows = tf.customGrad((x, save) => {
    (save as tf.GradSaveFunc)([ids]);
    return {
      value: tf.gather(x as tf.Tensor, ids),
      gradFunc: (dy: tf.Tensor, [saved]: tf.Tensor[]) => tf.scatterND(tf.reshape(saved, [-1, 1]), dy, table.shape),
    };
  });
  return rows(table) as tf.Tensor2D;
}

function gelu(x: tf.Tensor2D): tf.Tensor2D {
  return tf.mul(x, tf.mul(0.5, tf.add(1, tf.erf(tf.div(x, Math.SQRT2)))));
}

/** Whether a matrix is a dense layer's, stored as (out, in). */
function isKernel(name: string, shape: readonly number[]): boolean {
  return shape.length === 2 && !name.includes('_embeddings.');
}

function replaced(
  ids: Int32Array,
  places: ArrayLike<number>,
  isUsed: ArrayLike<number>,
  values: ArrayLike<number>,
): Int32Array {
  const result = ids.slice();
  for (let i = 0; i < places.length; i++) if (isUsed[i]) result[places[i]] = values[i];
  return result;
}

/** Batch `number` of batches.safetensors, in parts. */
function microBatches(planes: StoredTensors, number: number): MicroBatch[] {
  const [, rows, length] = planes.get('ids')!.shape;
  const most = Math.max(1, Math.floor(mostPlaces / length));
  const denominators = ['counts', 'lengths'].map((name) => sum(rowsOf(planes, name, number, 0, rows)));
  return Array.from({ length: Math.ceil(rows / most) }, (_, part) =>
    microBatch(planes, number, part * most, Math.min(rows, (part + 1) * most), denominators),
  );
}

/** Rows `from` to `to` of a plane of batch `number`. */
function rowsOf(planes: StoredTensors, name: string, number: number, from: number, to: number): Int32Array {
  const { shape, values } = planes.get(name)!;
  const rows = shape[1];
  const width = values.length / shape[0] / rows;
  return values.slice((number * rows + from) * width, (number * rows + to) * width) as Int32Array;
}

function microBatch(
  planes: StoredTensors,
  number: number,
  from: number,
  to: number,
  denominators: readonly number[],
): MicroBatch {
  const [, , length] = planes.get('ids')!.shape;
  const [, , masked] = planes.get('places')!.shape;
  const names = ['ids', 'lengths', 'seconds', 'places', 'seen', 'counts', 'given'];
  const [ids, lengths, seconds, places, seen, counts, given] = names.map((name) =>
    rowsOf(planes, name, number, from, to),
  );
  const rows = to - from;
  const isReal = Float32Array.from(ids, (_, i) => (i % length < lengths[Math.floor(i / length)] ? 1 : 0));
  const types = Int32Array.from(ids, (_, i) => (isReal[i] && i % length >= seconds[Math.floor(i / length)] ? 1 : 0));
  const isUsed = Float32Array.from(places, (_, i) => (i % masked < counts[Math.floor(i / masked)] ? 1 : 0));
  const flatPlaces = places.map((place, i) => Math.floor(i / masked) * length + place);
  const mask = isReal.map((real) => (real ? 0 : -1e9));
  return {
    ...{ rows, ids, given, denominators },
    maskedIds: tf.tensor1d(replaced(ids, flatPlaces, isUsed, seen), 'int32'),
    types: tf.tensor1d(types, 'int32'),
    mask: isReal.every((real) => real) ? undefined : tf.tensor4d(mask, [rows, 1, 1, length]),
    weights: tf.tensor1d(isReal),
    places: tf.tensor1d(flatPlaces, 'int32'),
    targets: tf.tensor1d(
      flatPlaces.map((place) => ids[place]),
      'int32',
    ),
    isUsed: tf.tensor1d(isUsed),
  };
}

const sum = (values: Int32Array) => values.reduce((total, value) => total + value, 0);

function sumOf(grads: tf.NamedTensorMap, others: tf.NamedTensorMap): tf.NamedTensorMap {
  const sums = Object.entries(grads).map(([name, gradient]): [string, tf.Tensor] => [
    name,
    tf.add(gradient, others[name]),
  ]);
  tf.dispose([grads, others]);
  return Object.fromEntries(sums);
}

interface Asked {
  readonly training: Training;
  readonly batches: readonly (readonly MicroBatch[])[];
}

async function read(folder: string, isDrawn: boolean): Promise<Asked> {
  await startWasmBackend(() => tf.setBackend('wasm'));
  await registerGradients();
  const question = JSON.parse(await readFile(path.join(folder, 'question.json'), 'utf8'));
  const { tensors: weights } = await readSafetensors(path.join(folder, 'weights.safetensors'));
  const { tensors: planes } = await readSafetensors(path.join(folder, 'batches.safetensors'));
  const [count] = planes.get('ids')!.shape;
  return {
    training: new Training(weights, question.training, question.rate, isDrawn),
    batches: Array.from({ length: count }, (_, number) => microBatches(planes, number)),
  };
}

/** Every step is a batch of its own, with given replacements: all that is random is out of it. */
async function answer(folder: string, count: number): Promise<Answer> {
  const { training, batches } = await read(folder, false);
  const steps = Array.from({ length: count }, (_, number) => training.step(batches[number % batches.length]));
  return { parameters: training.parameters, steps };
}

/** Median and best of the steps behind a first one, which warms up. */
async function measure(folder: string, count: number) {
  const { training, batches } = await read(folder, true);
  const times: number[] = [];
  for (let number = 0; number <= count; number++) {
    const start = performance.now();
    training.step(batches[number % batches.length]);
    if (number > 0) times.push(performance.now() - start);
  }
  return {
    ...{ stepMs: median(times), bestMs: Math.min(...times), steps: count, parameters: training.parameters },
    peakResidentBytes: await peakResidentBytes(),
    versions: { tfjs: tf.version_core },
  };
}

const tasks = { answer, time: measure };

const command = new Command('tfjsStep')
  .description('The joint step of ELECTRA in plain TensorFlow.js.')
  .argument('<task>', Object.keys(tasks).join(' or '))
  .argument('<question>', 'folder that step.ts writes')
  .option('--steps <n>', 'steps', parseCount, 1)
  .action(async (task: keyof typeof tasks, folder: string, { steps }: { steps: number }) => {
    process.stdout.write(`${JSON.stringify(await tasks[task](folder, steps))}\n`);
  });
await runCommand(command);
