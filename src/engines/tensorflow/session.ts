/**
 * The variables and programs of a graph on the device, as a thread sees them that may be blocked: one call runs, feeds
 * are read where they lie, and every tensor that a call makes is gone when it ends, also when it fails.
 */
import type { Binding } from './binding.js';

export interface Feed {
  /** As the graph names it. */
  readonly tensor: string;
  readonly shape: readonly number[];
  /** In shared memory, or with a buffer of its own. */
  readonly values: Float32Array | Int32Array;
}

export interface Run {
  readonly feeds: readonly Feed[];
  /** Tensors that are wanted, each once; what they need runs. */
  readonly fetches: readonly string[];
}

export interface Ran {
  /** One a fetch. */
  readonly values: readonly (Float32Array | Int32Array | Uint8Array)[];
  /** In the library's call, and of the thread around it: tensors made, copied and deleted. */
  readonly callMs: number;
  readonly hostMs: number;
}

export class Session {
  readonly #binding: Binding;
  readonly #id: number;

  /** directory: of a SavedModel; not needed any more afterwards. */
  constructor(binding: Binding, directory: string) {
    this.#binding = binding;
    this.#id = binding.loadSavedModel(directory, 'serve');
  }

  /**
   * A failed run leaves references to its feeds inside the library: a few hundred bytes where they begin at multiples
   * of 64 bytes, as the planes of a ring do; else copies of their own.
   */
  run({ feeds, fetches }: Run): Ran {
    const binding = this.#binding;
    const start = performance.now();
    const tensors: number[] = [];
    try {
      for (const { shape, values } of feeds) {
        const type = values instanceof Float32Array ? binding.TF_FLOAT : binding.TF_INT32;
        tensors.push(binding.createTensor(shape, type, values));
      }
      const names = feeds.map(({ tensor }) => tensor).join(',');
      const before = performance.now();
      const results = binding.runSavedModel(this.#id, tensors, names, fetches.join(','));
      const callMs = performance.now() - before;
      for (const { id } of results) tensors.push(id);
      const values = results.map(({ id }) => binding.tensorDataSync(id));
      return { values, callMs, hostMs: performance.now() - start - callMs };
    } finally {
      for (const tensor of tensors) binding.deleteTensor(tensor);
    }
  }

  close(): void {
    this.#binding.deleteSavedModel(this.#id);
  }
}

/** Buffers of arrays that do not lie in shared memory: what can be handed from thread to thread. */
export function memoryOf(arrays: readonly ArrayBufferView[]): ArrayBuffer[] {
  return arrays.flatMap(({ buffer }) => (buffer instanceof ArrayBuffer ? [buffer] : []));
}
