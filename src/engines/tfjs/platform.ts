/**
 * What Node and a page do differently, and the only file here that knows Node: where the wasm backend's modules lie, and
 * what the backend leaves behind in the process. In a page its modules are loaded from beside the script; a page that
 * keeps them elsewhere calls `setWasmPaths` of the backend's package before an engine is loaded.
 */

import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { env } from '@tensorflow/tfjs-core';

/** Starts the wasm backend with its modules found. */
export async function startWasmBackend(start: () => Promise<boolean>): Promise<boolean> {
  if (!env().getBool('IS_NODE')) return start();
  const { fileURLToPath } = await import('node:url');
  const folder = new URL('.', import.meta.resolve('@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm'));
  setWasmPaths(fileURLToPath(folder));
  return withoutListeners(['uncaughtException', 'unhandledRejection'], start);
}

/** Its runtime listens for errors of the whole process and throws them again: they would end it with another exit code. */
async function withoutListeners<T>(names: readonly string[], start: () => Promise<T>): Promise<T> {
  const before = names.map((name) => process.listeners(name as 'exit'));
  try {
    return await start();
  } finally {
    for (const [i, name] of names.entries()) {
      for (const listener of process.listeners(name as 'exit')) {
        if (!before[i].includes(listener)) process.removeListener(name, listener);
      }
    }
  }
}
