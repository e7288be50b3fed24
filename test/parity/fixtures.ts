/**
 * The golden cases of the joint step, made with PyTorch: their models, batches and expected values.
 * GALVANI_FIXTURES names a folder of the same layout; every folder under its pretrain/ is a case.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Inputs } from '../../src/engines/engine.js';
import { readSafetensors } from '../../src/formats/safetensors.js';
import { type ElectraConfig, electraConfigSchema, type ModelConfig } from '../../src/model/config.js';
import { buildTrain } from '../../src/model/electra.js';
import { keysOf } from '../../src/model/parameters.js';
import type { Program } from '../../src/program/program.js';
import { learningRateAt } from '../../src/training/schedule.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const fixtures = process.env.GALVANI_FIXTURES ?? path.join(root, '../shared/data/electra-parity');
const folder = path.join(fixtures, 'pretrain');
export const names = existsSync(folder) ? readdirSync(folder).sort() : [];

export type SafeTensors = Awaited<ReturnType<typeof readSafetensors>>;

export interface Json {
  // biome-ignore lint/suspicious/noExplicitAny: fixture files are read as they are
  [name: string]: any;
}

export interface Case {
  model: ModelConfig;
  /** By name, as the program has them. */
  weights: Map<string, Float32Array>;
  expected: Json;
  training: Json;
  tensors: (file: string) => SafeTensors;
}

export async function readCase(name: string): Promise<Case> {
  const directory = path.join(folder, name);
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
  const model = {
    tie_embeddings: expected.tied,
    generator: config('generator'),
    discriminator: config('discriminator'),
  };
  const weights = new Map<string, Float32Array>();
  for (const part of ['generator', 'discriminator'] as const) {
    const { tensors } = await readSafetensors(path.join(directory, part, 'model.safetensors'));
    for (const [key, name] of keysOf(model, part)) weights.set(name, tensors.get(key)!.values as Float32Array);
  }
  return { model, weights, expected, training: json('training.json'), tensors: (file) => files.get(file)! };
}

/** The program that trains on batches like `planes`; `exposesAll`: with logits and gradients among its outputs. */
export function trainProgram(one: Case, planes: Planes, exposesAll: boolean): Program {
  const { optimizer } = one.training;
  const rows = planes.lengths.length;
  return buildTrain({
    model: one.model,
    shape: { rows, places: planes.ids.length / rows, masked: planes.places.length / rows, segments: 1 },
    replacement: 'given',
    objective: {
      genWeight: optimizer.gen_weight,
      discWeight: optimizer.disc_weight,
      temperature: 1,
      disallowCorrect: false,
    },
    exposesAll,
    optimizer: {
      beta1: optimizer.beta1,
      beta2: optimizer.beta2,
      epsilon: optimizer.epsilon,
      biasCorrection: optimizer.bias_correction,
      weightDecay: optimizer.weight_decay,
      maxGradNorm: optimizer.clip_norm,
    },
  });
}

/** Of step t of the ten. */
export function rateOf({ training: { optimizer } }: Case, t: number): number {
  const schedule = {
    kind: 'official' as const,
    learningRate: optimizer.learning_rate,
    steps: optimizer.num_train_steps,
    warmupSteps: optimizer.warmup_steps,
    decayPower: optimizer.lr_decay_power,
    cooldownFraction: 0,
  };
  return learningRateAt(schedule, t);
}

export function inputsOf(planes: Planes, t: number, rate: number): Inputs {
  return { ...planes, draw: Int32Array.of(1, 2, t, 0), rate: Float32Array.of(rate) };
}

export type Planes = Record<string, Int32Array | Float32Array>;

/** The fixture's tensors as the planes that the loader gives. */
export function planesOf({ tensors }: Pick<SafeTensors, 'tensors'>): Planes {
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

/** Of the ten steps. */
export function tenBatches({ tensors }: SafeTensors): Planes[] {
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
