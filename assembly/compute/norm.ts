/**
 * Layer normalisation and its gradients, a row at a time. Where rows are summed each block of them has a sum of its own,
 * and whoever is done last adds these in their order: memory is read from end to end, and no sum depends on the threads.
 * Sums of sums also keep rounding at the level of its square root.
 */
import { drawRow, droppedOf, firstRowOf, keepHigh, keepLow, keepOne } from './draws';
import { madd, sumLanes } from './math';
import { Block } from './opcodes';
import { originOf } from './packing';
import { SCRATCH_WORK } from './scratch';
import { firstUnit, unitsOf } from './shares';

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
      x + at, sumOf(x + at, width), load<usize>(args, 4), load<usize>(args, 8), y + at,
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
    let total: f32;
    if (threshold == 0) {
      total = addRow(x + at, residual + at, sum + at, width);
    } else {
      const index = (firstRow + <u64>originOf(load<usize>(args, 64), row)) * <u64>width;
      const decisions = drawRow(draw, load<u32>(args, 48), index, width, scratch + SCRATCH_WORK);
      total = addKept(x + at, residual + at, sum + at, width, decisions, threshold, load<f32>(args, 56));
    }
    normalizeRow(
      sum + at, total, load<usize>(args, 8), load<usize>(args, 12), y + at,
      load<usize>(args, 28) + (<usize>row << 2), load<usize>(args, 32) + (<usize>row << 2), width, load<f32>(args, 60),
    );
  }
}

/** sum = residual + x; returns what it adds up to. */
function addRow(x: usize, residual: usize, sum: usize, width: i32): f32 {
  let lows = f32x4.splat(0);
  let highs = f32x4.splat(0);
  let i = 0;
  for (; i + 8 <= width; i += 8) {
    const at = <usize>i << 2;
    const low = f32x4.add(v128.load(residual + at), v128.load(x + at));
    const high = f32x4.add(v128.load(residual + at, 16), v128.load(x + at, 16));
    v128.store(sum + at, low);
    v128.store(sum + at, high, 16);
    lows = f32x4.add(lows, low);
    highs = f32x4.add(highs, high);
  }
  let total = sumLanes(f32x4.add(lows, highs));
  for (; i < width; i++) {
    const at = <usize>i << 2;
    const value = load<f32>(residual + at) + load<f32>(x + at);
    store<f32>(sum + at, value);
    total += value;
  }
  return total;
}

/** sum = residual + what the decisions leave of x; returns what it adds up to. */
function addKept(
  x: usize, residual: usize, sum: usize, width: i32, decisions: usize, threshold: i32, scale: f32,
): f32 {
  const factor = f32x4.splat(scale);
  let lows = f32x4.splat(0);
  let highs = f32x4.splat(0);
  let i = 0;
  for (; i + 8 <= width; i += 8) {
    const at = <usize>i << 2;
    const dropped = droppedOf(decisions + (<usize>i << 1), threshold);
    const low = f32x4.add(v128.load(residual + at), keepLow(v128.load(x + at), factor, dropped));
    const high = f32x4.add(v128.load(residual + at, 16), keepHigh(v128.load(x + at, 16), factor, dropped));
    v128.store(sum + at, low);
    v128.store(sum + at, high, 16);
    lows = f32x4.add(lows, low);
    highs = f32x4.add(highs, high);
  }
  let total = sumLanes(f32x4.add(lows, highs));
  for (; i < width; i++) {
    const at = <usize>i << 2;
    const value = load<f32>(residual + at) + keepOne(load<f32>(x + at), scale, decisions + (<usize>i << 1), threshold);
    store<f32>(sum + at, value);
    total += value;
  }
  return total;
}

function sumOf(x: usize, width: i32): f32 {
  let lows = f32x4.splat(0);
  let highs = f32x4.splat(0);
  let i = 0;
  for (; i + 8 <= width; i += 8) {
    lows = f32x4.add(lows, v128.load(x + (<usize>i << 2)));
    highs = f32x4.add(highs, v128.load(x + (<usize>i << 2), 16));
  }
  let total = sumLanes(f32x4.add(lows, highs));
  for (; i < width; i++) total += load<f32>(x + (<usize>i << 2));
  return total;
}

/** One row of which the sum is known: mean, then the mean of the squared differences, then y. */
function normalizeRow(
  x: usize, sum: f32, gamma: usize, beta: usize, y: usize, meanAt: usize, inverseAt: usize, width: i32, epsilon: f32,
): void {
  const mean = sum / <f32>width;
  const means = f32x4.splat(mean);
  let lows = f32x4.splat(0);
  let highs = f32x4.splat(0);
  let i = 0;
  for (; i + 8 <= width; i += 8) {
    const low = f32x4.sub(v128.load(x + (<usize>i << 2)), means);
    const high = f32x4.sub(v128.load(x + (<usize>i << 2), 16), means);
    lows = madd(low, low, lows);
    highs = madd(high, high, highs);
  }
  let square = sumLanes(f32x4.add(lows, highs));
  for (; i < width; i++) {
    const d = load<f32>(x + (<usize>i << 2)) - mean;
    square += d * d;
  }
  const inverse = <f32>1.0 / sqrt<f32>(square / <f32>width + epsilon);
  const inverses = f32x4.splat(inverse);
  for (i = 0; i + 8 <= width; i += 8) {
    const at = <usize>i << 2;
    const low = f32x4.mul(f32x4.sub(v128.load(x + at), means), inverses);
    const high = f32x4.mul(f32x4.sub(v128.load(x + at, 16), means), inverses);
    v128.store(y + at, madd(low, v128.load(gamma + at), v128.load(beta + at)));
    v128.store(y + at, madd(high, v128.load(gamma + at, 16), v128.load(beta + at, 16)), 16);
  }
  for (; i < width; i++) {
    const at = <usize>i << 2;
    store<f32>(y + at, (load<f32>(x + at) - mean) * inverse * load<f32>(gamma + at) + load<f32>(beta + at));
  }
  store<f32>(meanAt, mean);
  store<f32>(inverseAt, inverse);
}

/**
 * dy, x, gamma, beta, mean, inverse, dx, y, rows, width. dx may be dy, and y x.
 * With x̂ = (x − mean) · inverse and g = dy γ:  dx = inverse (g − mean(g) − x̂ mean(g x̂)), y = x̂ γ + β.
 */
export function layerNormGradient(args: usize, thread: i32, threads: i32): void {
  const gamma = load<usize>(args, 8);
  const beta = load<usize>(args, 12);
  const rows = load<i32>(args, 32);
  const width = load<i32>(args, 36);
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const offset = (<usize>row * <usize>width) << 2;
    const dy = load<usize>(args, 0) + offset;
    const x = load<usize>(args, 4) + offset;
    const dx = load<usize>(args, 24) + offset;
    const y = load<usize>(args, 28) + offset;
    const mean = load<f32>(load<usize>(args, 16) + (<usize>row << 2));
    const inverse = load<f32>(load<usize>(args, 20) + (<usize>row << 2));
    const means = f32x4.splat(mean);
    const inverses = f32x4.splat(inverse);
    let lowG = f32x4.splat(0);
    let highG = f32x4.splat(0);
    let lowGx = f32x4.splat(0);
    let highGx = f32x4.splat(0);
    let i = 0;
    for (; i + 8 <= width; i += 8) {
      const at = <usize>i << 2;
      const low = f32x4.mul(v128.load(dy + at), v128.load(gamma + at));
      const high = f32x4.mul(v128.load(dy + at, 16), v128.load(gamma + at, 16));
      lowG = f32x4.add(lowG, low);
      highG = f32x4.add(highG, high);
      lowGx = madd(low, f32x4.mul(f32x4.sub(v128.load(x + at), means), inverses), lowGx);
      highGx = madd(high, f32x4.mul(f32x4.sub(v128.load(x + at, 16), means), inverses), highGx);
    }
    let sumG = sumLanes(f32x4.add(lowG, highG));
    let sumGx = sumLanes(f32x4.add(lowGx, highGx));
    for (; i < width; i++) {
      const at = <usize>i << 2;
      const g = load<f32>(dy + at) * load<f32>(gamma + at);
      sumG += g;
      sumGx += g * ((load<f32>(x + at) - mean) * inverse);
    }
    const meanG = sumG / <f32>width;
    const meanGx = sumGx / <f32>width;
    const meansG = f32x4.splat(meanG);
    const meansGx = f32x4.splat(meanGx);
    for (i = 0; i + 8 <= width; i += 8) {
      const at = <usize>i << 2;
      const normalLow = f32x4.mul(f32x4.sub(v128.load(x + at), means), inverses);
      const normalHigh = f32x4.mul(f32x4.sub(v128.load(x + at, 16), means), inverses);
      const low = f32x4.sub(f32x4.mul(v128.load(dy + at), v128.load(gamma + at)), meansG);
      const high = f32x4.sub(f32x4.mul(v128.load(dy + at, 16), v128.load(gamma + at, 16)), meansG);
      v128.store(dx + at, f32x4.mul(inverses, f32x4.sub(low, f32x4.mul(normalLow, meansGx))));
      v128.store(dx + at, f32x4.mul(inverses, f32x4.sub(high, f32x4.mul(normalHigh, meansGx))), 16);
      v128.store(y + at, madd(normalLow, v128.load(gamma + at), v128.load(beta + at)));
      v128.store(y + at, madd(normalHigh, v128.load(gamma + at, 16), v128.load(beta + at, 16)), 16);
    }
    for (; i < width; i++) {
      const at = <usize>i << 2;
      const normal = (load<f32>(x + at) - mean) * inverse;
      store<f32>(dx + at, inverse * (load<f32>(dy + at) * load<f32>(gamma + at) - meanG - normal * meanGx));
      store<f32>(y + at, normal * load<f32>(gamma + at) + load<f32>(beta + at));
    }
  }
}

/**
 * dy, x, mean, inverse, previous dγ or 0, previous dβ or 0, dγ, dβ, rows, width, partial sums: dγ's, then dβ's, blocks
 * done (0).
 */
export function layerNormParameterGradient(args: usize, thread: i32, threads: i32): void {
  const dy = load<usize>(args, 0);
  const x = load<usize>(args, 4);
  const mean = load<usize>(args, 8);
  const inverse = load<usize>(args, 12);
  const rows = load<i32>(args, 32);
  const width = load<i32>(args, 36);
  const gammas = load<usize>(args, 40);
  const bytes = <usize>width << 2;
  const blocks = blocksOf(rows);
  const betas = gammas + <usize>blocks * bytes;
  const last = firstUnit(blocks, thread + 1, threads);
  for (let block = firstUnit(blocks, thread, threads); block < last; block++) {
    const gamma = gammas + <usize>block * bytes;
    const beta = betas + <usize>block * bytes;
    memory.fill(gamma, 0, bytes);
    memory.fill(beta, 0, bytes);
    const end = min(rows, (block + 1) * Block.Rows);
    for (let row = block * Block.Rows; row < end; row++) {
      const at = <usize>row * bytes;
      const stat = <usize>row << 2;
      addNormal(dy + at, x + at, load<f32>(mean + stat), load<f32>(inverse + stat), gamma, beta, width);
    }
    if (isLastDone(args + 44, blocks)) {
      sumBlocks(gammas, blocks, load<usize>(args, 16), load<usize>(args, 24), width);
      sumBlocks(betas, blocks, load<usize>(args, 20), load<usize>(args, 28), width);
    }
  }
}

/** One row: gamma += dy x̂, beta += dy. */
function addNormal(dy: usize, x: usize, mean: f32, inverse: f32, gamma: usize, beta: usize, width: i32): void {
  const means = f32x4.splat(mean);
  const inverses = f32x4.splat(inverse);
  let i = 0;
  for (; i + 8 <= width; i += 8) {
    const at = <usize>i << 2;
    const low = v128.load(dy + at);
    const high = v128.load(dy + at, 16);
    const normalLow = f32x4.mul(f32x4.sub(v128.load(x + at), means), inverses);
    const normalHigh = f32x4.mul(f32x4.sub(v128.load(x + at, 16), means), inverses);
    v128.store(gamma + at, madd(low, normalLow, v128.load(gamma + at)));
    v128.store(gamma + at, madd(high, normalHigh, v128.load(gamma + at, 16)), 16);
    v128.store(beta + at, f32x4.add(v128.load(beta + at), low));
    v128.store(beta + at, f32x4.add(v128.load(beta + at, 16), high), 16);
  }
  for (; i < width; i++) {
    const at = <usize>i << 2;
    const g = load<f32>(dy + at);
    store<f32>(gamma + at, load<f32>(gamma + at) + g * ((load<f32>(x + at) - mean) * inverse));
    store<f32>(beta + at, load<f32>(beta + at) + g);
  }
}

/** dy, previous or 0, dBias, rows, width, partial sums, blocks done (0): sums over rows. */
export function biasGradient(args: usize, thread: i32, threads: i32): void {
  const dy = load<usize>(args, 0);
  const rows = load<i32>(args, 12);
  const width = load<i32>(args, 16);
  const partial = load<usize>(args, 20);
  const bytes = <usize>width << 2;
  const blocks = blocksOf(rows);
  const last = firstUnit(blocks, thread + 1, threads);
  for (let block = firstUnit(blocks, thread, threads); block < last; block++) {
    const first = block * Block.Rows;
    const sums = partial + <usize>block * bytes;
    memory.fill(sums, 0, bytes);
    addRows(dy + <usize>first * bytes, sums, min<i32>(Block.Rows, rows - first), width);
    if (isLastDone(args + 24, blocks)) sumBlocks(partial, blocks, load<usize>(args, 4), load<usize>(args, 8), width);
  }
}

/** Blocks of rows: one also where there are no rows, since what is summed up is written then too. */
// @ts-ignore: decorator
@inline
function blocksOf(rows: i32): i32 {
  return max(1, unitsOf(rows, Block.Rows));
}

/** Whether with this block all are done; the count stands at 0 again then. */
function isLastDone(done: usize, blocks: i32): bool {
  if (atomic.add<i32>(done, 1) < blocks - 1) return false;
  atomic.store<i32>(done, 0);
  return true;
}

/** sum = previous, if there is one, + all partial sums, in their order. sum may be previous. */
function sumBlocks(partial: usize, blocks: i32, previous: usize, sum: usize, width: i32): void {
  const bytes = <usize>width << 2;
  if (previous == 0) memory.fill(sum, 0, bytes);
  else if (previous != sum) memory.copy(sum, previous, bytes);
  addRows(partial, sum, blocks, width);
}

/** sums += each of `rows` rows, four at a time. */
function addRows(x: usize, sums: usize, rows: i32, width: i32): void {
  const bytes = <usize>width << 2;
  let row = 0;
  for (; row + 4 <= rows; row += 4) {
    addFourRows(x, x + bytes, x + 2 * bytes, x + 3 * bytes, sums, width);
    x += 4 * bytes;
  }
  for (; row < rows; row++) {
    addRow(x, sums, sums, width);
    x += bytes;
  }
}

function addFourRows(a: usize, b: usize, c: usize, d: usize, sums: usize, width: i32): void {
  let i = 0;
  for (; i + 8 <= width; i += 8) {
    const at = <usize>i << 2;
    const low = addFour(v128.load(a + at), v128.load(b + at), v128.load(c + at), v128.load(d + at));
    const high = addFour(v128.load(a + at, 16), v128.load(b + at, 16), v128.load(c + at, 16), v128.load(d + at, 16));
    v128.store(sums + at, f32x4.add(v128.load(sums + at), low));
    v128.store(sums + at, f32x4.add(v128.load(sums + at, 16), high), 16);
  }
  for (; i < width; i++) {
    const at = <usize>i << 2;
    const sum = load<f32>(a + at) + load<f32>(b + at) + (load<f32>(c + at) + load<f32>(d + at));
    store<f32>(sums + at, load<f32>(sums + at) + sum);
  }
}

// @ts-ignore: decorator
@inline
function addFour(a: v128, b: v128, c: v128, d: v128): v128 {
  return f32x4.add(f32x4.add(a, b), f32x4.add(c, d));
}
