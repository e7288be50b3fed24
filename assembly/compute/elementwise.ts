/** Kernels that touch each element once, in units of UNIT_ELEMENTS. Every y may be an x: elements are read first. */
import { drop, firstRowOf } from './draws';
import {
  erf4, gelu4, geluOf, geluQuotient, geluRange, geluSlope4, geluSlopeOf, tanh4, tanhSlope4, tanhSlopeOf,
} from './math';
import { originOf } from './packing';
import { SCRATCH_GELU, SCRATCH_WORK } from './scratch';
import { firstUnit, UNIT_ELEMENTS, unitsOf } from './shares';

/** First element of a thread's share of `count`. */
// @ts-ignore: decorator
@inline
export function firstElement(count: i32, thread: i32, threads: i32): i32 {
  return min(count, firstUnit(unitsOf(count, UNIT_ELEMENTS), thread, threads) * UNIT_ELEMENTS);
}

/** from, to, count. */
export function copy(args: usize, thread: i32, threads: i32): void {
  const count = load<i32>(args, 8);
  const first = <usize>firstElement(count, thread, threads) << 2;
  const last = <usize>firstElement(count, thread + 1, threads) << 2;
  memory.copy(load<usize>(args, 4) + first, load<usize>(args, 0) + first, last - first);
}

/** to, count, value (f32). */
export function fill(args: usize, thread: i32, threads: i32): void {
  const to = load<usize>(args, 0);
  const count = load<i32>(args, 4);
  const value = load<f32>(args, 8);
  const last = firstElement(count, thread + 1, threads);
  let i = firstElement(count, thread, threads);
  const values = f32x4.splat(value);
  for (; i + 4 <= last; i += 4) v128.store(to + (<usize>i << 2), values);
  for (; i < last; i++) store<f32>(to + (<usize>i << 2), value);
}

/** x, y, sum, count. */
export function add(args: usize, thread: i32, threads: i32): void {
  const x = load<usize>(args, 0);
  const y = load<usize>(args, 4);
  const sum = load<usize>(args, 8);
  const count = load<i32>(args, 12);
  const last = firstElement(count, thread + 1, threads);
  let i = firstElement(count, thread, threads);
  for (; i + 4 <= last; i += 4) {
    const at = <usize>i << 2;
    v128.store(sum + at, f32x4.add(v128.load(x + at), v128.load(y + at)));
  }
  for (; i < last; i++) {
    const at = <usize>i << 2;
    store<f32>(sum + at, load<f32>(x + at) + load<f32>(y + at));
  }
}

/** x, y, count, factor (f32). */
export function scale(args: usize, thread: i32, threads: i32): void {
  const x = load<usize>(args, 0);
  const y = load<usize>(args, 4);
  const count = load<i32>(args, 8);
  const factor = load<f32>(args, 12);
  const last = firstElement(count, thread + 1, threads);
  let i = firstElement(count, thread, threads);
  for (; i + 4 <= last; i += 4) {
    const at = <usize>i << 2;
    v128.store(y + at, f32x4.mul(v128.load(x + at), f32x4.splat(factor)));
  }
  for (; i < last; i++) {
    const at = <usize>i << 2;
    store<f32>(y + at, load<f32>(x + at) * factor);
  }
}

/** dy, pre, dPre, y, count, activation (1 gelu, 2 tanh): dPre = dy · activation′(pre), y = activation(pre). */
export function activationGradient(args: usize, thread: i32, threads: i32, scratch: usize): void {
  const dy = load<usize>(args, 0);
  const pre = load<usize>(args, 4);
  const dPre = load<usize>(args, 8);
  const y = load<usize>(args, 12);
  const count = load<i32>(args, 16);
  const isGelu = load<i32>(args, 20) == 1;
  const table = scratch + SCRATCH_GELU;
  const last = firstElement(count, thread + 1, threads);
  let i = firstElement(count, thread, threads);
  if (isGelu) {
    for (; i + 8 <= last; i += 8) {
      const at = <usize>i << 2;
      const low = v128.load(pre + at);
      const high = v128.load(pre + at, 16);
      const t0 = geluRange(low, table);
      const t1 = geluRange(high, table);
      const s0 = f32x4.mul(t0, t0);
      const s1 = f32x4.mul(t1, t1);
      const q0 = geluQuotient(t0, s0, table);
      const q1 = geluQuotient(t1, s1, table);
      const d0 = f32x4.mul(v128.load(dy + at), geluSlopeOf(s0, q0, table));
      const d1 = f32x4.mul(v128.load(dy + at, 16), geluSlopeOf(s1, q1, table));
      v128.store(dPre + at, d0);
      v128.store(dPre + at, d1, 16);
      const y0 = geluOf(low, s0, q0, table);
      const y1 = geluOf(high, s1, q1, table);
      v128.store(y + at, y0);
      v128.store(y + at, y1, 16);
    }
  } else {
    for (; i + 8 <= last; i += 8) {
      const at = <usize>i << 2;
      const low = tanh4(v128.load(pre + at));
      const high = tanh4(v128.load(pre + at, 16));
      const d0 = f32x4.mul(v128.load(dy + at), tanhSlopeOf(low));
      const d1 = f32x4.mul(v128.load(dy + at, 16), tanhSlopeOf(high));
      v128.store(dPre + at, d0);
      v128.store(dPre + at, d1, 16);
      v128.store(y + at, low);
      v128.store(y + at, high, 16);
    }
  }
  for (; i < last; i++) {
    const at = <usize>i << 2;
    const x = f32x4.splat(load<f32>(pre + at));
    store<f32>(dPre + at, load<f32>(dy + at) * f32x4.extract_lane(isGelu ? geluSlope4(x, table) : tanhSlope4(x), 0));
    store<f32>(y + at, f32x4.extract_lane(isGelu ? gelu4(x, table) : tanh4(x), 0));
  }
}

/** x, y, count: y = erf(x). */
export function erf(args: usize, thread: i32, threads: i32): void {
  const x = load<usize>(args, 0);
  const y = load<usize>(args, 4);
  const count = load<i32>(args, 8);
  const last = firstElement(count, thread + 1, threads);
  let i = firstElement(count, thread, threads);
  for (; i + 4 <= last; i += 4) {
    const at = <usize>i << 2;
    v128.store(y + at, erf4(v128.load(x + at)));
  }
  for (; i < last; i++) {
    const at = <usize>i << 2;
    store<f32>(y + at, f32x4.extract_lane(erf4(f32x4.splat(load<f32>(x + at))), 0));
  }
}

/** x, y, count, elements a row of the batch, draw, stream, threshold (> 0), scale (f32), origins or 0, width of a place. */
export function dropout(args: usize, thread: i32, threads: i32, scratch: usize): void {
  const x = load<usize>(args, 0);
  const y = load<usize>(args, 4);
  const count = load<i32>(args, 8);
  const draw = load<usize>(args, 16);
  const stream = load<u32>(args, 20);
  const threshold = load<i32>(args, 24);
  const factor = load<f32>(args, 28);
  const origins = load<usize>(args, 32);
  const width = load<i32>(args, 36);
  const start = firstRowOf(draw) * <u64>load<i32>(args, 12);
  const last = firstElement(count, thread + 1, threads);
  let i = firstElement(count, thread, threads);
  while (i < last) {
    // As far as decisions follow each other: everything, or to the end of a packed row.
    const row = origins == 0 ? 0 : i / width;
    const end = origins == 0 ? last : min(last, (row + 1) * width);
    const index = start + <u64>originOf(origins, row) * <u64>width + <u64>(i - row * width);
    const at = <usize>i << 2;
    drop(x + at, y + at, end - i, draw, stream, index, threshold, factor, scratch + SCRATCH_WORK);
    i = end;
  }
}
