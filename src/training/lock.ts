/**
 * One process at a time trains in a run folder. The lock holds the process number and when that process began, so
 * that one left by a killed process, or a number that was given to another process since, does not block.
 */
import { readFileSync } from 'node:fs';
import { open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { GalvaniError } from '../errors.js';

/** Takes the lock; returns what gives it back. @throws tryAgain while a living process holds it. */
export async function lockRun(directory: string): Promise<() => Promise<void>> {
  const file = path.join(directory, 'lock');
  const mine = `${process.pid} ${startOf(process.pid) ?? ''}\n`;
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const handle = await open(file, 'wx');
      await handle.writeFile(mine);
      await handle.close();
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
