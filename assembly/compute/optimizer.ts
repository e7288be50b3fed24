/**
 * The end of a step: the norm over all gradients, the clipping factor, and AdamW.
 *
 * Squares are summed in float64, Block.Squares elements a partial sum, and the partial sums in order by one thread.
 */
import { firstElement } from './elementwise';
import { Block } from './opcodes';
import { firstUnit, unitsOf } from './shares';

/** x, count, partial sums (f64, one a unit). */
export function squares(args: usize, thread: i32, threads: i32): void {
  const count = load<i32>(args, 4);
  const units = unitsOf(count, Block.Squares);
  const last = firstUnit(units, thread + 1, threads);
  for (let unit = firstUnit(units, thread, threads); unit < last; unit++) {
    const end = min(count, (unit + 1) * Block.Squares);
    store<f64>(load<usize>(args, 8) + (<usize>unit << 3), sumOfSquares(load<usize>(args, 0), unit * Block.Squares, end));
  }
}

function sumOfSquares(x: usize, first: i32, end: i32): f64 {
  let s0 = f64x2.splat(0);
  let s1 = f64x2.splat(0);
  let s2 = f64x2.splat(0);
  let s3 = f64x2.splat(0);
  let i = first;
  for (; i + 8 <= end; i += 8) {
    const low = v128.load(x + (<usize>i << 2));
    const high = v128.load(x + (<usize>i << 2), 16);
    s0 = addSquares(s0, low);
    s1 = addSquares(s1, v128.shuffle<i32>(low, low, 2, 3, 2, 3));
    s2 = addSquares(s2, high);
    s3 = addSquares(s3, v128.shuffle<i32>(high, high, 2, 3, 2, 3));
  }
  const all = f64x2.add(f64x2.add(s0, s1), f64x2.add(s2, s3));
  let sum = f64x2.extract_lane(all, 0) + f64x2.extract_lane(all, 1);
  for (; i < end; i++) {
    const value = <f64>load<f32>(x + (<usize>i << 2));
    sum += value * value;
  }
  return sum;
}

/** sums + the squares of the first two lanes of x. */
// @ts-ignore: decorator
@inline
function addSquares(sums: v128, x: v128): v128 {
  const wide = f64x2.promote_low_f32x4(x);
  return f64x2.add(sums, f64x2.mul(wide, wide));
}

/** partial sums, their number, norm. By thread 0. */
export function norm(args: usize): void {
  const count = load<i32>(args, 4);
  let sum: f64 = 0;
  for (let i = 0; i < count; i++) sum += load<f64>(load<usize>(args, 0) + (<usize>i << 3));
  store<f32>(load<usize>(args, 8), <f32>sqrt<f64>(sum));
}

/** norm, factor, maxNorm (f32): 1 / max(1, norm / maxNorm), NaN when the norm is not finite. By thread 0. */
export function clip(args: usize): void {
  const norm = load<f32>(load<usize>(args, 0));
  const factor = <f32>(1.0 / max<f64>(1.0, <f64>norm / <f64>load<f32>(args, 8)));
  store<f32>(load<usize>(args, 4), isFinite(norm) ? factor : NaN);
}

/** base to the power n by squaring, to a few ulp of float64. */
function power(base: f64, n: u64): f64 {
  let result: f64 = 1;
  while (n > 0) {
    if (n & 1) result *= base;
    base *= base;
    n >>= 1;
  }
  return result;
}

/**
 * parameter, m, v, gradient, factor, rate, draw, new parameter, new m, new v, count, ε in the root (0/1), bias
 * correction (0/1), β₁ (f64), β₂ (f64), ε (f32), rate factor (f32), decay (f32). New ones may be the old ones.
 */
export function adamW(args: usize, thread: i32, threads: i32): void {
  const parameter = load<usize>(args, 0);
  const m = load<usize>(args, 4);
  const v = load<usize>(args, 8);
  const gradient = load<usize>(args, 12);
  const newParameter = load<usize>(args, 28);
  const newM = load<usize>(args, 32);
  const newV = load<usize>(args, 36);
  const count = load<i32>(args, 40);
  const first = firstElement(count, thread, threads);
  const last = firstElement(count, thread + 1, threads);
  if (first == last) return;
  const factor = load<f32>(load<usize>(args, 16));
  if (factor != factor) {
    // The norm was not finite: everything stays as it was.
    copyShare(parameter, newParameter, first, last);
    copyShare(m, newM, first, last);
    copyShare(v, newV, first, last);
    return;
  }
  const isInRoot = load<i32>(args, 44) != 0;
  const beta1 = load<f64>(args, 52);
  const beta2 = load<f64>(args, 60);
  let correctionM: f64 = 1;
  let correctionV: f64 = 1;
  if (load<i32>(args, 48) != 0) {
    const t = <u64>load<u32>(load<usize>(args, 24), 8) + 1;
    correctionM = 1.0 / (1.0 - power(beta1, t));
    correctionV = 1.0 / (1.0 - power(beta2, t));
  }
  const factors = f32x4.splat(factor);
  const keepM = f32x4.splat(<f32>beta1);
  const takeM = f32x4.splat(<f32>(1.0 - beta1));
  const keepV = f32x4.splat(<f32>beta2);
  const takeV = f32x4.splat(<f32>(1.0 - beta2));
  const scaleM = f32x4.splat(<f32>correctionM);
  const scaleV = f32x4.splat(<f32>correctionV);
  const outside = f32x4.splat(isInRoot ? 0 : load<f32>(args, 68));
  const inside = f32x4.splat(isInRoot ? load<f32>(args, 68) : 0);
  const rate = f32x4.splat(<f32>(<f64>load<f32>(load<usize>(args, 20)) * <f64>load<f32>(args, 72)));
  const decay = f32x4.splat(load<f32>(args, 76));
  for (let i = first; i < last; i += 4) {
    const at = <usize>i << 2;
    // Memory is padded beyond the last element, and what stands there is nobody's: only whole vectors are stored.
    const isWhole = i + 4 <= last;
    const g = f32x4.mul(v128.load(gradient + at), factors);
    const p = v128.load(parameter + at);
    const nextM = f32x4.add(f32x4.mul(keepM, v128.load(m + at)), f32x4.mul(takeM, g));
    const nextV = f32x4.add(f32x4.mul(keepV, v128.load(v + at)), f32x4.mul(f32x4.mul(takeV, g), g));
    const root = f32x4.add(f32x4.sqrt(f32x4.add(f32x4.mul(scaleV, nextV), inside)), outside);
    const direction = f32x4.add(f32x4.div(f32x4.mul(scaleM, nextM), root), f32x4.mul(decay, p));
    const next = f32x4.sub(p, f32x4.mul(rate, direction));
    if (isWhole) {
      v128.store(newParameter + at, next);
      v128.store(newM + at, nextM);
      v128.store(newV + at, nextV);
    } else {
      storeLanes(newParameter + at, next, last - i);
      storeLanes(newM + at, nextM, last - i);
      storeLanes(newV + at, nextV, last - i);
    }
  }
}

function storeLanes(to: usize, value: v128, count: i32): void {
  store<f32>(to, f32x4.extract_lane(value, 0));
  if (count > 1) store<f32>(to, f32x4.extract_lane(value, 1), 4);
  if (count > 2) store<f32>(to, f32x4.extract_lane(value, 2), 8);
}

function copyShare(from: usize, to: usize, first: i32, last: i32): void {
  if (from == to) return;
  memory.copy(to + (<usize>first << 2), from + (<usize>first << 2), <usize>(last - first) << 2);
}
