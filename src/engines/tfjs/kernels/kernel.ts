/** What a kernel of this folder is, and the name of the backend that has them. */
import type { KernelConfig } from '@tensorflow/tfjs-core';

export type Kernel = Pick<KernelConfig, 'kernelName' | 'kernelFunc'>;

/** No underscore: tfjs takes the name of a kernel's backend to end there. */
export const ownBackendName = 'galvani-wasm';
