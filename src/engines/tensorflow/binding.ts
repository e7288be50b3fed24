/**
 * Where the native binding to TensorFlow is, and opening it. Of `@tensorflow/tfjs-node-gpu` and `@tensorflow/tfjs-node`
 * only `tfjs_binding.node` is loaded, never the package's JavaScript: it does not run on Node 23 and newer.
 *
 * Looked for beside the project, then from the working directory upwards, then where the setup puts it; the package for
 * GPUs before the other one in each. The first that is built is taken. Nothing is chosen silently: what cannot be opened
 * is an error that says how to get it and what runs without it.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { cacheFolder } from '../../cacheFolder.js';
import { GalvaniError } from '../../errors.js';

/** Of the library that the setup installs. */
export const tensorflowVersion = '2.21.0';

export type Device = 'cpu' | 'gpu';

export const packageNames: Readonly<Record<Device, string>> = {
  gpu: '@tensorflow/tfjs-node-gpu',
  cpu: '@tensorflow/tfjs-node',
};

/** A place where a package may be. */
export interface Candidate {
  /** What its library was built for; that there is such a device shows when it is opened. */
  readonly device: Device;
  readonly packageName: string;
  /** Of the package; where it would be if it is not there. */
  readonly directory: string;
  /** The native binding. */
  readonly binding: string;
  readonly state: 'absent' | 'not built' | 'built';
}

/** What the binding exports, as far as it is used. Tensors and sessions are numbers and belong to the thread. */
export interface Binding {
  readonly TF_Version: string;
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  isUsingGpuDevice(): boolean;
  /** Takes the array's memory as it is where that begins at a multiple of 64 bytes, else copies it. */
  createTensor(shape: readonly number[], dtype: number, values: Float32Array | Int32Array): number;
  deleteTensor(tensor: number): void;
  /** A copy. */
  tensorDataSync(tensor: number): Float32Array | Int32Array | Uint8Array;
  loadSavedModel(directory: string, tags: string): number;
  deleteSavedModel(session: number): void;
  /** Names separated by commas, one a tensor. Blocks the thread until all outputs are there. */
  runSavedModel(session: number, inputs: readonly number[], inputNames: string, outputNames: string): { id: number }[];
  /** Tensors that were not deleted. */
  getNumOfTensors(): number;
}

/** Folder that the setup fills for a device: `node_modules/` with the package and `python/` with the library. */
export function setupFolder(device: Device): string {
  return cacheFolder(`tensorflow-${tensorflowVersion}-${device}`);
}

/** All places in the order in which they are looked at. */
export function findCandidates(): Candidate[] {
  const places = [import.meta.url, path.join(process.cwd(), 'package.json')];
  const candidates = places.flatMap((place) => [resolved(place, 'gpu'), resolved(place, 'cpu')]);
  for (const device of ['gpu', 'cpu'] as const) {
    candidates.push(candidateAt(path.join(setupFolder(device), 'node_modules', packageNames[device]), device));
  }
  return candidates.filter(
    ({ directory }, i) => candidates.findIndex((earlier) => earlier.directory === directory) === i,
  );
}

/** The first candidate that is built. @throws GalvaniError when there is none. */
export function findBinding(): Candidate {
  const candidates = findCandidates();
  const built = candidates.find(({ state }) => state === 'built');
  if (built) return built;
  const unbuilt = candidates.find(({ state }) => state === 'not built');
  if (unbuilt) throw missing(`the built binding of ${unbuilt.packageName}`, 'none', unbuilt.binding);
  throw missing(
    `${packageNames.cpu} or ${packageNames.gpu}`,
    'neither',
    candidates.map((one) => one.directory).join(', '),
  );
}

/**
 * RTLD_NODELETE of glibc and of macOS. A thread that ends unloads what it loaded; of this library functions are called
 * when the process ends, so that it would end in a segmentation fault.
 */
const keepLoaded = process.platform === 'darwin' ? 0x80 : 0x1000;

/**
 * Loads the library into the process, for good, and the binding into this thread.
 * @throws GalvaniError when the library is missing or another one than the binding was built with, or has no GPU to use.
 */
export function openBinding({ binding: file, device }: Candidate): Binding {
  const opened = { exports: {} as Binding };
  let isGpu: boolean;
  try {
    // A function that the library lacks is an error now; found missing when it is called, it would end the process.
    process.dlopen(opened, file, os.constants.dlopen.RTLD_NOW | keepLoaded);
    isGpu = opened.exports.isUsingGpuDevice();
  } catch (cause) {
    const got = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw missing('a binding with the library that it was built with', got, file, cause);
  }
  if (device === 'gpu' && !isGpu && !['', '-1'].includes(process.env.CUDA_VISIBLE_DEVICES ?? '0')) {
    throw missing(
      'a GPU that CUDA can use',
      'none; set CUDA_VISIBLE_DEVICES=-1 to compute on the CPU on purpose',
      file,
    );
  }
  return opened.exports;
}

/** As Node resolves it from a file; a package that is not found would be in the nearest node_modules. */
function resolved(place: string, device: Device): Candidate {
  const from = createRequire(place);
  const name = packageNames[device];
  try {
    return candidateAt(path.dirname(from.resolve(`${name}/package.json`)), device);
  } catch {
    const nearest = from.resolve.paths(name)?.find((folder) => existsSync(folder));
    return candidateAt(path.join(nearest ?? 'node_modules', name), device);
  }
}

function candidateAt(directory: string, device: Device): Candidate {
  const binding = path.join(directory, 'lib', 'napi-v8', 'tfjs_binding.node');
  const state = existsSync(binding)
    ? 'built'
    : existsSync(path.join(directory, 'package.json'))
      ? 'not built'
      : 'absent';
  return { device, packageName: packageNames[device], directory, binding, state };
}

/** What hinders an engine that was asked for, with the way to it and around it. */
export function missing(expected: string, got: string, where: string, cause?: unknown): GalvaniError {
  return new GalvaniError({
    stage: 'tensorflow',
    expected,
    got,
    where,
    remedy:
      '"galvani doctor --engine tensorflow" says what is missing, "galvani setup tensorflow" installs it; --engine wasm needs nothing.',
    cause,
  });
}
