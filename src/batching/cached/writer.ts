/**
 * Writes a store of candidates, batch after batch. All happens in `<output>.partial/store`, and the last act is a rename:
 * a store is whole or absent. One that was stopped or killed goes on behind its last whole record.
 */
import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { firstDifference } from '../../dataset/difference.js';
import { GalvaniError } from '../../errors.js';
import { explainWriteError, makePlaceForFolder, publishFolder, readFully, writeFileDurably } from '../../files.js';
import { WorkFolder } from '../../workFolder.js';
import { type CandidateHeader, headerFile, parseHeader, readHeader, recordsFile } from './header.js';
import { layOutRecord, openRecord, type RecordLayout, sealRecord } from './record.js';

const storeFolder = 'store';

export class CandidateWriter {
  readonly #layout: RecordLayout;

  private constructor(
    private readonly output: string,
    private readonly header: CandidateHeader,
    private readonly work: WorkFolder,
    private readonly store: string,
    private readonly file: FileHandle,
    /** Records that are there. */
    public batches: number,
  ) {
    this.#layout = layOutRecord(header);
  }

  /**
   * Undefined where the whole store is there already.
   * @throws badInput where the output, or what a stopped making left, is of other settings.
   */
  static async open(output: string, header: CandidateHeader): Promise<CandidateWriter | undefined> {
    if (await isThere(output, header)) return undefined;
    const partial = `${output}.partial`;
    const work = await WorkFolder.open(partial, 'candidates', [storeFolder]);
    try {
      const store = path.join(partial, storeFolder);
      await makePlaceForFolder(store, output);
      await mkdir(store, { recursive: true });
      const begun = await parseHeader(store);
      if (begun) expectSame(begun, header, partial);
      else await writeFileDurably(path.join(store, headerFile), `${JSON.stringify(header, null, 2)}\n`);
      const { file, batches } = await openRecords(path.join(store, recordsFile), header);
      return new CandidateWriter(output, header, work, store, file, batches);
    } catch (error) {
      await work.leave();
      throw explainWriteError(error, partial);
    }
  }

  /**
   * The next batch's candidates.
   * logProbs   (B, N, k) natural, the likeliest first; 0 beyond a row's count
   * ids        (B, N, k)
   * planesSum  sumOfPlanes of the batch
   */
  async append(logProbs: Float32Array, ids: Int32Array, planesSum: number): Promise<void> {
    const layout = this.#layout;
    const record = new Uint8Array(layout.bytes);
    new Float32Array(record.buffer, layout.logProbs, logProbs.length).set(logProbs);
    const Ids = this.header.idBytes === 2 ? Uint16Array : Uint32Array;
    new Ids(record.buffer, layout.ids, ids.length).set(ids);
    sealRecord(record, this.batches, planesSum);
    try {
      // At its place, so that a part of a record that a full disk left is written over.
      await writeAt(this.file, record, this.batches * layout.bytes);
    } catch (error) {
      throw explainWriteError(error, this.store);
    }
    this.batches++;
  }

  /** All records are there: the store gets its name. */
  async finish(): Promise<void> {
    await this.file.close();
    try {
      await publishFolder(this.store, this.output);
    } catch (error) {
      await this.work.leave();
      throw error;
    }
    await this.work.remove();
  }

  /** Stopped: another call goes on. */
  async leave(): Promise<void> {
    await this.file.close();
    await this.work.leave();
  }
}

/** @throws badInput where something else is there */
async function isThere(output: string, header: CandidateHeader): Promise<boolean> {
  const names = await readdir(output).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw explainWriteError(error, output);
  });
  if (names.length === 0) return false;
  expectSame(await readHeader(output), header, output);
  return true;
}

/** The file, cut behind its last whole record. */
async function openRecords(file: string, header: CandidateHeader): Promise<{ file: FileHandle; batches: number }> {
  await (await open(file, 'a')).close();
  const handle = await open(file, 'r+');
  try {
    const record = new Uint8Array(layOutRecord(header).bytes);
    let batches = 0;
    while (batches < header.batches) {
      const read = await readFully(handle, record, batches * record.length);
      if (read < record.length || openRecord(record, batches) === undefined) break;
      batches++;
    }
    await handle.truncate(batches * record.length);
    return { file: handle, batches };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function writeAt(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

function expectSame(there: CandidateHeader, wanted: CandidateHeader, where: string): void {
  const difference = firstDifference(there, wanted, 'store');
  if (difference === undefined) return;
  throw new GalvaniError({
    stage: 'candidates',
    expected: 'the store that is asked for, to go on with it',
    got: `another: ${difference}`,
    where,
    remedy: 'Ask for the same again, choose another output, or remove the folder.',
    kind: 'badInput',
  });
}
