/**
 * The tfjs backend that an engine computes on: `wasm`, which is started here, or any that the program has registered.
 * tfjs has one active backend a process; whoever runs operations makes theirs active first.
 */
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { backend, findBackendFactory, getBackend, setBackend } from '@tensorflow/tfjs-core';
import { GalvaniError } from '../../errors.js';
import { startWasmBackend } from './platform.js';

export interface Backend {
  readonly name: string;
  /** Most bytes that its tensors may take. */
  readonly mostBytes: number;
  /** Bytes that it has taken from the machine, where it knows. */
  heldBytes(): number;
}

/** What its runtime lets the memory of wasm32 grow to: 4 GiB less one page. */
export const mostWasmBytes = 65535 * 65536;

export async function openBackend(name: string): Promise<Backend> {
  if (name === 'wasm') return openWasm();
  if (findBackendFactory(name) === null) {
    throw new GalvaniError({
      stage: 'tfjs',
      expected: 'a registered backend of TensorFlow.js',
      got: `"${name}"`,
      remedy: 'Import its package (@tensorflow/tfjs-backend-…) before the engine is loaded, or use the backend "wasm".',
      kind: 'wrongUse',
    });
  }
  if (!(await setBackend(name))) throw notStarted(name);
  return { name, mostBytes: Number.MAX_SAFE_INTEGER, heldBytes: () => 0 };
}

/** Operations after this call run on it. */
export function activate({ name }: Backend): void {
  // Synchronous for a backend that has been started; what it returns is a promise all the same.
  if (getBackend() !== name) void setBackend(name);
}

let wasm: Promise<Backend> | undefined;

function openWasm(): Promise<Backend> {
  wasm ??= startWasmBackend(() => setBackend('wasm')).then((isStarted) => {
    if (!isStarted) throw notStarted('wasm');
    const module = moduleOf(backend() as BackendWasm);
    refuseAddressZero(module);
    return { name: 'wasm', mostBytes: mostWasmBytes, heldBytes: () => module.HEAPU8.byteLength };
  });
  return wasm;
}

/** What its runtime gives of itself, and its types leave out. */
interface WasmModule {
  readonly HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _free(address: number): void;
}

function moduleOf({ wasm }: BackendWasm): WasmModule {
  return wasm as unknown as WasmModule;
}

/** Memory that is refused comes back as address 0, where the backend would go on to write. */
function refuseAddressZero(module: WasmModule): void {
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

function notStarted(name: string): GalvaniError {
  return new GalvaniError({
    stage: 'tfjs',
    expected: `the backend ${name} of TensorFlow.js to start`,
    got: 'a refusal',
    remedy: 'The backend has said why on the console; use another engine where it cannot run.',
  });
}
