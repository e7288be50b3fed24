/** The module of WebAssembly behind the wasm backend: its memory and its allocator. */
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { GalvaniError } from '../../errors.js';

/** What is used of it; the package's types leave it out. */
export interface WasmModule {
  readonly HEAPU8: Uint8Array;
  readonly asm: { readonly memory: WebAssembly.Memory };
  _malloc(bytes: number): number;
  _free(address: number): void;
}

export function moduleOf({ wasm }: BackendWasm): WasmModule {
  return wasm as unknown as WasmModule;
}

/** Memory that is refused comes back as address 0, where the backend would go on to write. */
export function refuseAddressZero(module: WasmModule): void {
  // The first call puts the function itself where a stub stood: what is wrapped before it would be lost.
  module._free(module._malloc(1));
  const allocate = module._malloc;
  module._malloc = (bytes) => {
    const address = allocate(bytes);
    if (address !== 0 || bytes === 0) return address;
    throw new GalvaniError({
      stage: 'tfjs',
      expected: `${(bytes / 2 ** 20).toFixed(1)} MiB more of memory`,
      got: `a refusal at ${(module.HEAPU8.byteLength / 2 ** 20).toFixed(0)} MiB`,
      remedy: 'Choose a smaller --micro-batch-size or --sequence-length, or the wasm engine, which needs less.',
    });
  };
}
