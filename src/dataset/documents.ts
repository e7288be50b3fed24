/** Reads whole documents back: the rows of a shard, a record batch at a time. Windows of tokens are read by tokens.ts. */
import { type FileHandle, open } from 'node:fs/promises';
import { GalvaniError } from '../errors.js';
import { damaged } from './damage.js';
import { checkOffsets } from './dataset.js';
import type { Manifest } from './manifest.js';
import { type BatchLayout, type BatchRows, readAt, readLayout } from './shard.js';

/** The arrays are the caller's. @throws badInput for a file that is damaged. */
export async function* readBatches(file: string, idType: Manifest['idType']): AsyncGenerator<BatchRows> {
  const handle = await open(file, 'r').catch((cause) => {
    throw damaged(file, 'a shard', cause.code ?? String(cause), cause);
  });
  try {
    for (const batch of await readLayout(handle, idType)) yield await readRows(handle, batch, idType);
  } catch (error) {
    if (error instanceof GalvaniError) throw error;
    throw damaged(file, 'an Arrow file of documents', error instanceof Error ? error.message : String(error), error);
  } finally {
    await handle.close();
  }
}

async function readRows(handle: FileHandle, batch: BatchLayout, idType: Manifest['idType']): Promise<BatchRows> {
  const { rows, tokens, lines } = batch;
  const idBytes = await readAt(handle, batch.idsAt, tokens * (idType === 'uint16' ? 2 : 4));
  const ids = idType === 'uint16' ? new Uint16Array(idBytes.buffer) : new Uint32Array(idBytes.buffer);
  const idOffsets = new Int32Array((await readAt(handle, batch.idOffsetsAt, 4 * (rows + 1))).buffer);
  const lineEnds = new Uint32Array((await readAt(handle, batch.lineEndsAt, 4 * lines)).buffer);
  const lineOffsets = new Int32Array((await readAt(handle, batch.lineOffsetsAt, 4 * (rows + 1))).buffer);
  checkOffsets(idOffsets, tokens);
  checkOffsets(lineOffsets, lines);
  return { ids, idOffsets, lineEnds, lineOffsets };
}
