/**
 * The settings of a pre-training run: everything that decides what the weights become, and nothing else.
 *
 * They are written to the run's config.json under these names, which `--set name=value` and `--config FILE` take too.
 * Defaults are the original's (google-research/electra 8a46635, configure_pretraining.py); `tiny` holds what the main
 * job found (LOG.md). Threads and workers are not here: they change nothing.
 */
import { z } from 'zod';
import { defaultMasking, maskedPerRow } from '../batching/masking.js';
import { defaultCacheBytes, replacements } from '../batching/options.js';
import { exampleKinds } from '../dataset/examples/kinds.js';
import { GalvaniError, nearestName } from '../errors.js';
import { checkModel, modelConfigSchema, type PresetName, presetModel, presetNames } from '../model/config.js';

const count = z.int().positive();
const fraction = z.number().min(0).max(1);
const replacementSchema = z.enum(replacements);

/** A stretch of a run with a source of replacements and, where they differ from the run's, extents of its own. */
const stageSchema = z.strictObject({
  /** Share of the steps at which the stage ends; 1 for the last. */
  until: z.number().positive().max(1),
  replacement: replacementSchema,
  sequence_length: count.optional(),
  batch_size: count.optional(),
});

export const trainingConfigSchema = z.strictObject({
  model: modelConfigSchema,
  seed: z.int().nonnegative(),
  num_train_steps: count,
  batch_size: count,
  /** Rows that run at a time; gradients are summed over a batch. Must divide batch_size. */
  micro_batch_size: count,
  sequence_length: count,
  stages: z.array(stageSchema).min(1),
  /** How rows are formed of documents. */
  examples: z.enum(exampleKinds),
  /** Batches are trimmed to their longest row. */
  bucket: z.boolean(),
  /** Folder of what a generator left, for stages with `cached` replacements. */
  candidates: z.string().min(1).nullable(),
  /** Memory for examples; the larger, the further they are shuffled. */
  cache_bytes: count,
  mask_prob: z.number().gt(0).lt(1),
  mask_replace_prob: fraction,
  random_replace_prob: fraction,
  whole_word_mask: z.boolean(),
  mask_with_replacement: z.boolean(),
  temperature: z.number().positive(),
  disallow_correct: z.boolean(),
  gen_weight: z.number().nonnegative(),
  disc_weight: z.number().nonnegative(),
  learning_rate: z.number().positive(),
  lr_schedule: z.enum(['official', 'trapezoid']),
  warmup_steps: z.int().nonnegative(),
  lr_decay_power: z.number().positive(),
  lr_cooldown_fraction: fraction,
  adam_beta1: z.number().min(0).lt(1),
  adam_beta2: z.number().min(0).lt(1),
  adam_epsilon: z.number().positive(),
  adam_bias_correction: z.boolean(),
  weight_decay: z.number().nonnegative(),
  max_grad_norm: z.number().positive(),
  position_init: z.enum(['normal', 'sinusoidal']),
  generator_bias_init: z.enum(['zeros', 'frequencies']),
  rtd_bias_init: z.number(),
  validation_fraction: z.number().min(0).lt(1),
  evaluate_every: count,
  checkpoint_every: count,
  keep_checkpoint_max: count,
  log_every: count,
});
export type TrainingConfig = z.infer<typeof trainingConfigSchema>;

/** Names that may differ when a run goes on; what the weights are made of may not. */
const changeable: readonly string[] = [
  'num_train_steps',
  'batch_size',
  'micro_batch_size',
  'sequence_length',
  'stages',
  'bucket',
  'candidates',
  'cache_bytes',
  'learning_rate',
  'lr_schedule',
  'warmup_steps',
  'lr_decay_power',
  'lr_cooldown_fraction',
  'evaluate_every',
  'checkpoint_every',
  'keep_checkpoint_max',
  'log_every',
];

const official = {
  seed: 0,
  stages: [{ until: 1, replacement: 'generator' as const }],
  examples: 'documents' as const,
  bucket: false,
  candidates: null,
  cache_bytes: defaultCacheBytes,
  mask_prob: defaultMasking.maskProb,
  mask_replace_prob: defaultMasking.maskReplaceProb,
  random_replace_prob: defaultMasking.randomReplaceProb,
  whole_word_mask: defaultMasking.wholeWordMask,
  mask_with_replacement: defaultMasking.maskWithReplacement,
  temperature: 1,
  disallow_correct: false,
  gen_weight: 1,
  disc_weight: 50,
  lr_schedule: 'official' as const,
  warmup_steps: 10_000,
  lr_decay_power: 1,
  lr_cooldown_fraction: 0,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-6,
  adam_bias_correction: false,
  weight_decay: 0.01,
  max_grad_norm: 1,
  position_init: 'normal' as const,
  generator_bias_init: 'zeros' as const,
  rtd_bias_init: 0,
  validation_fraction: 0.01,
  evaluate_every: 10_000,
  checkpoint_every: 1000,
  keep_checkpoint_max: 5,
  log_every: 100,
};

type Extents = 'num_train_steps' | 'batch_size' | 'micro_batch_size' | 'sequence_length' | 'learning_rate';
type PresetTraining = Partial<TrainingConfig> & Pick<TrainingConfig, Extents>;

const presets: Record<PresetName, PresetTraining> = {
  tiny: {
    num_train_steps: 9600,
    batch_size: 64,
    micro_batch_size: 64,
    sequence_length: 16,
    learning_rate: 1e-3,
    stages: [
      { until: 0.55, replacement: 'unigram' },
      { until: 1, replacement: 'generator' },
    ],
    lr_schedule: 'trapezoid',
    warmup_steps: 580,
    lr_cooldown_fraction: 0.25,
    adam_beta2: 0.99,
    adam_bias_correction: true,
    position_init: 'sinusoidal',
    generator_bias_init: 'frequencies',
    rtd_bias_init: -1.8,
    validation_fraction: 0.07,
    evaluate_every: 2400,
    checkpoint_every: 1200,
    log_every: 240,
  },
  small: {
    num_train_steps: 1_000_000,
    batch_size: 128,
    micro_batch_size: 16,
    sequence_length: 128,
    learning_rate: 5e-4,
  },
  base: {
    num_train_steps: 766_000,
    batch_size: 256,
    micro_batch_size: 32,
    sequence_length: 512,
    learning_rate: 2e-4,
  },
  large: {
    num_train_steps: 400_000,
    batch_size: 2048,
    micro_batch_size: 16,
    sequence_length: 512,
    learning_rate: 2e-4,
    mask_prob: 0.25,
  },
};

export function presetTraining(name: string, vocabSize: number): TrainingConfig {
  const known = presetNames.find((preset) => preset === name);
  if (!known) throw unknownName(name, presetNames, '--model');
  return { model: presetModel(known, vocabSize), ...official, ...presets[known] };
}

/** One stage with its extents resolved: steps [first, end). */
export interface Stage {
  readonly first: number;
  readonly end: number;
  readonly replacement: z.infer<typeof replacementSchema>;
  readonly batchSize: number;
  readonly microBatchSize: number;
  readonly sequenceLength: number;
}

/** A stage on the datasets of a run. */
export interface RunStage extends Stage {
  /** S: as many segments a row as any example has. */
  readonly segments: number;
}

export function stagesOf(config: TrainingConfig): Stage[] {
  let first = 0;
  return config.stages.map((stage) => {
    const end = Math.round(stage.until * config.num_train_steps);
    const batchSize = stage.batch_size ?? config.batch_size;
    const resolved = {
      first,
      end,
      replacement: stage.replacement,
      batchSize,
      microBatchSize: Math.min(config.micro_batch_size, batchSize),
      sequenceLength: stage.sequence_length ?? config.sequence_length,
    };
    first = end;
    return resolved;
  });
}

/** A setting by its name in config.json: `learning_rate`, `model.discriminator.hidden_dropout_prob`, … */
export interface Setting {
  readonly name: string;
  readonly value: unknown;
  /** The flag or file that it comes from. */
  readonly from: string;
}

/** The configuration with some settings changed, checked. */
export function withSettings(config: TrainingConfig, settings: readonly Setting[]): TrainingConfig {
  const changed = structuredClone(config) as Record<string, unknown>;
  for (const { name, value, from } of settings) {
    const keys = name.split('.');
    const last = keys.pop() as string;
    let place: unknown = changed;
    for (const key of keys) place = (place as Record<string, unknown> | undefined)?.[key];
    if (typeof place !== 'object' || place === null || !Object.hasOwn(place, last)) {
      throw unknownName(name, namesOf(config), from);
    }
    (place as Record<string, unknown>)[last] = value;
  }
  return checkConfig(changed, settings);
}

/** Values of a settings file (a part of a config.json), as settings by name. */
export function settingsOf(values: object, from: string, prefix = ''): Setting[] {
  return Object.entries(values).flatMap(([key, value]): Setting[] =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? settingsOf(value, from, `${prefix}${key}.`)
      : [{ name: `${prefix}${key}`, value, from }],
  );
}

/** What the schema says, and what it cannot say: settings that contradict each other. Errors name where these come from. */
function checkConfig(values: unknown, settings: readonly Setting[]): TrainingConfig {
  const refuse = (expected: string, got: string, ...names: string[]) => {
    const from = settings.filter(({ name }) => names.some((prefix) => name.startsWith(prefix))).map(({ from }) => from);
    return wrong(expected, got, [...new Set(from)].join(', ') || undefined);
  };
  const result = trainingConfigSchema.safeParse(values);
  if (!result.success) {
    const [issue] = result.error.issues;
    const name = issue.path.join('.');
    const rule = /expected (.+?)(, received .*)?$/.exec(issue.message)?.[1] ?? issue.message;
    const value = issue.path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown>)?.[key], values);
    throw refuse(`a valid ${name} (${rule})`, JSON.stringify(value) ?? 'nothing', name);
  }
  const config = result.data;
  checkModel(config.model);
  const { generator, discriminator } = config.model;
  const mostPlaces = Math.min(generator.max_position_embeddings, discriminator.max_position_embeddings);
  for (const { sequenceLength, batchSize, microBatchSize, first, end } of stagesOf(config)) {
    if (sequenceLength > mostPlaces) {
      const expected = `sequence_length to be at most max_position_embeddings (${mostPlaces})`;
      throw refuse(expected, `${sequenceLength}`, 'sequence_length', 'stages', 'model');
    }
    if (maskedPerRow(config.mask_prob, sequenceLength) < 1) {
      const got = `none of ${sequenceLength} at mask_prob ${config.mask_prob}`;
      throw refuse('at least one masked place a row', got, 'mask_prob', 'sequence_length', 'stages');
    }
    if (batchSize % microBatchSize !== 0) {
      const got = `${microBatchSize} and ${batchSize}`;
      throw refuse('micro_batch_size to divide batch_size', got, 'micro_batch_size', 'batch_size', 'stages');
    }
    if (end <= first) {
      throw refuse('every stage to have steps', `one from step ${first} to ${end}`, 'stages', 'num_train_steps');
    }
  }
  if (config.candidates === null && config.stages.some(({ replacement }) => replacement === 'cached')) {
    throw refuse('candidates, the folder that cached replacements are drawn from', 'none', 'candidates', 'stages');
  }
  const { mask_replace_prob, random_replace_prob } = config;
  if (mask_replace_prob + random_replace_prob > 1) {
    const got = `${mask_replace_prob} and ${random_replace_prob}`;
    const names = ['mask_replace_prob', 'random_replace_prob'];
    throw refuse('mask_replace_prob and random_replace_prob of at most 1 together', got, ...names);
  }
  if (config.whole_word_mask && config.mask_with_replacement) {
    const names = ['whole_word_mask', 'mask_with_replacement'];
    throw refuse('one of whole_word_mask and mask_with_replacement', 'both', ...names);
  }
  const until = config.stages[config.stages.length - 1].until;
  if (until !== 1) throw refuse('the last stage to last until 1', `${until}`, 'stages');
  if (config.gen_weight + config.disc_weight === 0) {
    throw refuse('a loss', 'gen_weight and disc_weight 0', 'gen_weight', 'disc_weight');
  }
  return config;
}

export interface Change {
  readonly name: string;
  readonly from: unknown;
  readonly to: unknown;
}

/** What differs between a run's settings and those that are asked for now. @throws for what may not change. */
export function changesOf(saved: TrainingConfig, wanted: TrainingConfig, where: string): Change[] {
  const before = new Map(settingsOf(saved, where).map(({ name, value }) => [name, value]));
  const changes = settingsOf(wanted, where)
    .filter(({ name, value }) => JSON.stringify(before.get(name)) !== JSON.stringify(value))
    .map(({ name, value }) => ({ name, from: before.get(name), to: value }));
  const refused = changes.filter(({ name }) => !changeable.includes(name));
  if (refused.length === 0) return changes;
  throw new GalvaniError({
    stage: 'config',
    expected: refused.map(({ name, from }) => `${name} ${JSON.stringify(from)}`).join(', '),
    got: refused.map(({ to }) => JSON.stringify(to)).join(', '),
    where,
    remedy: 'A run goes on with the settings it was begun with; choose another --output for other ones.',
    kind: 'wrongUse',
  });
}

function namesOf(config: TrainingConfig): string[] {
  return settingsOf(config, '').map(({ name }) => name);
}

function unknownName(name: string, known: readonly string[], from: string): GalvaniError {
  const nearest = nearestName(name, known);
  return new GalvaniError({
    stage: 'config',
    expected: 'a known name',
    got: `"${name}"`,
    where: from,
    remedy: nearest ? `Did you mean "${nearest}"?` : `Known: ${known.join(', ')}.`,
    kind: 'wrongUse',
  });
}

function wrong(expected: string, got: string, where: string | undefined): GalvaniError {
  const remedy = 'Change the setting; "galvani pretrain --help" names the flags, config.json of a run all of them.';
  return new GalvaniError({ stage: 'config', expected, got, where, remedy, kind: 'wrongUse' });
}
