/** The batch kernels over 4 MiB of memory, for tests that lay it out themselves; every test file has its own. */
import { compileKernels, instantiateKernels } from '../../src/batching/kernels.js';

export const memory = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
export const words = new Int32Array(memory.buffer);
export const kernels = instantiateKernels(await compileKernels(), memory);
