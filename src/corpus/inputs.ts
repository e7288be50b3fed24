/**
 * Which files a corpus is made of, what is in them by their names, and in what order: paths as given; what a glob matches and
 * what lies in a folder (at any depth) by name in code unit order, whatever the locale. The order is part of the dataset:
 * documents are numbered by it. Synchronous: ten times as fast as promises for the many files of a folder, and nothing else
 * runs yet.
 */
import { type Dirent, existsSync, readdirSync, type Stats, statSync } from 'node:fs';
import path from 'node:path';
import { globSync } from 'tinyglobby';
import { GalvaniError } from '../errors.js';
import type { Compression } from './readers/decompression.js';

export type Format = 'text' | 'jsonl' | 'parquet' | 'arrow';

export interface InputFile {
  path: string;
  /** Relative to the folder (of the glob) that was given, with forward slashes; the base name of a file that was given itself. */
  name: string;
  bytes: number;
  /** When it was last written, in ms since 1970: tells a run that goes on whether it is the same. */
  modified: number;
  format: Format;
  compression?: Compression;
}

/** How standard input is given and named. */
export const standardInput = '-';

/** What is taken from a folder. */
const formats: Record<string, Format> = {
  txt: 'text',
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  parquet: 'parquet',
  arrow: 'arrow',
};
const compressions: Record<string, Compression> = { gz: 'gzip', zst: 'zstd' };
/** Endings of formats that would be tokenized as if they were prose. */
const otherFormats = new Set([
  'zip',
  'bz2',
  'xz',
  'lz4',
  'br',
  'tar',
  'tgz',
  'csv',
  'tsv',
  'pdf',
  'html',
  'xml',
  'warc',
  'feather',
]);

/**
 * @param own what else the command reads or writes, files and folders: where a folder that is read holds them, what lies in
 * them, or in what a killed run left beside them, they are no input.
 * @throws badInput for what is missing, unreadable, or no text by its name.
 */
export function listInputs(paths: string[], own: string[]): InputFile[] {
  const ownPaths = own.map((given) => path.resolve(given));
  const isOwn = (file: string) =>
    ownPaths.some(
      (own) =>
        file === own ||
        file.startsWith(own + path.sep) ||
        file.startsWith(`${own}.tmp-`) ||
        file.startsWith(`${own}.partial`),
    );
  return paths.flatMap((given) => {
    const folder = isGlob(given) ? folderOfGlob(given) : given;
    if (folder === given && !look(given).isDirectory()) return [fileOf(given, path.basename(given))];
    const files = (folder === given ? listFolder(given) : listGlob(given)).filter((file) => !isOwn(path.resolve(file)));
    if (files.length === 0) throw badInput(expectedFiles, 'none', given);
    const names = files.map((file) => path.relative(folder, file).split(path.sep).join('/')).sort();
    return names.map((name) => fileOf(path.join(folder, name), name));
  });
}

const expectedFiles = `files that end in ${Object.keys(formats)
  .map((ending) => `.${ending}`)
  .join(', ')} (also with .gz or .zst)`;

function fileOf(file: string, name: string): InputFile {
  const { format, compression } = kindOf(name);
  if (format === undefined) throw badInput('text', `a file named ${path.extname(file)}`, file);
  const stats = look(file);
  // A pipe, say, has no size to plan by: nothing of it would be read.
  if (!stats.isFile()) throw badInput('a file', stats.isDirectory() ? 'a folder' : 'a pipe or a device', file);
  const { size, mtimeMs } = stats;
  return { path: file, name, bytes: size, modified: mtimeMs, format, ...(compression && { compression }) };
}

/** By the endings of a name. C4 and others call JSON Lines `.json`; an ending that says nothing is taken for text. */
function kindOf(name: string): { format?: Format; compression?: Compression } {
  const endings = path.basename(name).toLowerCase().split('.').slice(1);
  const compression = compressions[endings.at(-1) ?? ''];
  const ending = (compression === undefined ? endings.at(-1) : endings.at(-2)) ?? '';
  if (otherFormats.has(ending)) return {};
  return { format: formats[ending] ?? (ending === 'json' ? 'jsonl' : 'text'), compression };
}

function listFolder(folder: string): string[] {
  return readFolder(folder)
    .filter((entry) => !entry.isDirectory() && isKnown(entry.name))
    .map((entry) => path.join(entry.parentPath, entry.name));
}

const isKnown = (name: string) => new RegExp(`\\.(${Object.keys(formats).join('|')})(\\.(gz|zst))?$`, 'i').test(name);

/** A path of that very name comes first. */
function isGlob(given: string): boolean {
  return /[*?[{]/.test(given) && !existsSync(given);
}

/** The folders before the first wildcard. */
function folderOfGlob(glob: string): string {
  const parts = glob.split('/');
  const fixed = parts.slice(
    0,
    parts.findIndex((part) => /[*?[{]/.test(part)),
  );
  return fixed.length === 1 && fixed[0] === '' ? '/' : fixed.join('/') || '.';
}

function listGlob(glob: string): string[] {
  const folder = folderOfGlob(glob);
  const pattern = folder === '.' ? glob : glob.slice(folder.length).replace(/^\/+/, '');
  return globSync(pattern, { cwd: folder, dot: true, expandDirectories: false }).map((file) => path.join(folder, file));
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
    throw badInput('a file or a folder', code === 'ENOENT' ? 'nothing there' : String(code), file, cause);
  }
}

function badInput(expected: string, got: string, where: string, cause?: unknown): GalvaniError {
  const remedy =
    'Give --input files of text, JSON Lines, Parquet or Arrow, folders that hold some, globs in quotes, or - to read a pipe.';
  return new GalvaniError({ stage: 'corpus', expected, got, where, remedy, kind: 'badInput', cause });
}
