/**
 * What the engine needs of Node: where modules of WebAssembly lie, and that the wasm backend leaves nothing behind in the
 * process. A bundle for a page has page.ts in its place (`imports` of package.json).
 */
import { fileURLToPath } from 'node:url';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { chooseBuild, compileModule } from '../wasm/build.js';
import type { WasmBuild } from '../wasm/features.js';

/** Starts the wasm backend with its modules found. */
export function startWasmBackend(start: () => Promise<boolean>): Promise<boolean> {
  const folder = new URL('.', import.meta.resolve('@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm'));
  setWasmPaths(fileURLToPath(folder));
  return withoutListeners(['uncaughtException', 'unhandledRejection'], start);
}

/** The kernels for another's memory, in the best build that runs here. */
export async function loadKernels(): Promise<{ build: WasmBuild; module: WebAssembly.Module }> {
  const build = chooseBuild();
  return { build, module: await compileModule(build, 'eager') };
}

/** The backend's runtime listens for errors of the whole process and throws them again: it would end with another exit code. */
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
