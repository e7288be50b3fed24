/**
 * Pairs of whole numbers, numbered from 0 in the order they were added: a hash table in flat arrays, found by linear probing,
 * at most half full. A Map holds 2²⁴ pairs, and takes several times the memory. Arrays of the caller's that go by the number of
 * a pair are doubled by `widened` as they are needed.
 */
export class PairTable {
  size = 0;
  /** By number; longer than `size`. */
  firsts = new Int32Array(1 << 12);
  seconds = new Int32Array(1 << 12);
  /** Number + 1; 0 = free. */
  #slots = new Int32Array(1 << 13);

  /** The pair's number, −1 where it is not there. */
  find(first: number, second: number): number {
    return this.#slots[this.#slotOf(first, second)] - 1;
  }

  findOrAdd(first: number, second: number): number {
    const known = this.find(first, second);
    if (known >= 0) return known;
    if (this.size === this.firsts.length) this.#grow();
    const added = this.size++;
    this.firsts[added] = first;
    this.seconds[added] = second;
    this.#slots[this.#slotOf(first, second)] = added + 1;
    return added;
  }

  #slotOf(first: number, second: number): number {
    const mask = this.#slots.length - 1;
    const mixed = Math.imul(first ^ Math.imul(second, 0x85ebca6b), 0x9e3779b1);
    for (let slot = (mixed ^ (mixed >>> 15)) & mask; ; slot = (slot + 1) & mask) {
      const there = this.#slots[slot] - 1;
      if (there < 0 || (this.firsts[there] === first && this.seconds[there] === second)) return slot;
    }
  }

  #grow(): void {
    this.firsts = widened(this.firsts);
    this.seconds = widened(this.seconds);
    this.#slots = new Int32Array(2 * this.#slots.length);
    for (let pair = 0; pair < this.size; pair++) {
      this.#slots[this.#slotOf(this.firsts[pair], this.seconds[pair])] = pair + 1;
    }
  }
}

/** The array with as many zeros behind it. */
export function widened<A extends Int32Array | Float64Array | Uint8Array>(array: A): A {
  const copy = new (array.constructor as new (length: number) => A)(2 * array.length);
  copy.set(array);
  return copy;
}
