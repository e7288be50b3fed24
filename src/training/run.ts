/**
 * The run folder: config.json (settings, dataset, tokenizer, and what was changed on the way), vocab.txt, metrics.jsonl,
 * checkpoints/, and a lock while a process works in it. The same command on the same folder goes on.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { WeightedDataset } from '../batching/planning.js';
import type { TokenDataset } from '../dataset/dataset.js';
import { vocabularyFile } from '../dataset/manifest.js';
import { GalvaniError } from '../errors.js';
import { writeFileDurably } from '../files.js';
import { profileNames } from '../text/profile.js';
import { type Change, changesOf, type TrainingConfig, trainingConfigSchema } from './config.js';

const runSchema = z.strictObject({
  format: z.literal('galvani-run'),
  format_version: z.literal(2),
  datasets: z
    .array(z.strictObject({ directory: z.string(), manifest_sha256: z.string(), weight: z.number().positive() }))
    .min(1),
  vocabulary: z.strictObject({ sha256: z.string(), size: z.int().positive() }),
  tokenizer: z.strictObject({
    profile: z.enum(profileNames),
    lowercase: z.boolean(),
    stripAccents: z.boolean(),
  }),
  training: trainingConfigSchema,
  /** Settings that were changed when the run went on, in order. */
  changes: z.array(
    z.strictObject({ step: z.int().nonnegative(), name: z.string(), from: z.unknown(), to: z.unknown() }),
  ),
});
export type RunConfig = z.infer<typeof runSchema>;

const configFile = 'config.json';

/** What a run that was killed before it had a config.json may leave. */
const isLeftover = (name: string) => /^(lock(\.left-\d+)?|(config\.json|vocab\.txt)\.tmp-\d+)$/.test(name);

/** config.json of a run folder, or undefined where no run has begun: the folder is absent or empty. */
export async function readRun(directory: string): Promise<RunConfig | undefined> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw notARun(directory, error.code === 'ENOTDIR' ? 'a file' : error.message, error);
  });
  if (names.every(isLeftover)) return undefined;
  if (!names.includes(configFile)) throw notARun(directory, 'a folder with other things in it');
  const file = path.join(directory, configFile);
  try {
    return runSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (cause) {
    throw notARun(file, 'a config.json that is no run of format version 2', cause);
  }
}

/** Like readRun, for those who need a run to be there. */
export async function requireRun(directory: string): Promise<RunConfig> {
  const run = await readRun(directory);
  if (run) return run;
  throw notARun(directory, 'nothing');
}

/** A run that begins with these settings. */
export function beginRun(data: readonly WeightedDataset[], training: TrainingConfig): RunConfig {
  const { vocabulary, tokenizer } = data[0].data.manifest;
  return {
    format: 'galvani-run',
    format_version: 2,
    datasets: data.map(({ data: { directory, manifestSha256 }, weight }) => ({
      directory,
      manifest_sha256: manifestSha256,
      weight,
    })),
    vocabulary,
    tokenizer: { profile: tokenizer.profile, lowercase: tokenizer.lowercase, stripAccents: tokenizer.stripAccents },
    training,
    changes: [],
  };
}

/** The run with the settings that are asked for now. @throws for other datasets or settings that may not change. */
export function continueRun(
  directory: string,
  run: RunConfig,
  data: readonly WeightedDataset[],
  training: TrainingConfig,
  step: number,
): RunConfig {
  const describe = (datasets: RunConfig['datasets']) =>
    datasets
      .map(
        ({ manifest_sha256, weight }) => `${manifest_sha256.slice(0, 12)}…${datasets.length > 1 ? `:${weight}` : ''}`,
      )
      .join(', ');
  const { datasets } = beginRun(data, training);
  if (describe(datasets) !== describe(run.datasets)) {
    throw new GalvaniError({
      stage: 'run',
      expected: `the data that the run was begun with (manifest ${describe(run.datasets)})`,
      got: `other data (${describe(datasets)}; ${datasets.map((dataset) => dataset.directory).join(', ')})`,
      where: directory,
      remedy: 'Give that data with --data, or begin another run with another --output.',
      kind: 'wrongUse',
    });
  }
  const changes = changesOf(run.training, training, path.join(directory, configFile));
  if (changes.length === 0) return run;
  const recorded = changes.map((change: Change) => ({ step, ...change }));
  return { ...run, training, changes: [...run.changes, ...recorded] };
}

/** Writes config.json, then the vocabulary where there is none: a kill between the two is made good the next time. */
export async function saveRun(directory: string, run: RunConfig, dataset: TokenDataset): Promise<void> {
  for (const name of await readdir(directory)) {
    if (/\.tmp-\d+$/.test(name)) await rm(path.join(directory, name), { force: true });
  }
  await writeFileDurably(path.join(directory, configFile), `${JSON.stringify(run, null, 2)}\n`);
  const vocabulary = path.join(directory, vocabularyFile);
  if (existsSync(vocabulary)) return;
  await writeFileDurably(vocabulary, await readFile(dataset.vocabularyPath));
}

function notARun(where: string, got: string, cause?: unknown): GalvaniError {
  return new GalvaniError({
    stage: 'run',
    expected: 'a run folder made by "galvani pretrain"',
    got,
    where,
    remedy: 'Check the path, or choose a new folder.',
    kind: 'badInput',
    cause,
  });
}
