/**
 * The run folder: config.json (settings, dataset, tokenizer, and what was changed on the way), vocab.txt, metrics.jsonl,
 * checkpoints/, and a lock while a process works in it. The same command on the same folder goes on.
 */
import { mkdir, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { TokenDataset } from '../dataset/dataset.js';
import { manifestFile, vocabularyFile } from '../dataset/manifest.js';
import { GalvaniError } from '../errors.js';
import { sha256File, writeFileDurably } from '../files.js';
import { type Change, changesOf, type TrainingConfig, trainingConfigSchema } from './config.js';

const runSchema = z.strictObject({
  format: z.literal('galvani-run'),
  format_version: z.literal(1),
  dataset: z.strictObject({ directory: z.string(), manifest_sha256: z.string() }),
  vocabulary: z.strictObject({ sha256: z.string(), size: z.int().positive() }),
  tokenizer: z.strictObject({ profile: z.enum(['huggingface', 'electra']), lowercase: z.boolean() }),
  training: trainingConfigSchema,
  /** Settings that were changed when the run went on, in order. */
  changes: z.array(
    z.strictObject({ step: z.int().nonnegative(), name: z.string(), from: z.unknown(), to: z.unknown() }),
  ),
});
export type RunConfig = z.infer<typeof runSchema>;

const configFile = 'config.json';

/** config.json of a run folder, or undefined where the folder is absent or empty. */
export async function readRun(directory: string): Promise<RunConfig | undefined> {
  const file = path.join(directory, configFile);
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) {
    const names = await readdir(directory).catch((): string[] => []);
    if (names.every((name) => name === 'lock')) return undefined;
    throw notARun(directory, 'a folder with other things in it');
  }
  try {
    return runSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw notARun(file, 'a config.json that is no run of format version 1', cause);
  }
}

/** Like readRun, for those who need a run to be there. */
export async function requireRun(directory: string): Promise<RunConfig> {
  const run = await readRun(directory);
  if (run) return run;
  throw notARun(directory, 'nothing');
}

/** Begins a run: writes config.json and the vocabulary. */
export async function createRun(
  directory: string,
  dataset: TokenDataset,
  training: TrainingConfig,
): Promise<RunConfig> {
  const { vocabulary, tokenizer } = dataset.manifest;
  const run: RunConfig = {
    format: 'galvani-run',
    format_version: 1,
    dataset: { directory: dataset.directory, manifest_sha256: await manifestSum(dataset) },
    vocabulary,
    tokenizer: { profile: tokenizer.profile, lowercase: tokenizer.lowercase },
    training,
    changes: [],
  };
  await mkdir(directory, { recursive: true });
  await writeFileDurably(path.join(directory, vocabularyFile), await readFile(dataset.vocabularyPath));
  await writeRun(directory, run);
  return run;
}

/** The run with the settings that are asked for now. @throws for another dataset or settings that may not change. */
export async function continueRun(
  directory: string,
  run: RunConfig,
  dataset: TokenDataset,
  training: TrainingConfig,
  step: number,
): Promise<RunConfig> {
  const sum = await manifestSum(dataset);
  if (sum !== run.dataset.manifest_sha256) {
    throw new GalvaniError({
      stage: 'run',
      expected: `the dataset that the run was begun with (manifest ${run.dataset.manifest_sha256.slice(0, 12)}…)`,
      got: `another (${sum.slice(0, 12)}…, ${dataset.directory})`,
      where: directory,
      remedy: 'Give that dataset with --data, or begin another run with another --output.',
      kind: 'wrongUse',
    });
  }
  const changes = changesOf(run.training, training, path.join(directory, configFile));
  if (changes.length === 0) return run;
  const recorded = changes.map((change: Change) => ({ step, ...change }));
  const next = { ...run, training, changes: [...run.changes, ...recorded] };
  await writeRun(directory, next);
  return next;
}

async function writeRun(directory: string, run: RunConfig): Promise<void> {
  await writeFileDurably(path.join(directory, configFile), `${JSON.stringify(run, null, 2)}\n`);
}

function manifestSum(dataset: TokenDataset): Promise<string> {
  return sha256File(path.join(dataset.directory, manifestFile));
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
