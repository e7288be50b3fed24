/**
 * Writes the tape of one program: entries of int32 words, and a barrier before an entry only where it touches memory
 * that an entry since the last barrier has written, or writes what one has read. Entries of thread 0 alone follow each
 * other without one.
 *
 * Temporaries (packed matrices, partial sums) come from a ring, so that one operation's working memory is not the
 * next one's and they need not wait for each other; what a ring hands out again is a hazard like any other.
 *
 * Arguments that depend on how many rows of a batch are real are left open: the entry that counts them writes them onto
 * the tape, by a list that stands behind the last entry.
 */
import { EntryBit, Opcode, TapeLayout } from '../../../assembly/compute/opcodes.js';
import type { PackedRows } from './packing.js';

/** A run of bytes in the module's memory. */
export interface Place {
  readonly address: number;
  readonly bytes: number;
}

/** No memory: how a kernel is told that an input is absent. */
export const absent: Place = { address: 0, bytes: 0 };

export type Argument =
  | number
  | { readonly float32: number }
  | { readonly float64: number }
  | { readonly place: Place; readonly isRead: boolean; readonly isWritten: boolean }
  | PackedCount;

/** Packed rows times a number. */
export interface PackedCount {
  readonly packed: PackedRows;
  readonly times: number;
}

export function reads(place: Place): Argument {
  return { place, isRead: true, isWritten: false };
}

export function writes(place: Place): Argument {
  return { place, isRead: false, isWritten: true };
}

export function updates(place: Place): Argument {
  return { place, isRead: true, isWritten: true };
}

interface Access {
  readonly place: Place;
  readonly isWritten: boolean;
  readonly isSole: boolean;
}

/** Memory that temporaries are taken from in turn. */
export interface Ring {
  readonly address: number;
  readonly bytes: number;
}

export class TapeWriter {
  readonly #words: number[] = new Array(TapeLayout.HeaderWords).fill(0);
  readonly #ring: Ring;
  readonly #bits = new DataView(new ArrayBuffer(8));
  #ringUsed = 0;
  #sinceBarrier: Access[] = [];
  #packed = new Map<string, Place>();
  readonly #packings = new Map<PackedRows, { args: number; patches: number[] }>();
  /** Number of the operation that entries belong to. */
  operation = 0;
  /** Bytes of all temporaries and of the largest, for whoever sizes the ring. */
  temporaryBytes = 0;
  largestTemporary = 0;
  /** Bytes of a thread's own scratch that some kernel needs. */
  scratchBytes = 0;
  barriers = 0;

  constructor(ring: Ring) {
    this.#ring = ring;
  }

  put(opcode: Opcode, args: readonly Argument[], sole: 'sole' | 'team' = 'team'): void {
    const isSole = sole === 'sole';
    const accesses = args.flatMap((argument) => accessOf(argument, isSole));
    let head: number = opcode;
    if (isSole) head |= EntryBit.Sole;
    if (this.#sinceBarrier.some((earlier) => accesses.some((later) => collide(earlier, later)))) {
      head |= EntryBit.Barrier;
      this.barriers++;
      this.#sinceBarrier = [];
    }
    this.#sinceBarrier.push(...accesses);
    const start = this.#words.length;
    this.#words.push(head, 0, this.operation, 0);
    for (const argument of args) {
      if (typeof argument === 'object' && 'packed' in argument) this.#leaveOpen(argument);
      this.#words.push(...this.#wordsOf(argument));
    }
    this.#words[start + 1] = this.#words.length - start;
  }

  /** Counts the real rows of a batch, before anything that depends on their number. */
  pack(packed: PackedRows, lengths: Place): void {
    const { rows, places, segments } = packed.packing;
    this.#packings.set(packed, { args: this.#words.length + TapeLayout.EntryHeaderWords, patches: [] });
    const args = [reads(lengths), writes(packed.firsts), writes(packed.origins), rows, places, segments, 0, 0];
    this.put(Opcode.PackPlaces, args, 'sole');
  }

  #leaveOpen({ packed, times }: PackedCount): void {
    const { args, patches } = this.#packings.get(packed)!;
    patches.push(this.#words.length - args, times);
  }

  /** Working memory until the ring comes round again. */
  temporary(bytes: number): Place {
    const rounded = Math.ceil(bytes / 64) * 64;
    this.temporaryBytes += rounded;
    this.largestTemporary = Math.max(this.largestTemporary, rounded);
    if (this.#ringUsed + rounded > this.#ring.bytes) this.#ringUsed = 0;
    const place = { address: this.#ring.address + this.#ringUsed, bytes: rounded };
    this.#ringUsed += rounded;
    for (const [key, other] of this.#packed) if (overlap(other, place)) this.#packed.delete(key);
    return place;
  }

  /** A temporary that holds the same as long as its key says, so it is filled once however many read it. */
  once(key: string, bytes: number, fill: (place: Place) => void): Place {
    const known = this.#packed.get(key);
    if (known) return known;
    const place = this.temporary(bytes);
    fill(place);
    this.#packed.set(key, place);
    return place;
  }

  needScratch(bytes: number): void {
    this.scratchBytes = Math.max(this.scratchBytes, bytes);
  }

  finish(): Int32Array {
    this.#words[0] = this.#words.length;
    for (const { args, patches } of this.#packings.values()) {
      this.#words[args + 6] = this.#words.length - args;
      this.#words[args + 7] = patches.length / 2;
      this.#words.push(...patches);
    }
    return Int32Array.from(this.#words);
  }

  #wordsOf(argument: Argument): number[] {
    if (typeof argument === 'number') return [argument | 0];
    if ('place' in argument) return [argument.place.address | 0];
    if ('packed' in argument) return [0];
    if ('float32' in argument) {
      this.#bits.setFloat32(0, argument.float32, true);
      return [this.#bits.getInt32(0, true)];
    }
    this.#bits.setFloat64(0, argument.float64, true);
    return [this.#bits.getInt32(0, true), this.#bits.getInt32(4, true)];
  }
}

function accessOf(argument: Argument, isSole: boolean): Access[] {
  if (typeof argument === 'number') return [];
  if ('packed' in argument) return [{ place: argument.packed.firsts, isWritten: false, isSole }];
  if (!('place' in argument) || argument.place.bytes === 0) return [];
  return [{ place: argument.place, isWritten: argument.isWritten, isSole }];
}

function overlap(a: Place, b: Place): boolean {
  return a.address < b.address + b.bytes && b.address < a.address + a.bytes;
}

function collide(earlier: Access, later: Access): boolean {
  if (earlier.isSole && later.isSole) return false;
  return (earlier.isWritten || later.isWritten) && overlap(earlier.place, later.place);
}
