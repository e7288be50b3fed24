/**
 * The joint step against PyTorch, through the very program that trains, on every engine: losses, logits, all gradients,
 * and ten optimizer steps. Limits are those of the fixtures' README, §5.
 * GALVANI_FIXTURES names a folder of the same layout; every folder under its pretrain/ is a case.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Inputs, Outputs, Runtime, TypedArray, VariableInfo } from '../../src/engines/engine.js';
import { loadEngine } from '../../src/engines/index.js';
import { readSafetensors } from '../../src/formats/safetensors.js';
import { type ElectraConfig, electraConfigSchema, type ModelConfig } from '../../src/model/config.js';
import { buildTrain, type StepSettings } from '../../src/model/electra.js';
import { keysOf, parametersOf } from '../../src/model/parameters.js';
import { sizeOf } from '../../src/ops/operation.js';
import { learningRateAt } from '../../src/training/schedule.js';
import { needTensorflow } from '../tensorflow.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const fixtures = process.env.GALVANI_FIXTURES ?? path.join(root, '../shared/data/electra-parity');
const engines = ['reference', 'wasm', 'tfjs', 'tfjs-plain', 'tensorflow'];

type SafeTensors = Awaited<ReturnType<typeof readSafetensors>>;

interface Json {
  // biome-ignore lint/suspicious/noExplicitAny: fixture files are read as they are
  [name: string]: any;
}

interface Case {
  model: ModelConfig;
  expected: Json;
  training: Json;
  tensors: (file: string) => SafeTensors;
}

const folder = path.join(fixtures, 'pretrain');
const names = existsSync(folder) ? readdirSync(folder).sort() : [];

test('the fixtures are there', {
  skip: names.length > 0 ? false : `no cases under ${folder}; set GALVANI_FIXTURES`,
}, () => {
  assert.ok(names.length > 0);
});

for (const name of names) {
  for (const engine of engines) {
    describe(`${name} on ${engine}`, engine === 'tensorflow' ? needTensorflow() : {}, () => {
      let one: Case;
      let initial: Map<string, Float32Array>;
      let runtime: Runtime;
      before(async () => {
        one = await readCase(path.join(folder, name));
        initial = await readWeights(one.model, path.join(folder, name));
        runtime = await load(engine, one, planesOf(one.tensors('batch')));
      });
      after(() => runtime?.close());

      test('losses, counts, logits and every gradient are PyTorch’s', async () => {
        const batch = one.tensors('batch');
        const planes = planesOf(batch);
        await begin(runtime, initial);
        const outputs = await step(runtime, planes, 0, 0);
        checkLosses(outputs, one.expected, 1e-6, 5e-6);
        const { counts, margins } = one.expected;
        assert.equal(outputs.rtdHits[3], counts.replaced);
        // Decisions are exact where none is closer than what logits may differ by.
        if (margins.smallest_top1_minus_top2_generator_logit > 4e-5) {
          assert.equal(outputs.mlmHits[0], counts.masked_lm_correct);
        }
        if (margins.smallest_abs_discriminator_logit > 1e-5) {
          assert.equal(outputs.rtdHits[0] / counts.tokens, one.expected.disc_accuracy);
          assert.equal(outputs.rtdHits[2], counts.predicted_replaced);
        }
        checkLogits(outputs, one.tensors('expected'), batch);
        const expected = one.tensors('gradients').tensors;
        assert.deepEqual(
          [...expected.keys()].sort(),
          parametersOf(one.model)
            .map((p) => p.name)
            .sort(),
        );
        for (const [parameter, { values }] of expected) {
          const isZero = one.expected.zero_gradient_tensors.includes(parameter);
          const largest = isZero ? 0.5 : largestOf(values);
          checkClose(`gradient of ${parameter}`, outputs[`gradient/${parameter}`], values, 2e-5 * largest);
        }
      });

      test('ten optimizer steps are PyTorch’s', async () => {
        const batches = tenBatches(one.tensors('training_batches'));
        await begin(runtime, initial);
        const { optimizer, steps } = one.training;
        const schedule = {
          kind: 'official' as const,
          learningRate: optimizer.learning_rate,
          steps: optimizer.num_train_steps,
          warmupSteps: optimizer.warmup_steps,
          decayPower: optimizer.lr_decay_power,
          cooldownFraction: 0,
        };
        for (const [t, expected] of (steps as Json[]).entries()) {
          const rate = learningRateAt(schedule, t);
          assert.ok(Math.abs(rate - expected.lr) <= 1e-15, `rate of step ${t}`);
          const outputs = await step(runtime, batches[t], t, rate);
          checkLosses(outputs, expected, 2e-6, 4e-5);
        }
        for (const [parameter, { values }] of one.tensors('training_final').tensors) {
          const isZero = one.expected.zero_gradient_tensors.includes(parameter);
          checkClose(`final ${parameter}`, await runtime.read(parameter), values, isZero ? 2e-5 : 4e-6);
        }
      });
    });
  }
}

async function readCase(directory: string): Promise<Case> {
  const json = (file: string): Json => JSON.parse(readFileSync(path.join(directory, file), 'utf8'));
  const config = (part: string): ElectraConfig => {
    const all = json(`${part}/config.json`);
    return electraConfigSchema.parse(
      Object.fromEntries(Object.keys(electraConfigSchema.shape).map((name) => [name, all[name]])),
    );
  };
  const files = new Map<string, SafeTensors>();
  for (const file of ['batch', 'expected', 'gradients', 'training_batches', 'training_final']) {
    files.set(file, await readSafetensors(path.join(directory, `${file}.safetensors`)));
  }
  const expected = json('expected.json');
  return {
    model: { tie_embeddings: expected.tied, generator: config('generator'), discriminator: config('discriminator') },
    expected,
    training: json('training.json'),
    tensors: (file) => files.get(file)!,
  };
}

async function readWeights(model: ModelConfig, directory: string): Promise<Map<string, Float32Array>> {
  const weights = new Map<string, Float32Array>();
  for (const part of ['generator', 'discriminator'] as const) {
    const { tensors } = await readSafetensors(path.join(directory, part, 'model.safetensors'));
    for (const [key, name] of keysOf(model, part)) weights.set(name, tensors.get(key)!.values as Float32Array);
  }
  return weights;
}

type Planes = Record<string, Int32Array | Float32Array>;

/** The fixture's tensors as the planes that the loader gives. */
function planesOf({ tensors }: Pick<SafeTensors, 'tensors'>): Planes {
  const ints = (name: string) => tensors.get(name)!.values as Int32Array;
  const [rows, places] = tensors.get('input_ids')!.shape;
  const masked = tensors.get('masked_positions')!.shape[1];
  const rowOf = (name: string, row: number, width: number) => [
    ...tensors.get(name)!.values.slice(row * width, (row + 1) * width),
  ];
  const everyRow = (value: (row: number) => number) => Int32Array.from({ length: rows }, (_, row) => value(row));
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
  const lengths = everyRow((row) => sum(rowOf('attention_mask', row, places)));
  const seconds = everyRow((row) => lengths[row] - sum(rowOf('token_type_ids', row, places).slice(0, lengths[row])));
  const counts = everyRow((row) => sum(rowOf('masked_weights', row, masked)));
  const positions = ints('masked_positions');
  const seen = positions.map((place, i) => ints('masked_input_ids')[Math.floor(i / masked) * places + place]);
  const denominators = Float32Array.of(sum([...counts]), sum([...lengths]));
  // What is not used must not matter: unused samples are ids outside any sense, but inside the vocabulary.
  return {
    ids: ints('input_ids'),
    lengths,
    seconds,
    places: positions,
    seen,
    counts,
    given: ints('sampled_ids'),
    denominators,
  };
}

function tenBatches({ tensors }: SafeTensors): Planes[] {
  return Array.from({ length: 10 }, (_, t) =>
    planesOf({
      tensors: new Map(
        [...tensors].map(([name, { shape, values }]) => {
          const size = values.length / 10;
          return [name, { shape: shape.slice(1), values: values.slice(t * size, (t + 1) * size) }];
        }),
      ),
    }),
  );
}

async function load(engine: string, one: Case, planes: Planes): Promise<Runtime> {
  const { optimizer } = one.training;
  const rows = planes.lengths.length;
  const settings: StepSettings = {
    model: one.model,
    shape: { rows, places: planes.ids.length / rows, masked: planes.places.length / rows, segments: 1 },
    replacement: 'given',
    objective: {
      genWeight: optimizer.gen_weight,
      discWeight: optimizer.disc_weight,
      temperature: 1,
      disallowCorrect: false,
    },
  };
  const train = buildTrain({
    ...settings,
    exposesAll: true,
    optimizer: {
      beta1: optimizer.beta1,
      beta2: optimizer.beta2,
      epsilon: optimizer.epsilon,
      biasCorrection: optimizer.bias_correction,
      weightDecay: optimizer.weight_decay,
      maxGradNorm: optimizer.clip_norm,
    },
  });
  return (await loadEngine(engine)).load({ train });
}

/** The case's weights, and moments of 0. */
async function begin(runtime: Runtime, weights: Map<string, Float32Array>): Promise<void> {
  const moments = runtime.variables().filter(({ role }) => role === 'moment');
  await runtime.write(new Map([...weights, ...moments.map(zeroOf)]));
}

function zeroOf({ name, shape }: VariableInfo): [string, Float32Array] {
  return [name, new Float32Array(sizeOf(shape))];
}

async function step(runtime: Runtime, planes: Planes, t: number, rate: number): Promise<Outputs> {
  const inputs: Inputs = { ...planes, draw: Int32Array.of(1, 2, t, 0), rate: Float32Array.of(rate) };
  return (await runtime.submit('train', inputs)).outputs;
}

function checkLosses(outputs: Outputs, expected: Json, lossLimit: number, normLimit: number): void {
  const relative = (actual: number, wanted: number) => Math.abs(actual - wanted) / Math.abs(wanted);
  assert.ok(
    relative(outputs.mlmLoss[0], expected.mlm_loss) <= lossLimit,
    `mlm ${outputs.mlmLoss[0]} for ${expected.mlm_loss}`,
  );
  assert.ok(
    relative(outputs.rtdLoss[0], expected.rtd_loss) <= lossLimit,
    `rtd ${outputs.rtdLoss[0]} for ${expected.rtd_loss}`,
  );
  const total = outputs.mlmLoss[0] + 50 * outputs.rtdLoss[0];
  assert.ok(relative(total, expected.total_loss) <= lossLimit, `total ${total} for ${expected.total_loss}`);
  const norm = outputs.gradientNorm[0];
  assert.ok(relative(norm, expected.grad_norm) <= normLimit, `norm ${norm} for ${expected.grad_norm}`);
}

function checkLogits(outputs: Outputs, expected: SafeTensors, batch: SafeTensors): void {
  const weights = batch.tensors.get('masked_weights')!.values;
  const pieces = expected.tensors.get('generator_logits')!.shape[2];
  const targets = expected.tensors.get('masked_targets')!.values;
  const nll = expected.tensors.get('masked_nll')!.values;
  const generator = expected.tensors.get('generator_logits')!.values;
  for (const [slot, weight] of weights.entries()) {
    if (weight === 0) continue;
    const actual = outputs.generatorLogits.slice(slot * pieces, (slot + 1) * pieces);
    checkClose(`generator logits of slot ${slot}`, actual, generator.slice(slot * pieces, (slot + 1) * pieces), 2e-5);
    const actualNll = outputs.logSumExp[slot] - actual[targets[slot]];
    assert.ok(Math.abs(actualNll - nll[slot]) <= 4e-5, `nll of slot ${slot}`);
  }
  const mask = batch.tensors.get('attention_mask')!.values;
  const discriminator = expected.tensors.get('discriminator_logits')!.values;
  for (const [at, real] of mask.entries()) {
    if (real === 0) continue;
    const error = Math.abs(outputs.discriminatorLogits[at] - discriminator[at]);
    assert.ok(error <= 1e-5, `discriminator logit ${at}: off by ${error}`);
  }
  assert.deepEqual(
    [...outputs.labels].filter((_, at) => mask[at] === 1),
    [...batch.tensors.get('labels')!.values].filter((_, at) => mask[at] === 1),
  );
}

function checkClose(what: string, actual: TypedArray, expected: ArrayLike<number>, limit: number): void {
  assert.equal(actual.length, expected.length, what);
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] - expected[i]);
    assert.ok(error <= limit, `${what}[${i}]: ${actual[i]} for ${expected[i]}, off by ${error}, limit ${limit}`);
  }
}

function largestOf(values: ArrayLike<number>): number {
  return Array.from(values).reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
}
