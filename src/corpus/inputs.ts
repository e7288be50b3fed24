/**
 * Which files a corpus is made of, and in what order: paths as given, a folder's .txt files (at any depth) by name in
 * code unit order, whatever the locale. The order is part of the dataset: documents are numbered by it.
 */
import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { GalvaniError } from '../errors.js';

export interface InputFile {
  path: string;
  /** Relative to the folder that was given, with forward slashes; the base name of a file that was given itself. */
  name: string;
  bytes: number;
}

/** Endings of formats that are text for other readers, and that would be tokenized as if they were prose. */
const otherFormats = /\.(jsonl|ndjson|json|parquet|arrow|gz|zst|zip|bz2|xz)$/i;

/** @param output where the dataset will be; what lies in it, or in what a killed run left beside it, is no input. */
export async function listInputs(paths: string[], output: string): Promise<InputFile[]> {
  const files: InputFile[] = [];
  for (const given of paths) {
    const found = await stat(given).catch((cause) => {
      throw badInput('a text file or a folder', 'nothing that can be read', given, cause);
    });
    if (found.isDirectory()) files.push(...(await listFolder(given, path.resolve(output))));
    else files.push(describeFile(given, path.basename(given), found.size));
  }
  return files;
}

async function listFolder(folder: string, output: string): Promise<InputFile[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((cause) => {
    throw badInput('a folder that can be read', cause.code, folder, cause);
  });
  const isOutput = (file: string) => file.startsWith(output + path.sep) || file.startsWith(`${output}.tmp-`);
  const names = entries
    .filter((entry) => isText(entry) && !isOutput(path.resolve(entry.parentPath, entry.name)))
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
  const sorted = names.map((name) => name.split(path.sep).join('/')).sort();
  if (sorted.length === 0) throw badInput('.txt files', 'none', folder);
  const files: InputFile[] = [];
  for (const name of sorted) {
    const file = path.join(folder, name);
    const found = await stat(file).catch((cause) => {
      throw badInput('a text file', 'a link to nothing', file, cause);
    });
    if (found.isFile()) files.push({ path: file, name, bytes: found.size });
  }
  return files;
}

function isText(entry: Dirent): boolean {
  return entry.name.endsWith('.txt') && !entry.isDirectory();
}

function describeFile(file: string, name: string, bytes: number): InputFile {
  if (otherFormats.test(name)) throw badInput('plain text', `a file named ${path.extname(name)}`, file);
  return { path: file, name, bytes };
}

function badInput(expected: string, got: string, where: string, cause?: unknown): GalvaniError {
  const remedy = 'Give --input text files, or folders that hold .txt files.';
  return new GalvaniError({ stage: 'prepare', expected, got, where, remedy, kind: 'badInput', cause });
}
