/**
 * The kernels of the project among those of the wasm backend: for what it lacks (sums by segments, the output layer's
 * cross-entropy) and what it does slowly (products that are transposed or in batches, erf).
 *
 * They are registered under a backend name of their own that stands for the very same backend: whoever uses `wasm` keeps
 * its kernels as they are, and both can be used in turn, which is how the bench compares them.
 */
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import {
  copyRegisteredKernels,
  getKernel,
  registerBackend,
  registerKernel,
  unregisterKernel,
} from '@tensorflow/tfjs-core';
import { batchMatMul } from './batchMatMul.js';
import { erf } from './erf.js';
import { ownBackendName } from './kernel.js';
import { maskedLmHead, maskedLmHeadGradient } from './maskedLmHead.js';
import { TapeRunner } from './tapeRunner.js';
import { unsortedSegmentSum } from './unsortedSegmentSum.js';

/** Registers the wasm backend a second time, with the project's kernels; once a process. */
export function registerOwnBackend(backend: BackendWasm, module: WebAssembly.Module): void {
  const runner = new TapeRunner(backend, module);
  copyRegisteredKernels('wasm', ownBackendName);
  for (const create of [batchMatMul, unsortedSegmentSum, erf, maskedLmHead, maskedLmHeadGradient]) {
    const kernel = { ...create(runner, backend), backendName: ownBackendName };
    if (getKernel(kernel.kernelName, ownBackendName)) unregisterKernel(kernel.kernelName, ownBackendName);
    registerKernel(kernel);
  }
  // Priority 0: it is used by name alone, and never in place of another.
  registerBackend(ownBackendName, () => backend, 0);
}
