/**
 * One process at a time trains in a run folder. The lock holds the process number and when that process began, so
 * that one left by a killed process, or a number that was given to another process since, does not block.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { GalvaniError } from '../errors.js';
import { explainWriteError } from '../files.js';

export const lockFile = 'lock';

/**
 * Takes the lock, and makes the folder for it; returns what gives it back, and the folder too if it is still empty.
 * @throws tryAgain while a living process holds it.
 */
export async function lockRun(directory: string): Promise<() => Promise<void>> {
  try {
    const isNew = (await mkdir(directory, { recursive: true })) !== undefined;
    const unlock = await takeLock(directory);
    return async () => {
      await unlock();
      if (isNew) await rmdir(directory).catch(() => {}); // Not empty: the run has begun.
    };
  } catch (error) {
    throw explainWriteError(error, directory);
  }
}

async function takeLock(directory: string): Promise<() => Promise<void>> {
  const file = path.join(directory, lockFile);
  const mine = `${process.pid} ${startOf(process.pid) ?? ''}\n`;
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      // Without a pause between making and writing it: an empty one is a dead one's.
      writeFileSync(file, mine, { flag: 'wx' });
      return () => rm(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const [pid, start] = (await readFile(file, 'utf8').catch(() => '')).trim().split(' ');
      if (isAlive(Number(pid), start)) throw inUse(directory, pid);
      await rm(file, { force: true });
    }
  }
  throw inUse(directory, 'another');
}

function isAlive(pid: number, start: string | undefined): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const now = startOf(pid);
  return now === undefined || start === undefined || start === '' || now === start;
}

/** When a process began, in clock ticks since boot (field 22 of /proc/PID/stat); unknown where there is no /proc. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function inUse(directory: string, pid: string): GalvaniError {
  return new GalvaniError({
    stage: 'run',
    expected: 'a run folder that no other process trains in',
    got: `process ${pid} at work`,
    where: directory,
    remedy: 'Wait for it or end it, or choose another --output.',
    kind: 'tryAgain',
  });
}
