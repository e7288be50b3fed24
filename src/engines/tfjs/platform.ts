/**
 * What Node and a page do differently, and the only file here that knows Node: where modules of WebAssembly lie, and what
 * the wasm backend leaves behind in the process. In a page its modules are loaded from beside the script; a page that
 * keeps them elsewhere calls `setWasmPaths` of the backend's package before an engine is loaded.
 */
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { env } from '@tensorflow/tfjs-core';
import { hasRelaxedSimd, moduleFile, type WasmBuild } from '../wasm/features.js';

/** Starts the wasm backend with its modules found. */
export async function startWasmBackend(start: () => Promise<boolean>): Promise<boolean> {
  if (!isNode()) return start();
  const { fileURLToPath } = await import('node:url');
  const folder = new URL('.', import.meta.resolve('@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm'));
  setWasmPaths(fileURLToPath(folder));
  return withoutListeners(['uncaughtException', 'unhandledRejection'], start);
}

/** The kernels for another's memory, in the best build that runs here. */
export async function loadKernels(): Promise<{ build: WasmBuild; module: WebAssembly.Module }> {
  if (isNode()) {
    const { chooseBuild, compileModule } = await import('../wasm/build.js');
    const build = chooseBuild();
    return { build, module: await compileModule(build, 'eager') };
  }
  const build = hasRelaxedSimd() ? 'relaxed-simd' : 'simd';
  const response = await fetch(new URL(`../../../assembly/${moduleFile('eager', build)}`, import.meta.url));
  return { build, module: await WebAssembly.compile(await response.arrayBuffer()) };
}

function isNode(): boolean {
  return env().getBool('IS_NODE');
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
