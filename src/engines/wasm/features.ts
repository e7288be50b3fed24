/**
 * Which builds of the compute kernels there are, and what a runtime's WebAssembly can do: found by asking it to validate
 * two modules of one function. Of Node this file knows nothing, so a page can load it.
 */
export type WasmBuild = 'simd' | 'relaxed-simd';

/** The kernels for a team's shared memory (assembly/compute/index.ts), or for one that is another's (eager.ts). */
export type ModuleName = 'compute' | 'eager';

/** Its file in the folder of modules. */
export function moduleFile(name: ModuleName, build: WasmBuild): string {
  return build === 'simd' ? `${name}.wasm` : `${name}-relaxed.wasm`;
}

/** (func (drop (f32x4.relaxed_madd …))) on three zero vectors. */
const relaxedProbe = moduleOf([0xfd, 0x85, 0x02]);
/** (func (drop (v128.bitselect …))): SIMD without the relaxed part. */
const simdProbe = moduleOf([0xfd, 0x52]);

/** A module of one function that applies an instruction to three zero vectors and drops the result. */
function moduleOf(instruction: readonly number[]): Uint8Array<ArrayBuffer> {
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

export function hasSimd(): boolean {
  return WebAssembly.validate(simdProbe);
}

/** Fused multiply-add of vectors. */
export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(relaxedProbe);
}
