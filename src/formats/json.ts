/** Reads a JSON file of a model folder; what is wrong with it is said with its path. */
import { readFile } from 'node:fs/promises';
import { GalvaniError } from '../errors.js';

export async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new GalvaniError({
      stage: 'model',
      expected: 'a file of JSON',
      got: (error as NodeJS.ErrnoException).code ?? (error as Error).message,
      where: file,
      remedy: 'Check the path, or take another copy of the folder.',
      kind: 'badInput',
      cause: error,
    });
  }
}
