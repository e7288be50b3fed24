/**
 * The losses of fine-tuning: a choice among columns (softmax cross-entropy) and a number (squared error). Terms of the
 * rows in float64, then their sum over the denominator by one thread in order; the gradients row by row.
 */
import { exp4, logWide, sumLanesWide } from './math';
import { firstPlace, placesOf } from './packing';
import { firstUnit } from './shares';

/** Columns of a row that its segments reach to; all of them without lengths. */
function realColumns(lengths: usize, row: i32, segments: i32, columns: i32): i32 {
  if (lengths == 0) return columns;
  let real = 0;
  for (let s = row * segments; s < (row + 1) * segments; s++) real += load<i32>(lengths + (<usize>s << 2));
  return real;
}

/** The first `count` (1 to 4) lanes at `at` that are allowed, as a mask. */
// @ts-ignore: decorator
@inline
function openLanes(allowed: usize, at: usize, count: i32): v128 {
  const inside = i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(count));
  if (allowed == 0) return inside;
  return v128.and(inside, i32x4.ne(loadLanes(allowed + at, count), i32x4.splat(0)));
}

/** The first `count` lanes; nothing behind them is read. */
// @ts-ignore: decorator
@inline
function loadLanes(at: usize, count: i32): v128 {
  if (count >= 4) return v128.load(at);
  let lanes = v128.load32_zero(at);
  if (count > 1) lanes = v128.load32_lane(at + 4, lanes, 1);
  if (count > 2) lanes = v128.load32_lane(at + 8, lanes, 2);
  return lanes;
}

/** Whether the label of a row is one of its open columns. */
function isLabelOpen(label: i32, real: i32, allowed: usize): bool {
  return label < real && (allowed == 0 || load<i32>(allowed + (<usize>label << 2)) != 0);
}

function weightOf(weights: usize, row: i32): f64 {
  return weights == 0 ? 1 : <f64>load<f32>(weights + (<usize>row << 2));
}

/**
 * logits, labels, lengths, allowed, weights (or 0 each), logSumExp, terms (f64), rows, columns, segments a row, firsts
 * of the logits or 0.
 */
export function softmaxTerms(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 28);
  const columns = load<i32>(args, 32);
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const start = <usize>(row * columns) << 2;
    const logits = load<usize>(args, 0) + (<usize>firstPlace(load<usize>(args, 40), row, columns) << 2);
    const label = load<i32>(load<usize>(args, 4) + (<usize>row << 2));
    const real = realColumns(load<usize>(args, 8), row, load<i32>(args, 36), columns);
    const allowed = load<usize>(args, 12) == 0 ? <usize>0 : load<usize>(args, 12) + start;
    let lanes = f32x4.splat(-Infinity);
    let open = i32x4.splat(0);
    for (let i = 0; i < real; i += 4) {
      const mask = openLanes(allowed, <usize>i << 2, real - i);
      const x = loadLanes(logits + (<usize>i << 2), real - i);
      lanes = f32x4.pmax(lanes, v128.bitselect(x, lanes, mask));
      open = v128.or(open, mask);
    }
    const most = max(
      max(f32x4.extract_lane(lanes, 0), f32x4.extract_lane(lanes, 1)),
      max(f32x4.extract_lane(lanes, 2), f32x4.extract_lane(lanes, 3)),
    );
    let total: f64 = 0;
    for (let i = 0; i < real; i += 4) {
      const mask = openLanes(allowed, <usize>i << 2, real - i);
      const x = loadLanes(logits + (<usize>i << 2), real - i);
      total += sumLanesWide(v128.and(exp4(f32x4.sub(x, f32x4.splat(most))), mask));
    }
    const logTotal = logWide(total);
    let term: f64 = 0;
    if (isLabelOpen(label, real, allowed)) {
      const distance = logTotal + (<f64>most - <f64>load<f32>(logits + (<usize>label << 2)));
      term = weightOf(load<usize>(args, 16), row) * distance;
    }
    store<f32>(load<usize>(args, 20) + (<usize>row << 2), v128.any_true(open) ? <f32>(<f64>most + logTotal) : 0);
    store<f64>(load<usize>(args, 24) + (<usize>row << 3), term);
  }
}

/**
 * logits, labels, lengths, allowed, weights (or 0 each), denominator, logSumExp, dLoss, dLogits, rows, columns,
 * segments a row, firsts of logits and dLogits or 0. dLogits may be logits.
 */
export function softmaxGradient(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 36);
  const columns = load<i32>(args, 40);
  const firsts = load<usize>(args, 48);
  const scale = <f64>load<f32>(load<usize>(args, 28)) / (<f64>load<f32>(load<usize>(args, 20)) + 1e-6);
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const start = <usize>(row * columns) << 2;
    const first = <usize>firstPlace(firsts, row, columns) << 2;
    const logits = load<usize>(args, 0) + first;
    const dLogits = load<usize>(args, 32) + first;
    const label = load<i32>(load<usize>(args, 4) + (<usize>row << 2));
    const allowed = load<usize>(args, 12) == 0 ? <usize>0 : load<usize>(args, 12) + start;
    let real = realColumns(load<usize>(args, 8), row, load<i32>(args, 44), columns);
    if (!isLabelOpen(label, real, allowed)) real = 0;
    const factor = f32x4.splat(<f32>(scale * weightOf(load<usize>(args, 16), row)));
    const logSumExp = v128.load32_splat(load<usize>(args, 24) + (<usize>row << 2));
    for (let i = 0; i < real; i += 4) {
      const at = <usize>i << 2;
      const mask = openLanes(allowed, at, real - i);
      const probability = exp4(f32x4.sub(loadLanes(logits + at, real - i), logSumExp));
      const isLabel = i32x4.eq(i32x4.add(i32x4.splat(i), i32x4(0, 1, 2, 3)), i32x4.splat(label));
      const slope = f32x4.sub(probability, v128.and(isLabel, f32x4.splat(1)));
      storeLanes(dLogits + at, v128.and(f32x4.mul(factor, slope), mask), real - i);
    }
    memory.fill(dLogits + (<usize>real << 2), 0, <usize>(placesOf(firsts, row, columns) - real) << 2);
  }
}

/** The first `count` lanes. */
// @ts-ignore: decorator
@inline
function storeLanes(at: usize, lanes: v128, count: i32): void {
  if (count >= 4) {
    v128.store(at, lanes);
    return;
  }
  store<f32>(at, f32x4.extract_lane(lanes, 0));
  if (count > 1) store<f32>(at + 4, f32x4.extract_lane(lanes, 1));
  if (count > 2) store<f32>(at + 8, f32x4.extract_lane(lanes, 2));
}

/** predictions, targets, weights or 0, terms (f64), rows. */
export function squaredTerms(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 16);
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const at = <usize>row << 2;
    const error = <f64>load<f32>(load<usize>(args, 0) + at) - <f64>load<f32>(load<usize>(args, 4) + at);
    store<f64>(load<usize>(args, 12) + (<usize>row << 3), weightOf(load<usize>(args, 8), row) * error * error);
  }
}

/** predictions, targets, weights or 0, denominator, dLoss, dPredictions, rows. dPredictions may be predictions. */
export function squaredGradient(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 24);
  const scale = (2 * <f64>load<f32>(load<usize>(args, 16))) / (<f64>load<f32>(load<usize>(args, 12)) + 1e-6);
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const at = <usize>row << 2;
    const error = <f64>load<f32>(load<usize>(args, 0) + at) - <f64>load<f32>(load<usize>(args, 4) + at);
    store<f32>(load<usize>(args, 20) + at, <f32>(scale * weightOf(load<usize>(args, 8), row) * error));
  }
}

/** terms (f64), denominator, rows, loss. By thread 0. */
export function meanOfTerms(args: usize): void {
  const rows = load<i32>(args, 8);
  let sum: f64 = 0;
  for (let row = 0; row < rows; row++) sum += load<f64>(load<usize>(args, 0) + (<usize>row << 3));
  store<f32>(load<usize>(args, 12), <f32>(sum / (<f64>load<f32>(load<usize>(args, 4)) + 1e-6)));
}
