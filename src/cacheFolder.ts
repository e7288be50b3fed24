/** Where what is fetched or built once is kept: a folder of the user's beside all clones. */
import os from 'node:os';
import path from 'node:path';

export function cacheFolder(name: string): string {
  return path.resolve(process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'galvani', name);
}
