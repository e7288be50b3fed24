/**
 * One process at a time works in a folder. The lock holds the process number, when that process began, and its host, so that
 * one left by a killed process, or a number that was given to another process since, does not block. A process of another
 * host cannot be asked: there the lock counts as held while it is touched now and then.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { link, mkdir, readFile, rename, rm, rmdir, stat, utimes } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { GalvaniError } from './errors.js';
import { explainWriteError } from './files.js';

export const lockFile = 'lock';

const touchMs = 10_000;
const deadAfterMs = 60_000;

/**
 * Takes the lock, and makes the folder for it; returns what gives it back, and the folder too if it is still empty.
 * @throws tryAgain while a living process holds it.
 */
export async function lockFolder(directory: string, stage: string): Promise<() => Promise<void>> {
  try {
    const isNew = (await mkdir(directory, { recursive: true }).catch(asNoFolder)) !== undefined;
    const unlock = await takeLock(directory, stage);
    return async () => {
      await unlock();
      if (isNew) await rmdir(directory).catch(() => {}); // Not empty: the work has begun.
    };
  } catch (error) {
    throw explainWriteError(error, directory);
  }
}

/** A file of that name is told as it is where one stands in the way further up. */
function asNoFolder(error: NodeJS.ErrnoException): never {
  throw error.code === 'EEXIST' ? Object.assign(error, { code: 'ENOTDIR' }) : error;
}

async function takeLock(directory: string, stage: string): Promise<() => Promise<void>> {
  const file = path.join(directory, lockFile);
  const mine = `${process.pid} ${startOf(process.pid) ?? '?'} ${os.hostname()}\n`;
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      // Without a pause between making and writing it: an empty one is a dead one's.
      writeFileSync(file, mine, { flag: 'wx' });
      const timer = setInterval(() => void touch(file), touchMs).unref();
      return async () => {
        clearInterval(timer);
        await rm(file, { force: true });
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const found = await readFile(file, 'utf8').catch(() => '');
      if (await isHeld(file, found)) throw inUse(directory, stage, found);
      if (!(await removeLeft(file, found))) throw inUse(directory, stage, '');
    }
  }
  throw inUse(directory, stage, '');
}

async function touch(file: string): Promise<void> {
  const now = new Date();
  await utimes(file, now, now).catch(() => {}); // Removed by hand: nothing is to be kept alive.
}

async function isHeld(file: string, content: string): Promise<boolean> {
  const [pid, start, host] = content.trim().split(' ');
  if (host === undefined || host === os.hostname()) return isAlive(Number(pid), start);
  const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: 0 }));
  return Date.now() - mtimeMs < deadAfterMs;
}

/** Remove a dead one's lock, and only that: another process may have done so, and taken its own, since it was read. */
async function removeLeft(file: string, content: string): Promise<boolean> {
  const aside = `${file}.left-${process.pid}`;
  try {
    await rename(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
  const isSame = (await readFile(aside, 'utf8')) === content;
  if (!isSame) await link(aside, file).catch(() => {});
  await rm(aside, { force: true });
  return isSame;
}

function isAlive(pid: number, start: string | undefined): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const now = startOf(pid);
  return now === undefined || start === undefined || start === '?' || now === start;
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

function inUse(directory: string, stage: string, content: string): GalvaniError {
  const [pid, , host] = content.trim().split(' ');
  const who = pid ? `process ${pid}` : 'another process';
  return new GalvaniError({
    stage,
    expected: 'a folder that no other process works in',
    got: `${who} at work${host && host !== os.hostname() ? ` on ${host}` : ''}`,
    where: directory,
    remedy: 'Wait for it or end it, or choose another --output.',
    kind: 'tryAgain',
  });
}
