/** Readers of option values that several commands share. A value that does not fit ends in exit code 2. */
import { existsSync } from 'node:fs';
import os from 'node:os';
import { InvalidArgumentError, Option } from 'commander';
import type { WeightedData } from '../batching/options.js';
import { exampleKinds } from '../dataset/examples/kinds.js';

/** `1000`, `64k`, `2M`, `1G`: a positive integer; k, M and G are powers of 1000. */
export function parseCount(text: string): number {
  const match = /^(\d+)([kMG]?)$/.exec(text);
  const value = match === null ? Number.NaN : Number(match[1]) * 1000 ** ' kMG'.indexOf(match[2] || ' ');
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('Expected a positive whole number.');
  return value;
}

/** All cores that this process may use. */
export function defaultThreads(): number {
  return os.availableParallelism();
}

/** `0.05`: a number from 0 to 1. */
export function parseFraction(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError('Expected a number from 0 to 1.');
  return value;
}

/** `2.5`: a number of milliseconds, seconds, …, 0 or more. */
export function parseAmount(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) throw new InvalidArgumentError('Expected a number from 0 on.');
  return value;
}

/** `DIR` or `DIR:weight`, may be repeated. */
export function collectData(text: string, previous: readonly WeightedData[] = []): WeightedData[] {
  const match = existsSync(text) ? null : /^(.+):([^:/\\]+)$/.exec(text);
  const weight = match === null ? 1 : Number(match[2]);
  if (!(weight > 0 && weight < Number.POSITIVE_INFINITY)) {
    throw new InvalidArgumentError('Expected a folder, or a folder:weight with a weight above 0.');
  }
  return [...previous, { data: match?.[1] ?? text, weight }];
}

export const dataHelp = 'dataset made by "galvani prepare"; several are mixed by their weights (default: 1 each)';

/** How rows are formed of documents. */
export function examplesOption(): Option {
  return new Option('--examples <name>', 'how rows are formed of documents (default: documents)').choices(exampleKinds);
}

export const bucketHelp = 'trim each batch to its longest row';
export const cacheHelp = 'memory for examples (default: 256 MiB); the larger, the further they are shuffled';

/** `meta.text`. */
export function parseFieldName(text: string): string {
  if (text === '') throw new InvalidArgumentError('Expected the name of a field.');
  return text;
}

export const inputHelp = 'files (.txt .jsonl .ndjson .parquet .arrow, also .gz .zst), folders and globs of them';
export const textFieldHelp =
  'where the text is in a record of .jsonl, .parquet or .arrow; dots lead inside (default: text)';
