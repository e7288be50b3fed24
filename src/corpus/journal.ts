/**
 * What `prepare` writes down beside its output while it works, so that a run that was stopped or killed goes on behind its
 * last whole shard: the arguments that the bytes depend on, and how far the writer is. In `<output>.partial`:
 *
 *   lock, journal.json    whose work this is
 *   dataset/              becomes the output; what the journal does not know in it is half-written
 *   spills/               on their way from workers to the writer
 */
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { firstDifference } from '../dataset/difference.js';
import { hashBytes } from '../dataset/hash.js';
import { hashesFileOf } from '../dataset/hashes.js';
import type { Manifest } from '../dataset/manifest.js';
import type { DatasetDescription, WriterState } from '../dataset/writer.js';
import { GalvaniError } from '../errors.js';
import { writeFileDurably } from '../files.js';

/** Raised when a task is cut into other blocks, too: the state counts their borders. */
const formatVersion = 1;

/** All that the bytes depend on, and what tells whether the inputs are still the same. */
export interface Arguments extends Omit<DatasetDescription, 'inputs'> {
  vocabulary: Manifest['vocabulary'];
  inputs: { name: string; bytes: number; modified: number }[];
  skipsErrors: boolean;
  rangeBytes: number;
}

const names = { journal: 'journal.json', dataset: 'dataset', spills: 'spills' };

/** What this makes in the folder. */
export const journalNames = Object.values(names);

export class Journal {
  readonly dataset: string;
  readonly spills: string;
  private readonly file: string;

  private constructor(
    private readonly folder: string,
    private readonly wanted: Arguments,
    public state: WriterState | undefined,
  ) {
    this.dataset = path.join(folder, names.dataset);
    this.spills = path.join(folder, names.spills);
    this.file = path.join(folder, names.journal);
  }

  /** @throws badInput when the folder holds the work of other arguments, or when finished shards are gone. */
  static async open(folder: string, wanted: Arguments): Promise<Journal> {
    const journal = new Journal(folder, wanted, undefined);
    journal.state = await journal.read();
    await journal.clear();
    return journal;
  }

  /** The shards of this state are on the disk. */
  async save(state: WriterState): Promise<void> {
    this.state = state;
    await writeFileDurably(this.file, JSON.stringify({ formatVersion, arguments: this.wanted, state }));
  }

  private async read(): Promise<WriterState | undefined> {
    const text = await readFile(this.file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      // One that is there and cannot be read leads to finished shards all the same.
      if (error.code !== 'ENOENT') throw this.refuse(`a journal.json that cannot be read: ${error.code}`);
    });
    if (text === undefined) return undefined;
    const { arguments: there, state } = this.parse(text);
    for (const key of Object.keys({ ...there, ...this.wanted }) as (keyof Arguments)[]) {
      const difference = firstDifference(there[key], this.wanted[key], key);
      if (difference) throw this.refuse(`other ones: ${difference}`);
    }
    for (const { file, rows, bytes } of state.shards) {
      await this.checkSize(file, bytes);
      await this.checkSize(hashesFileOf(file), hashBytes * rows);
    }
    return state;
  }

  private async checkSize(name: string, bytes: number): Promise<void> {
    const { size } = await stat(path.join(this.dataset, name)).catch(() => ({ size: 'none' }));
    if (size !== bytes) throw this.refuse(`${name} of ${size} bytes where ${bytes} were written`);
  }

  private parse(text: string): { arguments: Arguments; state: WriterState } {
    let journal: { formatVersion?: unknown; arguments: Arguments; state: WriterState };
    try {
      journal = JSON.parse(text);
    } catch {
      throw this.refuse('a journal.json that is damaged');
    }
    if (journal?.formatVersion !== formatVersion) throw this.refuse('a journal.json of another version of Galvani');
    return journal;
  }

  /** Remove what was half-written. */
  private async clear(): Promise<void> {
    await rm(this.spills, { recursive: true, force: true });
    await mkdir(this.spills);
    await mkdir(this.dataset, { recursive: true });
    const whole = new Set(this.state?.shards.flatMap(({ file }) => [file, hashesFileOf(file)]));
    for (const name of await readdir(this.dataset)) {
      if (!whole.has(name)) await rm(path.join(this.dataset, name), { recursive: true });
    }
  }

  private refuse(got: string): GalvaniError {
    return new GalvaniError({
      stage: 'prepare',
      expected: 'the same arguments and inputs as the run that stopped here',
      got,
      where: this.folder,
      remedy: 'Run the command as it was to go on, or remove that folder to start over.',
      kind: 'badInput',
    });
  }
}
