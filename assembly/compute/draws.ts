/**
 * Dropout decisions where they are used: drawn again in the backward pass, never stored.
 *
 * Decision i of a stream is half i & 1 (low half first) of word ⌊i / 2⌋, so a Philox block of 32 words holds the 64
 * decisions of a block of indices that begins at a multiple of 64. The last block stays in scratch, since neighbouring
 * rows (T = 16) often share one. draw: int32 [4] as src/ops/dropout.ts has it.
 */
import { philoxBlock } from '../philox';
import { SCRATCH_BLOCK, SCRATCH_WORDS } from './scratch';

/** Scratch that holds no block yet: this number is beyond all that indices reach. */
export function forgetDecisions(scratch: usize): void {
  store<u64>(scratch + SCRATCH_BLOCK, u64.MAX_VALUE);
}

/** Makes scratch hold the decisions [64 · block, 64 · block + 64). */
export function drawDecisions(draw: usize, stream: u32, block: u64, scratch: usize): void {
  const seedLow = load<u32>(draw);
  const seedHigh = load<u32>(draw, 4);
  const step = load<u32>(draw, 8);
  const known = scratch + SCRATCH_BLOCK;
  if (
    load<u64>(known) == block &&
    load<u32>(known, 8) == step &&
    load<u32>(known, 12) == stream &&
    load<u32>(known, 16) == seedLow &&
    load<u32>(known, 20) == seedHigh
  ) {
    return;
  }
  philoxBlock(scratch + SCRATCH_WORDS, seedLow, seedHigh, block << 3, step, stream);
  store<u64>(known, block);
  store<u32>(known, step, 8);
  store<u32>(known, stream, 12);
  store<u32>(known, seedLow, 16);
  store<u32>(known, seedHigh, 20);
}

/** First row of this part of the batch, by which indices over the whole batch begin. */
// @ts-ignore: decorator
@inline
export function firstRowOf(draw: usize): u64 {
  return <u64>load<u32>(draw, 12);
}

/** y = x · keep · scale over `count` floats whose decisions begin at `first`; a decision below threshold drops. y may be x. */
export function drop(
  x: usize, y: usize, count: i32, draw: usize, stream: u32, first: u64, threshold: i32, scale: f32, scratch: usize,
): void {
  const words = scratch + SCRATCH_WORDS;
  const limit = i16x8.splat(<i16>threshold);
  const factor = f32x4.splat(scale);
  let i = 0;
  while (i < count) {
    const index = first + <u64>i;
    const inBlock = <i32>(index & 63);
    drawDecisions(draw, stream, index >> 6, scratch);
    const end = min(count, i + 64 - inBlock);
    let decision = words + (<usize>inBlock << 1);
    while (i < end) {
      const at = <usize>i << 2;
      if (i + 8 <= end) {
        const dropped = i16x8.lt_u(v128.load(decision), limit);
        const low = f32x4.mul(v128.load(x + at), factor);
        const high = f32x4.mul(v128.load(x + at, 16), factor);
        v128.store(y + at, v128.andnot(low, i32x4.extend_low_i16x8_s(dropped)));
        v128.store(y + at, v128.andnot(high, i32x4.extend_high_i16x8_s(dropped)), 16);
        decision += 16;
        i += 8;
      } else {
        store<f32>(y + at, <i32>load<u16>(decision) < threshold ? 0 : load<f32>(x + at) * scale);
        decision += 2;
        i++;
      }
    }
  }
}

/**
 * The decisions [first, first + count) at out, 16 bits each, with up to 63 others on either side of them. Returns where
 * the first stands. They come 64 at a time, and none of scratch.
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
