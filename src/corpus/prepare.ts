/**
 * `galvani prepare`: text files to token shards. The bytes of the output depend on the inputs, the vocabulary and the
 * settings, never on the number of threads or on where a run was killed. Everything is written into a folder beside the
 * output and renamed as the last act. Memory: on each thread a range, its ids and the encoder's window (text/encoder.ts),
 * and the blocks in flight.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { TokenBlock } from '../dataset/block.js';
import { openDataset, readManifest } from '../dataset/dataset.js';
import { idTypeFor, type Manifest, manifestFile } from '../dataset/manifest.js';
import { type DatasetDescription, DatasetWriter } from '../dataset/writer.js';
import { GalvaniError } from '../errors.js';
import { explainWriteError, publishFolder } from '../files.js';
import { compileTextModule } from '../text/encoder.js';
import { type Profile, profiles } from '../text/profile.js';
import { readSource, type TokenizerSource } from '../text/source.js';
import { compileTables } from '../text/tables.js';
import type { Vocabulary } from '../text/vocabulary.js';
import { type InputFile, listInputs } from './inputs.js';
import { runInOrder } from './pool.js';
import { describeTask, planTasks, type Task } from './ranges.js';
import type { DocumentRule } from './tokenization.js';
import type { WorkerData } from './worker.js';

export interface PrepareSettings {
  /** Text files, and folders whose .txt files are taken in order of their names. */
  inputs: string[];
  /** Path of a vocab.txt, a tokenizer.json, or the folder of a model. */
  vocabulary: string;
  /** The folder that becomes the dataset. */
  output: string;
  /** Default: as the vocabulary's file says, else `huggingface`. */
  profile?: Profile;
  /** Default: as the vocabulary's file says, else true. */
  lowercase?: boolean;
  documents: DocumentRule;
  threads: number;
  /** A shard ends with the document that reaches this many tokens. */
  shardTokens: number;
  /** Bytes of a unit of work; no trace of it is left in the output. */
  rangeBytes?: number;
  signal?: AbortSignal;
  onProgress?(progress: PrepareProgress): void;
}

export interface PrepareProgress {
  bytesDone: number;
  bytesTotal: number;
  tokens: number;
}

export interface PrepareResult {
  manifest: Manifest;
  /** The dataset was there already, made of the same inputs (by name and size), vocabulary and settings. */
  wasThere: boolean;
}

export async function prepare(settings: PrepareSettings): Promise<PrepareResult> {
  const files = listInputs(settings.inputs, [settings.output, settings.vocabulary]);
  const { profile, lowercase } = settings;
  const source = readSource(settings.vocabulary, { profile, lowercase });
  const description = describe(settings, source, files);
  const found = await findFinished(settings.output, source.vocabulary, description);
  if (found) return { manifest: found, wasThere: true };

  const temporary = await makeTemporary(settings.output);
  try {
    const { bytes, size } = source.vocabulary;
    const writer = new DatasetWriter(temporary, bytes, size, description);
    const manifest = await writeAll(writer, source, files, settings);
    await publish(temporary, settings.output, manifest);
    return { manifest, wasThere: false };
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

function describe(
  { documents, shardTokens }: PrepareSettings,
  { settings }: TokenizerSource,
  files: InputFile[],
): DatasetDescription {
  const { unicodeVersion } = profiles[settings.profile];
  return {
    tokenizer: { ...settings, unicodeVersion },
    settings: { documents, shardTokens },
    inputs: files.map(({ name, bytes }) => ({ name, bytes })),
  };
}

async function writeAll(
  writer: DatasetWriter,
  { vocabulary, settings: tokenizer }: TokenizerSource,
  files: InputFile[],
  settings: PrepareSettings,
): Promise<Manifest> {
  const { documents, threads, signal, rangeBytes, onProgress } = settings;
  const workerData: WorkerData = {
    module: compileTextModule(),
    tables: compileTables(vocabulary, tokenizer),
    documents,
    idType: idTypeFor(vocabulary.size),
    vocabularySize: vocabulary.size,
  };
  // Sizes alone: a corpus of a terabyte makes a quarter of a million tasks.
  const tasks = [...planTasks(files, rangeBytes)];
  const bytesTotal = files.reduce((sum, file) => sum + file.bytes, 0);
  let bytesDone = 0;
  let tasksDone = 0;
  const worker = new URL('./worker.js', import.meta.url);
  try {
    for await (const block of runInOrder<Task, TokenBlock>(tasks, describeTask, {
      stage: 'prepare',
      worker,
      workerData,
      // More could do nothing; a small corpus on a large machine starts one.
      threads: Math.max(1, Math.min(threads, tasks.length)),
      signal,
    })) {
      await writer.append(block);
      bytesDone += tasks[tasksDone++].reduce((sum, range) => sum + range.length, 0);
      onProgress?.({ bytesDone, bytesTotal, tokens: writer.tokens });
    }
    if (writer.tokens === 0) throw emptyCorpus(files, bytesTotal);
    return await writer.finish();
  } finally {
    await writer.abandon();
  }
}

/** The manifest of a finished dataset that this run would make again. @throws badInput when something else is there. */
async function findFinished(
  output: string,
  vocabulary: Vocabulary,
  description: DatasetDescription,
): Promise<Manifest | undefined> {
  const entries = await readdir(output).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw foreignOutput(output, error.code === 'ENOTDIR' ? 'a file' : String(error.code), error);
  });
  if (entries.length === 0) return undefined;
  if (!entries.includes(manifestFile)) throw foreignOutput(output, `a folder with ${entries[0]} in it`);
  const { manifest } = await openDataset(output);
  const wanted = {
    ...description,
    vocabulary: { sha256: vocabulary.sha256, size: vocabulary.size },
  };
  for (const key of ['vocabulary', 'tokenizer', 'settings', 'inputs'] as const) {
    if (isDeepStrictEqual(manifest[key], wanted[key])) continue;
    throw foreignOutput(output, `a dataset of other ${key}: ${firstDifference(manifest[key], wanted[key])}`);
  }
  return manifest;
}

/** `inputs.0.bytes is 12, not 13`, without the first name. */
function firstDifference(there: unknown, wanted: unknown, at = ''): string {
  if (typeof there === 'object' && typeof wanted === 'object' && there !== null && wanted !== null) {
    const keys = new Set([...Object.keys(there), ...Object.keys(wanted)]);
    for (const key of keys) {
      const a = (there as Record<string, unknown>)[key];
      const b = (wanted as Record<string, unknown>)[key];
      if (!isDeepStrictEqual(a, b)) return firstDifference(a, b, at === '' ? key : `${at}.${key}`);
    }
  }
  return `${at} is ${JSON.stringify(there)} there, ${JSON.stringify(wanted)} here`;
}

/** `<output>.tmp-<host>-<process>`; folders of the same kind that killed runs left are removed. */
async function makeTemporary(output: string): Promise<string> {
  const resolved = path.resolve(output);
  const parent = path.dirname(resolved);
  const prefix = `${path.basename(resolved)}.tmp-${os.hostname()}-`;
  try {
    await mkdir(parent, { recursive: true });
    for (const name of await readdir(parent)) {
      // The rest must be a number: hosts `a` and `a-1` may share the folder.
      const rest = name.startsWith(prefix) ? name.slice(prefix.length) : '';
      if (!/^\d+$/.test(rest) || isRunning(Number(rest))) continue;
      await rm(path.join(parent, name), { recursive: true, force: true });
    }
    const temporary = path.join(parent, `${prefix}${process.pid}`);
    await mkdir(temporary);
    return temporary;
  } catch (error) {
    throw explainWriteError(error, output);
  }
}

/** Whether another process has this number. Ours counts as not running: the folder is one of a process before it. */
function isRunning(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The rename fails when another run was first: then the two results must be equal. */
async function publish(temporary: string, output: string, manifest: Manifest): Promise<void> {
  try {
    await publishFolder(temporary, output);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
    if (!isDeepStrictEqual(await readManifest(output), manifest)) throw foreignOutput(output, 'another dataset', error);
  }
}

function foreignOutput(output: string, got: string, cause?: unknown): GalvaniError {
  return new GalvaniError({
    stage: 'prepare',
    expected: 'an output folder that is new, empty, or holds this very dataset',
    got,
    where: output,
    remedy: 'Choose another --output, or remove the folder yourself.',
    kind: 'badInput',
    cause,
  });
}

function emptyCorpus(files: InputFile[], bytes: number): GalvaniError {
  return new GalvaniError({
    stage: 'prepare',
    expected: 'a corpus with at least one token',
    got: `${files.length} ${files.length === 1 ? 'file' : 'files'} of ${bytes} bytes without any`,
    where: files[0]?.path,
    remedy: 'Look at --input.',
    kind: 'badInput',
  });
}
