/**
 * The tfjs backend that an engine computes on: `wasm`, which is started here, or any that the program has registered.
 * tfjs has one active backend a process; whoever runs operations makes theirs active first.
 */
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import '@tensorflow/tfjs-backend-wasm';
import { backend, env, findBackend, findBackendFactory, getBackend, setBackend } from '@tensorflow/tfjs-core';
import { loadKernels, startWasmBackend } from '#tfjs-platform';
import { GalvaniError } from '../../errors.js';
import { mostBytes } from '../wasm/layout.js';
import { registerOwnBackend } from './kernels/index.js';
import { ownBackendName } from './kernels/kernel.js';
import { moduleOf, refuseAddressZero } from './wasmModule.js';

export interface Backend {
  readonly name: string;
  /** What distinguishes builds of it whose results differ in the last bits. */
  readonly build: string;
  /** Most bytes that its tensors may take. */
  readonly mostBytes: number;
  /** Whether what is read of a tensor may be the array that the backend itself goes on with. */
  readonly readsOwnArrays: boolean;
  /** Bytes that it has taken from the machine, where it knows. */
  heldBytes(): number;
}

/** withKernels: on `wasm`, with the project's kernels beside its own. */
export async function openBackend(name: string, withKernels: boolean): Promise<Backend> {
  if (name === 'wasm') return withKernels ? openOwn() : openWasm();
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
  return { name, build: name, mostBytes: Number.MAX_SAFE_INTEGER, readsOwnArrays: true, heldBytes: () => 0 };
}

/** Operations after this call run on it. */
export function activate({ name }: Backend): void {
  // Synchronous for a backend that has been started; what it returns is a promise all the same.
  if (getBackend() !== name) void setBackend(name);
}

let wasm: Promise<Backend> | undefined;
let own: Promise<Backend> | undefined;

function openWasm(): Promise<Backend> {
  wasm ??= startWasm();
  return wasm;
}

async function startWasm(): Promise<Backend> {
  // One thread everywhere, as in Node: one order of sums, and memory that the project's kernels can share.
  env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  if (!(await startWasmBackend(() => setBackend('wasm')))) throw notStarted('wasm');
  const module = moduleOf(backend() as BackendWasm);
  refuseAddressZero(module);
  return { name: 'wasm', build: 'wasm', mostBytes, readsOwnArrays: false, heldBytes: () => module.HEAPU8.byteLength };
}

function openOwn(): Promise<Backend> {
  own ??= (async () => {
    const plain = await openWasm();
    const { build, module } = await loadKernels();
    registerOwnBackend(findBackend(plain.name) as BackendWasm, module);
    return { ...plain, name: ownBackendName, build: `wasm with kernels ${build}` };
  })();
  return own;
}

function notStarted(name: string): GalvaniError {
  return new GalvaniError({
    stage: 'tfjs',
    expected: `the backend ${name} of TensorFlow.js to start`,
    got: 'a refusal',
    remedy: 'The backend has said why on the console; use another engine where it cannot run.',
  });
}
