/**
 * Runs kernels of assembly/compute over the memory of the wasm backend: what a team of the wasm engine reads from a tape,
 * one thread walks here for one operation, over tensors that stay where they are. Temporaries and scratch are allocated by
 * the backend for the length of a walk.
 *
 * Kernels read up to 28 bytes beyond a tensor and store nothing there; the backend's allocator keeps more than that
 * between its last block and the end of memory.
 */
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { GalvaniError } from '../../../errors.js';
import { importsOf } from '../../wasm/imports.js';
import { scratchHeadBytes } from '../../wasm/layout.js';
import type { TensorPlace } from '../../wasm/operationCall.js';
import { TapeWriter } from '../../wasm/tapeWriter.js';
import { moduleOf } from '../wasmModule.js';

type Walk = (tape: number, control: number, thread: number, threads: number, spins: number, scratch: number) => void;

export class TapeRunner {
  readonly #backend: BackendWasm;
  readonly #walk: Walk;

  /** @throws GalvaniError where the backend's memory is shared by threads of its own. */
  constructor(backend: BackendWasm, module: WebAssembly.Module) {
    const { memory } = moduleOf(backend).asm;
    if (typeof SharedArrayBuffer !== 'undefined' && memory.buffer instanceof SharedArrayBuffer) throw sharedMemory();
    this.#backend = backend;
    this.#walk = new WebAssembly.Instance(module, importsOf(memory)).exports.walk as Walk;
  }

  /** Where a tensor lies. Its number names its contents only among the tensors of one walk. */
  place(tensor: TensorInfo): TensorPlace {
    const { id, memoryOffset, shape } = this.#backend.dataIdMap.get(tensor.dataId);
    const bytes = 4 * (shape as number[]).reduce((size: number, extent: number) => size * extent, 1);
    return { address: memoryOffset >>> 0, bytes, tensor: id };
  }

  /** Walks what `write` puts on a tape; without the memory for it, the outputs made for it are given back. */
  run(outputs: readonly TensorInfo[], write: (tape: TapeWriter) => void): void {
    try {
      this.#walkThrough(write);
    } catch (error) {
      for (const { dataId } of outputs) this.#backend.disposeData(dataId);
      throw error;
    }
  }

  /** Calls `write` twice, first to learn what memory it needs. */
  #walkThrough(write: (tape: TapeWriter) => void): void {
    const module = moduleOf(this.#backend);
    const measure = new TapeWriter({ address: 0, bytes: Number.POSITIVE_INFINITY });
    write(measure);
    const tapeBytes = roundUp(measure.finish().byteLength);
    const scratchBytes = roundUp(scratchHeadBytes + measure.scratchBytes);
    const block = module._malloc(tapeBytes + scratchBytes + measure.temporaryBytes) >>> 0;
    try {
      const scratch = block + tapeBytes;
      const tape = new TapeWriter({ address: scratch + scratchBytes, bytes: measure.temporaryBytes });
      write(tape);
      const words = tape.finish();
      new Int32Array(module.asm.memory.buffer, block, words.length).set(words);
      this.#walk(block, 0, 0, 1, 0, scratch);
    } finally {
      module._free(block);
    }
  }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}

function sharedMemory(): GalvaniError {
  return new GalvaniError({
    stage: 'tfjs',
    expected: 'the backend wasm with one thread',
    got: 'one with several, started by the page itself',
    remedy: 'Load the engine before anything else starts the backend, or use the engine tfjs-plain.',
    kind: 'wrongUse',
  });
}
