/** A typed array that grows by doubling: the columns of a record batch while rows are added. No copy when it is read. */
type Numbers = Uint16Array | Uint32Array | Int32Array;

export class Column<A extends Numbers> {
  length = 0;

  constructor(private values: A) {}

  push(value: number): void {
    if (this.length === this.values.length) this.reserve(this.length + 1);
    this.values[this.length++] = value;
  }

  at(index: number): number {
    return this.values[index];
  }

  /** The values themselves, with room for so many more: whoever writes there sets `length`. */
  room(more: number): A {
    this.reserve(this.length + more);
    return this.values;
  }

  /** Move the values [start, end) so that they begin at `to`. */
  move(to: number, start: number, end: number): void {
    if (to !== start) this.values.copyWithin(to, start, end);
  }

  append(more: ArrayLike<number>): void {
    this.reserve(this.length + more.length);
    this.values.set(more, this.length);
    this.length += more.length;
  }

  /** The values so far, or some of them, as a view: it is overwritten once the column is cleared and filled again. */
  view(start = 0, end = this.length): A {
    return this.values.subarray(start, end) as A;
  }

  private reserve(wanted: number): void {
    if (wanted <= this.values.length) return;
    const grown = new (this.values.constructor as new (length: number) => A)(Math.max(wanted, 2 * this.values.length));
    grown.set(this.values.subarray(0, this.length));
    this.values = grown;
  }
}
