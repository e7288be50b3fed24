/**
 * Which files a corpus is made of, and in what order: paths as given, a folder's .txt files (at any depth) by name in
 * code unit order, whatever the locale. The order is part of the dataset: documents are numbered by it.
 * Synchronous: ten times as fast as promises for the many files of a folder, and nothing else runs yet.
 */
import { type Dirent, readdirSync, type Stats, statSync } from 'node:fs';
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

/**
 * @param own what else the command reads or writes, files and folders: where a folder that is read holds them, what lies in
 * them, or in what a killed run left beside them, they are no input.
 * @throws badInput for what is missing, unreadable, or no text by its name.
 */
export function listInputs(paths: string[], own: string[]): InputFile[] {
  const ownPaths = own.map((given) => path.resolve(given));
  return paths.flatMap((given) => {
    const found = look(given);
    if (found.isDirectory()) return listFolder(given, ownPaths);
    if (otherFormats.test(given)) throw badInput('plain text', `a file named ${path.extname(given)}`, given);
    return [{ path: given, name: path.basename(given), bytes: found.size }];
  });
}

function listFolder(folder: string, ownPaths: string[]): InputFile[] {
  const isOwn = (file: string) =>
    ownPaths.some((own) => file === own || file.startsWith(own + path.sep) || file.startsWith(`${own}.tmp-`));
  const names = readFolder(folder)
    .filter((entry) => entry.name.endsWith('.txt') && !entry.isDirectory())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => !isOwn(path.resolve(file)))
    .map((file) => path.relative(folder, file).split(path.sep).join('/'))
    .sort();
  if (names.length === 0) throw badInput('.txt files', 'none', folder);
  return names.map((name) => ({ path: path.join(folder, name), name, bytes: look(path.join(folder, name)).size }));
}

function readFolder(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true });
  } catch (cause) {
    throw badInput('a folder that can be read', (cause as NodeJS.ErrnoException).code ?? String(cause), folder, cause);
  }
}

/** Links are followed: a link to nothing is missing. */
function look(file: string): Stats {
  try {
    return statSync(file);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw badInput('a text file or a folder', code === 'ENOENT' ? 'nothing there' : String(code), file, cause);
  }
}

function badInput(expected: string, got: string, where: string, cause?: unknown): GalvaniError {
  const remedy = 'Give --input text files, or folders that hold .txt files.';
  return new GalvaniError({ stage: 'corpus', expected, got, where, remedy, kind: 'badInput', cause });
}
