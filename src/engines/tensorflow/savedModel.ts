/** The library reads graphs from files: each gets a folder of its own, which is gone when it has been read. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { GalvaniError } from '../../errors.js';
import type { SessionThread } from './thread.js';

/** contents: of saved_model.pb. Rejects with a GalvaniError, or with the library's text. */
export async function loadSavedModel(thread: SessionThread, contents: Uint8Array): Promise<void> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'galvani-')).catch(unwritable(os.tmpdir(), contents));
  try {
    const file = path.join(folder, 'saved_model.pb');
    await writeFile(file, contents).catch(unwritable(file, contents));
    await thread.load(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function unwritable(where: string, { byteLength }: Uint8Array): (cause: unknown) => never {
  return (cause) => {
    throw new GalvaniError({
      stage: 'tensorflow',
      expected: `a temporary folder that takes a graph of ${(byteLength / 1e6).toFixed(1)} MB`,
      got: (cause as Error).message,
      where,
      remedy: 'Free some space there, or set TMPDIR to a folder that may be written.',
      cause,
    });
  };
}
