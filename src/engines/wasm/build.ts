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

export type WasmBuild = 'simd' | 'relaxed-simd';

/** (func (drop (f32x4.relaxed_madd …))) on three zero vectors. */
const relaxedProbe = moduleOf([0xfd, 0x85, 0x02]);
/** (func (drop (v128.bitselect …))): SIMD without the relaxed part. */
const simdProbe = moduleOf([0xfd, 0x52]);

/** A module of one function that applies an instruction to three zero vectors and drops the result. */
function moduleOf(instruction: readonly number[]): Uint8Array {
  const zero = [0xfd, 0x0c, ...new Array<number>(16).fill(0)];
  const body = [0x00, ...zero, ...zero, ...zero, ...instruction, 0x1a, 0x0b];
  const code = [0x01, body.length, ...body];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00],
    ...[0x03, 0x02, 0x01, 0x00],
    ...[0x0a, code.length, ...code],
  ]);
}

/** The best build that this runtime can run. @throws GalvaniError without SIMD or shared memory. */
export function chooseBuild(): WasmBuild {
  if (typeof SharedArrayBuffer === 'undefined') throw missing('SharedArrayBuffer');
  if (!WebAssembly.validate(simdProbe)) throw missing('WebAssembly SIMD');
  if (WebAssembly.validate(relaxedProbe)) return 'relaxed-simd';
  setFlagsFromString('--experimental-wasm-relaxed-simd');
  return WebAssembly.validate(relaxedProbe) ? 'relaxed-simd' : 'simd';
}

function missing(what: string): GalvaniError {
  return new GalvaniError({
    stage: 'wasm',
    expected: `a runtime with ${what}`,
    got: `Node ${process.versions.node} without it`,
    remedy: 'Use Node 20.19 or newer on a 64-bit machine, or another engine.',
  });
}

const modules = new Map<WasmBuild, Promise<WebAssembly.Module>>();

/** The compiled module; compiled once a process. */
export function compileModule(build: WasmBuild): Promise<WebAssembly.Module> {
  let module = modules.get(build);
  if (!module) {
    const file = build === 'simd' ? 'compute.wasm' : 'compute-relaxed.wasm';
    module = readFile(new URL(`../../../assembly/${file}`, import.meta.url)).then((bytes) =>
      WebAssembly.compile(bytes),
    );
    modules.set(build, module);
  }
  return module;
}
