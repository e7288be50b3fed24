/**
 * Which of the two builds of the compute module runs here: with fused multiply-add (relaxed SIMD) where the runtime
 * has it, plain SIMD elsewhere. Their results differ in the last bits, so a run records which one it used.
 *
 * Node 20 has relaxed SIMD behind a flag of V8, which must be set before the first compilation and counts for worker
 * threads started later; newer V8 does not know the flag, so it is set only where validation fails.
 */
import { readFile } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import { GalvaniError } from '../../errors.js';
import { hasRelaxedSimd, hasSimd, type ModuleName, moduleFile, type WasmBuild } from './features.js';

/** The best build that this runtime can run. @throws GalvaniError without SIMD or shared memory. */
export function chooseBuild(): WasmBuild {
  checkRuntime();
  if (hasRelaxedSimd()) return 'relaxed-simd';
  setFlagsFromString('--experimental-wasm-relaxed-simd');
  return hasRelaxedSimd() ? 'relaxed-simd' : 'simd';
}

/** @throws GalvaniError in a runtime that no module of the project can run in, whatever it is for. */
export function checkRuntime(): void {
  if (typeof SharedArrayBuffer === 'undefined') throw missing('SharedArrayBuffer');
  if (!hasSimd()) throw missing('WebAssembly SIMD');
}

function missing(what: string): GalvaniError {
  return new GalvaniError({
    stage: 'wasm',
    expected: `a runtime with ${what}`,
    got: `Node ${process.versions.node} without it`,
    remedy: 'Use Node 20.19 or newer on a 64-bit machine, without flags that turn it off.',
  });
}

const modules = new Map<string, Promise<WebAssembly.Module>>();

/** The compiled module; compiled once a process. */
export function compileModule(build: WasmBuild, name: ModuleName = 'compute'): Promise<WebAssembly.Module> {
  const file = moduleFile(name, build);
  let module = modules.get(file);
  if (!module) {
    module = readFile(new URL(`../../../assembly/${file}`, import.meta.url)).then((bytes) =>
      WebAssembly.compile(bytes),
    );
    modules.set(file, module);
  }
  return module;
}
