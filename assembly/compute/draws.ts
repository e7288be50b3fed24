/**
 * Dropout decisions where they are used: drawn again in the backward pass, never stored.
 *
 * Decision i of a stream is half i & 1 (low half first) of word ⌊i / 2⌋, so a Philox block of 32 words holds the 64
 * decisions of a block of indices that begins at a multiple of 64. draw: int32 [4] as
 * src/ops/dropout.ts has it.
 */
import { philoxBlock } from '../philox';
import { Block } from './opcodes';

/** First row of this part of the batch, by which indices over the whole batch begin. */
// @ts-ignore: decorator
@inline
export function firstRowOf(draw: usize): u64 {
  return <u64>load<u32>(draw, 12);
}

/**
 * The decisions [first, first + count) at out, 16 bits each, with up to 63 others on either side of them. Returns where
 * the first stands. They come 64 at a time.
 */
export function drawRow(draw: usize, stream: u32, first: u64, count: i32, out: usize): usize {
  const seedLow = load<u32>(draw);
  const seedHigh = load<u32>(draw, 4);
  const step = load<u32>(draw, 8);
  const at = out + (<usize>(first & 63) << 1);
  const end = at + (<usize>count << 1);
  let counter = first >> 6 << 3;
  for (; out < end; out += 128) {
    philoxBlock(out, seedLow, seedHigh, counter, step, stream);
    counter += 8;
  }
  return at;
}

/**
 * y = x · keep · scale over `count` floats whose decisions begin at `first`; a decision below threshold drops. y may be x.
 * drawn: memory for Block.Decisions and 126 of them.
 */
export function drop(
  x: usize, y: usize, count: i32, draw: usize, stream: u32, first: u64, threshold: i32, scale: f32, drawn: usize,
): void {
  const factor = f32x4.splat(scale);
  for (let i0 = 0; i0 < count; i0 += Block.Decisions) {
    const end = min<i32>(count, i0 + Block.Decisions);
    let decision = drawRow(draw, stream, first + <u64>i0, end - i0, drawn);
    let i = i0;
    for (; i + 8 <= end; i += 8) {
      const at = <usize>i << 2;
      const dropped = droppedOf(decision, threshold);
      const low = keepLow(v128.load(x + at), factor, dropped);
      const high = keepHigh(v128.load(x + at, 16), factor, dropped);
      v128.store(y + at, low);
      v128.store(y + at, high, 16);
      decision += 16;
    }
    for (; i < end; i++) {
      const at = <usize>i << 2;
      store<f32>(y + at, keepOne(load<f32>(x + at), scale, decision, threshold));
      decision += 2;
    }
  }
}

/** Of eight decisions those that drop, as masks of 16 bits. */
// @ts-ignore: decorator
@inline
export function droppedOf(decision: usize, threshold: i32): v128 {
  return i16x8.lt_u(v128.load(decision), i16x8.splat(<i16>threshold));
}

/** What the first four of eight decisions leave of x. */
// @ts-ignore: decorator
@inline
export function keepLow(x: v128, factor: v128, dropped: v128): v128 {
  return v128.andnot(f32x4.mul(x, factor), i32x4.extend_low_i16x8_s(dropped));
}

/** The same of the last four. */
// @ts-ignore: decorator
@inline
export function keepHigh(x: v128, factor: v128, dropped: v128): v128 {
  return v128.andnot(f32x4.mul(x, factor), i32x4.extend_high_i16x8_s(dropped));
}

// @ts-ignore: decorator
@inline
export function keepOne(x: f32, factor: f32, decision: usize, threshold: i32): f32 {
  return <i32>load<u16>(decision) < threshold ? 0 : x * factor;
}
