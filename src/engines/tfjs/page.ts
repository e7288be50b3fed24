/**
 * What node.ts does, in a page. The wasm backend loads its modules from beside the script; a page that keeps them
 * elsewhere calls `setWasmPaths` of the backend's package before an engine is loaded.
 */
import { GalvaniError } from '../../errors.js';
import { hasRelaxedSimd, type WasmBuild } from '../wasm/features.js';

/** Written out, since bundlers find files by such expressions. */
const files: Readonly<Record<WasmBuild, URL>> = {
  simd: new URL('../../../assembly/eager.wasm', import.meta.url),
  'relaxed-simd': new URL('../../../assembly/eager-relaxed.wasm', import.meta.url),
};

export function startWasmBackend(start: () => Promise<boolean>): Promise<boolean> {
  return start();
}

export async function loadKernels(): Promise<{ build: WasmBuild; module: WebAssembly.Module }> {
  const build = hasRelaxedSimd() ? 'relaxed-simd' : 'simd';
  const response = await fetch(files[build]);
  if (!response.ok) {
    throw new GalvaniError({
      stage: 'tfjs',
      expected: 'the kernels for the wasm backend',
      got: `${response.status} ${response.statusText}`,
      where: files[build].href,
      remedy: 'Serve the files of dist/assembly there, or use the engine tfjs-plain.',
    });
  }
  return { build, module: await WebAssembly.compile(await response.arrayBuffer()) };
}
