/**
 * What TensorFlow is told before its library is loaded: it reads environment variables only, once a process, and has
 * one pool of threads for all sessions. So the first load decides, and another wish later is an error.
 *
 * Variables that the user has set win. They are set on the main thread: what a worker thread writes into its
 * process.env does not reach the library.
 */
import os from 'node:os';
import { GalvaniError } from '../../errors.js';
import type { Device } from './binding.js';

export interface ProcessSettings {
  /** Default: what the machine has, or what the process has already. */
  readonly threads?: number;
  readonly deterministic?: boolean;
  readonly device: Device;
}

/** What the library was loaded with; undefined before that. Threads are undefined where the user's variable decides. */
let decided: { threads: number | undefined; deterministic: boolean } | undefined;

/**
 * Gives the threads that the library computes with, or will.
 * @throws GalvaniError when it is loaded already with other settings.
 */
export function prepareEnvironment({ threads, deterministic = false, device }: ProcessSettings): number {
  if (decided === undefined) {
    const most = threads ?? os.availableParallelism();
    const isFree = process.env.TF_NUM_INTRAOP_THREADS === undefined;
    decided = { threads: isFree ? most : undefined, deterministic };
    // 2 leaves errors; two lines of oneDNN are written before the library reads it.
    propose('TF_CPP_MIN_LOG_LEVEL', '2');
    propose('TF_NUM_INTRAOP_THREADS', `${most}`);
    propose('TF_NUM_INTEROP_THREADS', `${most}`);
    propose('TF_FORCE_GPU_ALLOW_GROWTH', 'true');
    if (device === 'cpu') {
      // Keeps what a step used for the next, where malloc gives it back to the system: 7 % of a step of Small.
      propose('TF_CPU_ALLOCATOR_USE_BFC', 'true');
      propose('TF_CPU_BFC_MEM_LIMIT_IN_MB', `${Math.ceil(hostBytes() / 2 ** 20)}`);
    }
    // CPU kernels do not look at it; those of the GPU choose slower forms, or refuse where they have none.
    if (deterministic && device === 'gpu') propose('TF_DETERMINISTIC_OPS', '1');
  }
  if (threads !== undefined && threads !== (decided.threads ?? threads)) {
    throw decidedBefore(`${decided.threads} threads`, `${threads}`);
  }
  if (deterministic && !decided.deterministic && device === 'gpu') {
    throw decidedBefore('kernels as fast as can be', 'deterministic ones');
  }
  return Number(process.env.TF_NUM_INTRAOP_THREADS);
}

/** What this process may take of the machine's memory. */
export function hostBytes(): number {
  return Math.min(os.totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
}

function propose(name: string, value: string): void {
  process.env[name] ??= value;
}

function decidedBefore(expected: string, got: string): GalvaniError {
  return new GalvaniError({
    stage: 'tensorflow',
    expected: `${expected}, as the library was first loaded with in this process`,
    got,
    remedy: 'TensorFlow reads these settings once a process: ask for the same ones, or start another process.',
    kind: 'wrongUse',
  });
}
