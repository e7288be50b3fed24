/**
 * The eager engine: the same programs, one operation of TensorFlow.js at a time, on any backend that it has. The slow,
 * independent check of the others, the baseline of benches, and an engine for a page.
 *
 * On the wasm backend equal inputs give equal bits: its kernels run on one thread, in one order.
 */
import { version_core } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine.js';
import { checkOptions } from '../options.js';
import { mostWasmBytes, openBackend } from './backend.js';
import { TfjsRuntime } from './runtime.js';

export interface TfjsOptions {
  /** `wasm`, or the name under which a backend has been registered with TensorFlow.js. */
  backend?: string;
}

export function createTfjsEngine({ backend = 'wasm' }: TfjsOptions = {}): Engine {
  const isWasm = backend === 'wasm';
  const engine: Engine = {
    name: 'tfjs',
    capabilities: {
      precisions: ['float32'],
      deterministic: isWasm ? 'always' : 'never',
      exactDraws: true,
      maxBytes: isWasm ? mostWasmBytes : Number.MAX_SAFE_INTEGER,
    },
    async load(programs, options = {}) {
      checkOptions(engine, options);
      return new TfjsRuntime(`tfjs ${version_core} ${backend}`, await openBackend(backend), programs);
    },
  };
  return engine;
}

export const tfjsEngine: Engine = createTfjsEngine();
