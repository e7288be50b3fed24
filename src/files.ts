/**
 * Files that are either whole or absent: written beside under another name, flushed to the disk, renamed as the last
 * act, and the folder flushed too, so that a kill or a power cut leaves the old state or the new one.
 * Shards, checkpoints and exports are all written through here. A full disk becomes an error with a remedy.
 */
import { createHash, randomInt } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { GalvaniError } from './errors.js';

/** What a file is made of: one piece, or several in order (tensors after their header need no copy). */
export type FileContent = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Write a file so that, at any moment, `file` holds its old content or all of `content`. */
export async function writeFileDurably(file: string, content: FileContent): Promise<void> {
  // Others may write the same file: in this process, or on another machine under the same process number.
  const beside = `${file}.tmp-${randomInt(2 ** 47)}`;
  try {
    const handle = await open(beside, 'w');
    try {
      for await (const piece of pieces(content)) await writeFully(handle, piece);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, file);
    await syncFolder(path.dirname(file));
  } catch (error) {
    // Where nothing can be removed either, what went wrong first is what is told.
    await rm(beside, { force: true }).catch(() => {});
    throw explainWriteError(error, file);
  }
}

/** Another process may be writing the same file: what was not touched for so long was left by one that is gone. */
const leftoverAgeMs = 3_600_000;

/** Remove what killed processes left of earlier writes of a file. */
export async function removeLeftovers(file: string): Promise<void> {
  const folder = path.dirname(file);
  const beginning = `${path.basename(file)}.tmp-`;
  for (const name of await readdir(folder)) {
    if (!name.startsWith(beginning)) continue;
    const leftover = path.join(folder, name);
    const written = await stat(leftover).catch(ignore('ENOENT'));
    // A folder that cannot be written to keeps them.
    if (written && Date.now() - written.mtimeMs > leftoverAgeMs) await rm(leftover, { force: true }).catch(() => {});
  }
}

/** For a file that is written at the end of long work: make its folder, and see that no folder has its name. */
export async function makePlaceFor(file: string): Promise<void> {
  try {
    await mkdir(path.dirname(path.resolve(file)), { recursive: true }).catch(ignore('EEXIST')); // a file: `open` says so
    const handle = await open(file, 'r+').catch(ignore('ENOENT'));
    await handle?.close();
  } catch (error) {
    throw explainWriteError(error, file);
  }
}

/**
 * Give a finished folder its final name: every file and folder in it is flushed, then `temporary` becomes `final`.
 * `final` may be absent or an empty folder; anything else is refused by the rename itself.
 */
export async function publishFolder(temporary: string, final: string): Promise<void> {
  try {
    await syncTree(temporary);
    await rename(temporary, final);
    await syncFolder(path.dirname(path.resolve(final)));
  } catch (error) {
    throw explainWriteError(error, final);
  }
}

/**
 * For a folder that gets its final name at the end of long work: if there is one already, see that it can be replaced, which a
 * link or the place of a mounted file system cannot. It must be empty.
 */
export async function makePlaceForFolder(temporary: string, final: string): Promise<void> {
  if ((await lstat(final).catch(ignore('ENOENT'))) === undefined) return;
  await mkdir(temporary, { recursive: true }); // a killed run may have left it
  try {
    await rename(temporary, final);
  } catch (error) {
    await rmdir(temporary);
    throw explainWriteError(error, final);
  }
}

/** SHA-256 of a file's bytes, in hex. Reads in pieces: memory does not grow with the file. */
export async function sha256File(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk);
  return hash.digest('hex');
}

/** One system call moves at most 2 GiB. */
const mostBytes = 1 << 30;
/** … and takes at most so many pieces (IOV_MAX). */
const mostPieces = 1024;

/** `FileHandle.write` may take a part of what it is given; this goes on until all of it is written. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(bytes.byteLength - done, mostBytes));
    done += bytesWritten;
  }
}

/** Flush a file that was written to the disk, and close it. */
export async function syncAndClose(handle: FileHandle, file: string): Promise<void> {
  try {
    await handle.sync();
  } catch (error) {
    throw explainWriteError(error, file);
  } finally {
    await handle.close();
  }
}

/** Write pieces one behind the other with as few system calls as that takes. */
export async function writePieces(handle: FileHandle, pieces: readonly Uint8Array[]): Promise<void> {
  for (let first = 0; first < pieces.length; first += mostPieces) {
    const some = pieces.slice(first, first + mostPieces);
    let { bytesWritten } = await handle.writev(some);
    for (const piece of some) {
      if (bytesWritten < piece.byteLength) await writeFully(handle, piece.subarray(bytesWritten));
      bytesWritten = Math.max(0, bytesWritten - piece.byteLength);
    }
  }
}

/** `FileHandle.read` may give a part of what is asked for; this goes on until `into` is full or the file ends. @returns bytes read */
export async function readFully(handle: FileHandle, into: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < into.byteLength) {
    const { bytesRead } = await handle.read(into, done, Math.min(into.byteLength - done, mostBytes), position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** What hinders a write, by the system's code for it, and whether another place would help. */
const hindrances: Record<string, { got: string; isPlace: boolean }> = {
  ENOSPC: { got: 'a full disk', isPlace: false },
  EDQUOT: { got: 'a used-up disk quota', isPlace: false },
  EFBIG: { got: 'the limit on file sizes', isPlace: false },
  EACCES: { got: 'no permission', isPlace: true },
  EPERM: { got: 'no permission', isPlace: true },
  EROFS: { got: 'a read-only file system', isPlace: true },
  ENOENT: { got: 'no such folder', isPlace: true },
  ENOTDIR: { got: 'a file where a folder should be, or a link', isPlace: true },
  EBUSY: { got: 'a folder in use, such as one where a file system is mounted', isPlace: true },
  EXDEV: { got: 'another file system', isPlace: true },
  EISDIR: { got: 'a folder of that name', isPlace: true },
};

/** Turn "no space left" and its kin into an error that says what to do; others come back as they are. */
export function explainWriteError(error: unknown, file: string): unknown {
  const hindrance = hindrances[(error as NodeJS.ErrnoException)?.code ?? ''];
  if (hindrance === undefined) return error;
  const { got, isPlace } = hindrance;
  return new GalvaniError({
    stage: 'write',
    expected: isPlace ? 'a place that may be written' : 'room for the whole file',
    got,
    where: file,
    remedy: `Nothing was left half-written. ${isPlace ? 'Choose another place' : 'Free some space'} and run the same command again.`,
    cause: error,
  });
}

function ignore(code: string): (error: NodeJS.ErrnoException) => undefined {
  return (error) => {
    if (error.code !== code) throw error;
  };
}

function pieces(content: FileContent): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (typeof content === 'string') return [Buffer.from(content)];
  return content instanceof Uint8Array ? [content] : content;
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const inner = path.join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(inner);
    // Windows flushes only what is open for writing; elsewhere a file may be one that nobody may write to.
    else if (entry.isFile()) await syncPath(inner, process.platform === 'win32' ? 'r+' : 'r');
  }
  await syncFolder(folder);
}

async function syncFolder(folder: string): Promise<void> {
  try {
    await syncPath(folder, 'r');
  } catch (error) {
    // Windows opens no folders; its rename is on the disk when it returns.
    if (process.platform !== 'win32') throw error;
  }
}

async function syncPath(file: string, flags: string): Promise<void> {
  const handle = await open(file, flags);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
