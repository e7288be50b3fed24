/**
 * The folder beside an output in which a long command works, such as `tokens.partial`: one process at a time is in it, what is
 * not the command's own is neither used nor removed, and the lock goes last.
 */
import { readdir, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { GalvaniError } from './errors.js';
import { lockFile, lockFolder } from './lock.js';

export class WorkFolder {
  private constructor(
    private readonly folder: string,
    private readonly unlock: () => Promise<void>,
  ) {}

  /**
   * @param names of the files and folders that the command makes in it.
   * @throws tryAgain while another process works there, badInput when something else lies there.
   */
  static async open(folder: string, stage: string, names: readonly string[]): Promise<WorkFolder> {
    const unlock = await lockFolder(folder, stage);
    const own = [...names, lockFile];
    const isOwn = (entry: string) => own.some((name) => entry === name || entry.startsWith(`${name}.`));
    const foreign = (await readdir(folder)).find((entry) => !isOwn(entry));
    if (foreign === undefined) return new WorkFolder(folder, unlock);
    await unlock();
    throw new GalvaniError({
      stage,
      expected: 'nothing beside the output but what a stopped run left there',
      got: `a folder with ${foreign} in it`,
      where: folder,
      remedy: 'Move that folder away, or choose another --output.',
      kind: 'badInput',
    });
  }

  /** For another run to go on with. */
  async leave(): Promise<void> {
    await this.unlock();
  }

  async remove(): Promise<void> {
    for (const entry of await readdir(this.folder)) {
      if (entry !== lockFile) await rm(path.join(this.folder, entry), { recursive: true, force: true });
    }
    await this.unlock();
    await rmdir(this.folder).catch(() => {}); // Another process is in it already.
  }
}
