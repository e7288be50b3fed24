/**
 * How the tokens of a task come to the main thread: in shared memory that the worker packs and the main thread gives back when
 * it has taken them out. Arrays that were moved or copied instead would be new memory for every task, and garbage soon after.
 */
import type { TokenBlock } from '../dataset/block.js';
import type { Manifest } from '../dataset/manifest.js';

/** What is sent: the memory, and how long the arrays in it are, in the order of `arraysOf`. */
export interface Crate {
  memory: SharedArrayBuffer;
  lengths: number[];
}

export interface Packed {
  block: TokenBlock;
  /** Count of every piece, by id. */
  pieces: Uint32Array;
}

/** The memory begins with a flag, an int32: whether the main thread has it. */
const headBytes = 8;
const away = 1;

/** The crates of one worker: as many as were ever on their way at once. */
export class CrateStore {
  private readonly memories: SharedArrayBuffer[] = [];

  pack(packed: Packed): Crate {
    const arrays = arraysOf(packed);
    const memory = this.take(headBytes + arrays.reduce((sum, array) => sum + roomOf(array), 0));
    let at = headBytes;
    for (const array of arrays) {
      new Uint8Array(memory, at, array.byteLength).set(
        new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
      );
      at += roomOf(array);
    }
    return { memory, lengths: arrays.map(({ length }) => length) };
  }

  /** A memory that is here, large enough; one that is too small is replaced. */
  private take(bytes: number): SharedArrayBuffer {
    let index = this.memories.findIndex((memory) => Atomics.load(new Int32Array(memory, 0, 1), 0) !== away);
    if (index < 0) index = this.memories.length;
    const found = this.memories[index];
    const memory = found && found.byteLength >= bytes ? found : new SharedArrayBuffer(Math.ceil(1.25 * bytes));
    this.memories[index] = memory;
    Atomics.store(new Int32Array(memory, 0, 1), 0, away);
    return memory;
  }
}

/** Views into the crate, valid until it is given back. */
export function unpack({ memory, lengths }: Crate, idType: Manifest['idType']): Packed {
  let at = headBytes;
  const next = <A extends ArrayBufferView>(array: A): A => {
    at += roomOf(array);
    return array;
  };
  const [bytes, lines, borders, pieces, ids] = lengths;
  const textBytes = next(new Float64Array(memory, at, bytes));
  const lineEnds = next(new Uint32Array(memory, at, lines));
  const block = { lineEnds, borders: next(new Uint32Array(memory, at, borders)), ...(bytes > 0 && { textBytes }) };
  const counts = next(new Uint32Array(memory, at, pieces));
  const tokens = idType === 'uint16' ? new Uint16Array(memory, at, ids) : new Uint32Array(memory, at, ids);
  return { block: { ...block, ids: tokens }, pieces: counts };
}

export function giveBack({ memory }: Crate): void {
  Atomics.store(new Int32Array(memory, 0, 1), 0, 0);
}

const noBytes = new Float64Array(0);

function arraysOf({ block, pieces }: Packed): (Float64Array | Uint32Array | Uint16Array)[] {
  const { ids, lineEnds, borders, textBytes = noBytes } = block;
  return [textBytes, lineEnds, borders, pieces, ids];
}

/** Arrays begin at multiples of 8 bytes. */
const roomOf = ({ byteLength }: ArrayBufferView) => Math.ceil(byteLength / 8) * 8;
