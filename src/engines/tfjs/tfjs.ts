/**
 * The eager engine: the same programs, one operation of TensorFlow.js at a time, on any backend that it has. The slow,
 * independent check of the others, the baseline of benches, and an engine for a page.
 *
 * On the wasm backend equal inputs give equal bits: its kernels run on one thread, in one order.
 */
import { version_core } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine.js';
import { checkOptions } from '../options.js';
import { mostBytes } from '../wasm/layout.js';
import { openBackend } from './backend.js';
import { TfjsRuntime } from './runtime.js';

export interface TfjsOptions {
  /** `wasm`, or the name of a backend that is registered with TensorFlow.js and can be read synchronously. */
  backend?: string;
  /** The project's kernels beside those of the wasm backend. Default: true; other backends have none. */
  kernels?: boolean;
}

export function createTfjsEngine({ backend = 'wasm', kernels = true }: TfjsOptions = {}): Engine {
  const isWasm = backend === 'wasm';
  const engine: Engine = {
    name: kernels ? 'tfjs' : 'tfjs-plain',
    capabilities: {
      precisions: ['float32'],
      mostThreads: 1,
      deterministic: isWasm ? 'always' : 'never',
      checksFinite: false,
      exactDraws: true,
      maxBytes: isWasm ? mostBytes : Number.MAX_SAFE_INTEGER,
    },
    async load(programs, options = {}) {
      checkOptions(engine, options);
      const opened = await openBackend(backend, kernels);
      return new TfjsRuntime(`tfjs ${version_core} ${opened.build}`, opened, programs);
    },
  };
  return engine;
}

export const tfjsEngine: Engine = createTfjsEngine();

/** TensorFlow.js as it is published: what the project's kernels are measured against. */
export const plainTfjsEngine: Engine = createTfjsEngine({ kernels: false });
