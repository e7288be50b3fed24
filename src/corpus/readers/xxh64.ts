/**
 * XXH64 with seed 0: what zstd frames carry as a checksum. 64-bit values are halves of 32 bits, which run at 0.6 GB/s.
 * Source: the specification in Cyan4973/xxHash, doc/xxhash_spec.md.
 */
// The five primes, as (high, low).
const p1h = 0x9e3779b1;
const p1l = 0x85ebca87;
const p2h = 0xc2b2ae3d;
const p2l = 0x27d4eb4f;
const p3h = 0x165667b1;
const p3l = 0x9e3779f9;
const p4h = 0x85ebca77;
const p4l = 0xc2b2ae63;
const p5h = 0x27d4eb2f;
const p5l = 0x165667c5;

const stripeBytes = 32;

/** High word of the product of two words. */
function mulHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  return (a1 * b1 + Math.floor(middle / 65536) + (a0 * b1 + (middle & 0xffff)) / 65536) | 0;
}

export class Xxh64 {
  /** The four accumulators, as (low, high). */
  private readonly lanes = new Int32Array(8);
  private readonly rest = new Uint8Array(stripeBytes);
  private restBytes = 0;
  private totalBytes = 0;
  // The value that the last operation gave.
  private high = 0;
  private low = 0;

  constructor() {
    this.set(0, 0);
    this.add(p1h, p1l);
    this.add(p2h, p2l);
    this.keep(0);
    this.set(p2h, p2l);
    this.keep(1);
    this.set(0, 0);
    this.keep(2);
    this.set(~p1h, ~p1l);
    this.add(0, 1);
    this.keep(3);
  }

  update(bytes: Uint8Array): void {
    this.totalBytes += bytes.length;
    let at = 0;
    if (this.restBytes > 0) {
      at = Math.min(stripeBytes - this.restBytes, bytes.length);
      this.rest.set(bytes.subarray(0, at), this.restBytes);
      this.restBytes += at;
      if (this.restBytes < stripeBytes) return;
      this.mixStripes(this.rest, 0, stripeBytes);
    }
    const end = bytes.length - ((bytes.length - at) % stripeBytes);
    this.mixStripes(bytes, at, end);
    this.rest.set(bytes.subarray(end));
    this.restBytes = bytes.length - end;
  }

  /** The low half of the hash: all that a zstd frame keeps. Nothing may be added after it. */
  low32(): number {
    if (this.totalBytes >= stripeBytes) this.converge();
    else this.set(p5h, p5l);
    this.add(Math.floor(this.totalBytes / 2 ** 32), this.totalBytes | 0);
    this.mixRest();
    this.avalanche();
    return this.low >>> 0;
  }

  private mixStripes(bytes: Uint8Array, begin: number, end: number): void {
    const { lanes } = this;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = begin; at < end; at += stripeBytes) {
      for (let lane = 0; lane < 4; lane++) {
        this.round(
          lanes[2 * lane + 1],
          lanes[2 * lane],
          view.getInt32(at + 8 * lane + 4, true),
          view.getInt32(at + 8 * lane, true),
        );
        this.keep(lane);
      }
    }
  }

  /** rotate(accumulator + word · p2, 31) · p1 */
  private round(accumulatorHigh: number, accumulatorLow: number, wordHigh: number, wordLow: number): void {
    this.set(wordHigh, wordLow);
    this.multiply(p2h, p2l);
    this.add(accumulatorHigh, accumulatorLow);
    this.rotate(31);
    this.multiply(p1h, p1l);
  }

  private converge(): void {
    const { lanes } = this;
    let high = 0;
    let low = 0;
    [1, 7, 12, 18].forEach((bits, lane) => {
      this.set(lanes[2 * lane + 1], lanes[2 * lane]);
      this.rotate(bits);
      this.add(high, low);
      high = this.high;
      low = this.low;
    });
    for (let lane = 0; lane < 4; lane++) {
      this.round(0, 0, lanes[2 * lane + 1], lanes[2 * lane]);
      this.set(this.high ^ high, this.low ^ low);
      this.multiply(p1h, p1l);
      this.add(p4h, p4l);
      high = this.high;
      low = this.low;
    }
  }

  private mixRest(): void {
    const { rest, restBytes } = this;
    const view = new DataView(rest.buffer);
    let at = 0;
    for (; at + 8 <= restBytes; at += 8) {
      const { high, low } = this;
      this.round(0, 0, view.getInt32(at + 4, true), view.getInt32(at, true));
      this.set(this.high ^ high, this.low ^ low);
      this.rotate(27);
      this.multiply(p1h, p1l);
      this.add(p4h, p4l);
    }
    for (; at + 4 <= restBytes; at += 4) {
      const { high, low } = this;
      this.set(0, view.getInt32(at, true));
      this.multiply(p1h, p1l);
      this.set(this.high ^ high, this.low ^ low);
      this.rotate(23);
      this.multiply(p2h, p2l);
      this.add(p3h, p3l);
    }
    for (; at < restBytes; at++) {
      const { high, low } = this;
      this.set(0, rest[at]);
      this.multiply(p5h, p5l);
      this.set(this.high ^ high, this.low ^ low);
      this.rotate(11);
      this.multiply(p1h, p1l);
    }
  }

  private avalanche(): void {
    this.set(this.high, this.low ^ (this.high >>> 1)); // 33
    this.multiply(p2h, p2l);
    this.set(this.high ^ (this.high >>> 29), this.low ^ ((this.low >>> 29) | (this.high << 3)));
    this.multiply(p3h, p3l);
    this.set(this.high, this.low ^ this.high); // 32
  }

  private set(high: number, low: number): void {
    this.high = high | 0;
    this.low = low | 0;
  }

  private keep(lane: number): void {
    this.lanes[2 * lane] = this.low;
    this.lanes[2 * lane + 1] = this.high;
  }

  private add(high: number, low: number): void {
    const sum = (this.low >>> 0) + (low >>> 0);
    this.high = (this.high + high + (sum > 0xffffffff ? 1 : 0)) | 0;
    this.low = sum | 0;
  }

  private rotate(bits: number): void {
    const { high, low } = this;
    this.high = (high << bits) | (low >>> (32 - bits));
    this.low = (low << bits) | (high >>> (32 - bits));
  }

  private multiply(high: number, low: number): void {
    this.high = (mulHigh(this.low, low) + Math.imul(this.low, high) + Math.imul(this.high, low)) | 0;
    this.low = Math.imul(this.low, low);
  }
}
