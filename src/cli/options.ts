/** Readers of option values that several commands share. A value that does not fit ends in exit code 2. */
import os from 'node:os';
import { InvalidArgumentError } from 'commander';

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

/** `meta.text`. */
export function parseFieldName(text: string): string {
  if (text === '') throw new InvalidArgumentError('Expected the name of a field.');
  return text;
}

export const inputHelp = 'files (.txt .jsonl .ndjson .parquet .arrow, also .gz .zst), folders and globs of them';
export const textFieldHelp =
  'where the text is in a record of .jsonl, .parquet or .arrow; dots lead inside (default: text)';
