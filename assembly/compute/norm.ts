/**
 * Layer normalisation and its gradients: a row at a time where a row is normalised, a strip of columns at a time where
 * rows are summed, so that every sum has one owner and one order.
 */
import { drop, firstRowOf } from './draws';
import { madd, sumLanes } from './math';
import { originOf } from './packing';
import { firstUnit, unitsOf } from './shares';

/** Columns that one unit of a sum over rows owns: a cache line. */
const STRIP: i32 = 16;

/** Rows that are added up before they join the total: keeps rounding at the level of its square root. */
const ROW_BLOCK: i32 = 128;

/** x, gamma, beta, y, mean, inverse, rows, width, epsilon (f32). */
export function layerNorm(args: usize, thread: i32, threads: i32): void {
  const x = load<usize>(args, 0);
  const y = load<usize>(args, 12);
  const rows = load<i32>(args, 24);
  const width = load<i32>(args, 28);
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const at = (<usize>row * <usize>width) << 2;
    normalizeRow(
      x + at, load<usize>(args, 4), load<usize>(args, 8), y + at,
      load<usize>(args, 16) + (<usize>row << 2), load<usize>(args, 20) + (<usize>row << 2), width, load<f32>(args, 32),
    );
  }
}

/**
 * x, residual, gamma, beta, draw, y, sum, mean, inverse, rows, width, rows of the norm in a row of the batch, stream,
 * threshold (0: no dropout), scale (f32), epsilon (f32), origins or 0. sum may be x or residual.
 */
export function addNorm(args: usize, thread: i32, threads: i32, scratch: usize): void {
  const x = load<usize>(args, 0);
  const residual = load<usize>(args, 4);
  const draw = load<usize>(args, 16);
  const y = load<usize>(args, 20);
  const sum = load<usize>(args, 24);
  const rows = load<i32>(args, 36);
  const width = load<i32>(args, 40);
  const threshold = load<i32>(args, 52);
  const bytes = <usize>width << 2;
  const firstRow = threshold == 0 ? 0 : firstRowOf(draw) * <u64>load<i32>(args, 44);
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const at = <usize>row * bytes;
    if (threshold == 0) {
      addRow(x + at, residual + at, sum + at, width);
    } else {
      // y is written last, so it can hold what dropout leaves of x.
      const index = (firstRow + <u64>originOf(load<usize>(args, 64), row)) * <u64>width;
      drop(x + at, y + at, width, draw, load<u32>(args, 48), index, threshold, load<f32>(args, 56), scratch);
      addRow(y + at, residual + at, sum + at, width);
    }
    normalizeRow(
      sum + at, load<usize>(args, 8), load<usize>(args, 12), y + at,
      load<usize>(args, 28) + (<usize>row << 2), load<usize>(args, 32) + (<usize>row << 2), width, load<f32>(args, 60),
    );
  }
}

function addRow(x: usize, residual: usize, sum: usize, width: i32): void {
  let i = 0;
  for (; i + 4 <= width; i += 4) {
    const at = <usize>i << 2;
    v128.store(sum + at, f32x4.add(v128.load(residual + at), v128.load(x + at)));
  }
  for (; i < width; i++) {
    const at = <usize>i << 2;
    store<f32>(sum + at, load<f32>(residual + at) + load<f32>(x + at));
  }
}

/** One row: mean, then the mean of the squared differences, then y. */
function normalizeRow(
  x: usize, gamma: usize, beta: usize, y: usize, meanAt: usize, inverseAt: usize, width: i32, epsilon: f32,
): void {
  let sums = f32x4.splat(0);
  let i = 0;
  for (; i + 4 <= width; i += 4) sums = f32x4.add(sums, v128.load(x + (<usize>i << 2)));
  let sum = sumLanes(sums);
  for (; i < width; i++) sum += load<f32>(x + (<usize>i << 2));
  const mean = sum / <f32>width;
  const means = f32x4.splat(mean);
  let squares = f32x4.splat(0);
  for (i = 0; i + 4 <= width; i += 4) {
    const d = f32x4.sub(v128.load(x + (<usize>i << 2)), means);
    squares = madd(d, d, squares);
  }
  let square = sumLanes(squares);
  for (; i < width; i++) {
    const d = load<f32>(x + (<usize>i << 2)) - mean;
    square += d * d;
  }
  const inverse = <f32>1.0 / sqrt<f32>(square / <f32>width + epsilon);
  const inverses = f32x4.splat(inverse);
  for (i = 0; i + 4 <= width; i += 4) {
    const at = <usize>i << 2;
    const normal = f32x4.mul(f32x4.sub(v128.load(x + at), means), inverses);
    v128.store(y + at, madd(normal, v128.load(gamma + at), v128.load(beta + at)));
  }
  for (; i < width; i++) {
    const at = <usize>i << 2;
    store<f32>(y + at, (load<f32>(x + at) - mean) * inverse * load<f32>(gamma + at) + load<f32>(beta + at));
  }
  store<f32>(meanAt, mean);
  store<f32>(inverseAt, inverse);
}

/**
 * dy, x, gamma, mean, inverse, dx, rows, width. dx may be dy.
 * With x̂ = (x − mean) · inverse and g = dy γ:  dx = inverse (g − mean(g) − x̂ mean(g x̂)).
 */
export function layerNormGradient(args: usize, thread: i32, threads: i32): void {
  const gamma = load<usize>(args, 8);
  const rows = load<i32>(args, 24);
  const width = load<i32>(args, 28);
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const offset = (<usize>row * <usize>width) << 2;
    const dy = load<usize>(args, 0) + offset;
    const x = load<usize>(args, 4) + offset;
    const dx = load<usize>(args, 20) + offset;
    const mean = load<f32>(load<usize>(args, 12) + (<usize>row << 2));
    const inverse = load<f32>(load<usize>(args, 16) + (<usize>row << 2));
    const means = f32x4.splat(mean);
    const inverses = f32x4.splat(inverse);
    let sumsG = f32x4.splat(0);
    let sumsGx = f32x4.splat(0);
    let i = 0;
    for (; i + 4 <= width; i += 4) {
      const at = <usize>i << 2;
      const g = f32x4.mul(v128.load(dy + at), v128.load(gamma + at));
      sumsG = f32x4.add(sumsG, g);
      sumsGx = madd(g, f32x4.mul(f32x4.sub(v128.load(x + at), means), inverses), sumsGx);
    }
    let sumG = sumLanes(sumsG);
    let sumGx = sumLanes(sumsGx);
    for (; i < width; i++) {
      const at = <usize>i << 2;
      const g = load<f32>(dy + at) * load<f32>(gamma + at);
      sumG += g;
      sumGx += g * ((load<f32>(x + at) - mean) * inverse);
    }
    const meanG = sumG / <f32>width;
    const meanGx = sumGx / <f32>width;
    for (i = 0; i + 4 <= width; i += 4) {
      const at = <usize>i << 2;
      const normal = f32x4.mul(f32x4.sub(v128.load(x + at), means), inverses);
      const g = f32x4.mul(v128.load(dy + at), v128.load(gamma + at));
      const centred = f32x4.sub(f32x4.sub(g, f32x4.splat(meanG)), f32x4.mul(normal, f32x4.splat(meanGx)));
      v128.store(dx + at, f32x4.mul(inverses, centred));
    }
    for (; i < width; i++) {
      const at = <usize>i << 2;
      const normal = (load<f32>(x + at) - mean) * inverse;
      store<f32>(dx + at, inverse * (load<f32>(dy + at) * load<f32>(gamma + at) - meanG - normal * meanGx));
    }
  }
}

/** dy, x, mean, inverse, previous dγ or 0, previous dβ or 0, dγ, dβ, rows, width. */
export function layerNormParameterGradient(args: usize, thread: i32, threads: i32): void {
  const width = load<i32>(args, 36);
  const units = unitsOf(width, STRIP);
  const last = firstUnit(units, thread + 1, threads);
  for (let unit = firstUnit(units, thread, threads); unit < last; unit++) {
    const end = min(width, (unit + 1) * STRIP);
    let column = unit * STRIP;
    if (column + STRIP <= end) {
      normColumns(args, column, 4);
    } else {
      for (; column + 4 <= end; column += 4) normColumns(args, column, 1);
      for (; column < end; column++) normColumn(args, column);
    }
  }
}

/** Four columns, or four times four. */
function normColumns(args: usize, column: i32, vectors: i32): void {
  const rows = load<i32>(args, 32);
  const bytes = <usize>load<i32>(args, 36) << 2;
  const offset = <usize>column << 2;
  const mean = load<usize>(args, 8);
  const inverse = load<usize>(args, 12);
  for (let v = 0; v < vectors; v++) {
    const at = offset + (<usize>v << 4);
    let dy = load<usize>(args, 0) + at;
    let x = load<usize>(args, 4) + at;
    let gamma = startOf(load<usize>(args, 16), at);
    let beta = startOf(load<usize>(args, 20), at);
    for (let row0 = 0; row0 < rows; row0 += ROW_BLOCK) {
      const row1 = min(rows, row0 + ROW_BLOCK);
      let blockGamma = f32x4.splat(0);
      let blockBeta = f32x4.splat(0);
      for (let row = row0; row < row1; row++) {
        const g = v128.load(dy);
        const normal = f32x4.mul(
          f32x4.sub(v128.load(x), v128.load32_splat(mean + (<usize>row << 2))),
          v128.load32_splat(inverse + (<usize>row << 2)),
        );
        blockGamma = madd(g, normal, blockGamma);
        blockBeta = f32x4.add(blockBeta, g);
        dy += bytes;
        x += bytes;
      }
      gamma = f32x4.add(gamma, blockGamma);
      beta = f32x4.add(beta, blockBeta);
    }
    v128.store(load<usize>(args, 24) + at, gamma);
    v128.store(load<usize>(args, 28) + at, beta);
  }
}

// @ts-ignore: decorator
@inline
function startOf(previous: usize, at: usize): v128 {
  return previous == 0 ? f32x4.splat(0) : v128.load(previous + at);
}

function normColumn(args: usize, column: i32): void {
  const rows = load<i32>(args, 32);
  const bytes = <usize>load<i32>(args, 36) << 2;
  const at = <usize>column << 2;
  const previousGamma = load<usize>(args, 16);
  const previousBeta = load<usize>(args, 20);
  let gamma: f32 = 0;
  let beta: f32 = 0;
  for (let row = 0; row < rows; row++) {
    const g = load<f32>(load<usize>(args, 0) + <usize>row * bytes + at);
    const x = load<f32>(load<usize>(args, 4) + <usize>row * bytes + at);
    const mean = load<f32>(load<usize>(args, 8) + (<usize>row << 2));
    const inverse = load<f32>(load<usize>(args, 12) + (<usize>row << 2));
    gamma += g * ((x - mean) * inverse);
    beta += g;
  }
  store<f32>(load<usize>(args, 24) + at, gamma + (previousGamma == 0 ? 0 : load<f32>(previousGamma + at)));
  store<f32>(load<usize>(args, 28) + at, beta + (previousBeta == 0 ? 0 : load<f32>(previousBeta + at)));
}

/** dy, previous or 0, dBias, rows, width: sums over rows. */
export function biasGradient(args: usize, thread: i32, threads: i32): void {
  const dy = load<usize>(args, 0);
  const previous = load<usize>(args, 4);
  const dBias = load<usize>(args, 8);
  const rows = load<i32>(args, 12);
  const width = load<i32>(args, 16);
  const bytes = <usize>width << 2;
  const units = unitsOf(width, STRIP);
  const last = firstUnit(units, thread + 1, threads);
  for (let unit = firstUnit(units, thread, threads); unit < last; unit++) {
    const end = min(width, (unit + 1) * STRIP);
    let column = unit * STRIP;
    if (column + STRIP <= end) {
      const at = <usize>column << 2;
      sumStrip(dy + at, previous == 0 ? 0 : previous + at, dBias + at, rows, bytes);
      continue;
    }
    for (; column < end; column++) {
      const at = <usize>column << 2;
      let sum: f32 = 0;
      for (let row = 0; row < rows; row++) sum += load<f32>(dy + at + <usize>row * bytes);
      store<f32>(dBias + at, sum + (previous == 0 ? 0 : load<f32>(previous + at)));
    }
  }
}

/** Sixteen columns. */
function sumStrip(dy: usize, previous: usize, sum: usize, rows: i32, bytes: usize): void {
  const zero = f32x4.splat(0);
  let s0 = zero;
  let s1 = zero;
  let s2 = zero;
  let s3 = zero;
  if (previous != 0) {
    s0 = v128.load(previous);
    s1 = v128.load(previous, 16);
    s2 = v128.load(previous, 32);
    s3 = v128.load(previous, 48);
  }
  for (let row0 = 0; row0 < rows; row0 += ROW_BLOCK) {
    const row1 = min(rows, row0 + ROW_BLOCK);
    let b0 = zero;
    let b1 = zero;
    let b2 = zero;
    let b3 = zero;
    for (let row = row0; row < row1; row++) {
      b0 = f32x4.add(b0, v128.load(dy));
      b1 = f32x4.add(b1, v128.load(dy, 16));
      b2 = f32x4.add(b2, v128.load(dy, 32));
      b3 = f32x4.add(b3, v128.load(dy, 48));
      dy += bytes;
    }
    s0 = f32x4.add(s0, b0);
    s1 = f32x4.add(s1, b1);
    s2 = f32x4.add(s2, b2);
    s3 = f32x4.add(s3, b3);
  }
  v128.store(sum, s0);
  v128.store(sum, s1, 16);
  v128.store(sum, s2, 32);
  v128.store(sum, s3, 48);
}
