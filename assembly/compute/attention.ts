/**
 * Attention, one (row of the batch, head) after another, inside the walls of its segments: what lies behind a wall or
 * is padding is not computed. All of one head's work stays in the second cache, in the thread's scratch.
 *
 * L tokens of a segment, L8 = L rounded up to 8, d the width of a head:
 *   forward   keys in panels (L8 · d), four rows of scores (4 · L8)
 *   gradient  keys and values in panels (2 · L8 · d), probabilities and score gradients (2 · L8 · L8), dropout factors
 *             and ones (2 · L8)
 * src/engines/wasm/operations/attention.ts sets that memory aside.
 */
import { drop, firstRowOf } from './draws';
import { copyTile, multiplyTileColumns, multiplyTileRows, packPanels } from './gemm';
import { exp4, log4, madd, sumLanes } from './math';
import { SCRATCH_TILE, SCRATCH_WORK } from './scratch';
import { firstUnit } from './shares';

/**
 * q, k, v, context, logSumExp, lengths, draw, rows, places, segments a row, heads, head width, stream, threshold
 * (0: no dropout), scale of dropout (f32), scale of scores (f32).
 */
export function attention(args: usize, thread: i32, threads: i32, scratch: usize): void {
  const lengths = load<usize>(args, 20);
  const rows = load<i32>(args, 28);
  const places = load<i32>(args, 32);
  const segments = load<i32>(args, 36);
  const heads = load<i32>(args, 40);
  const headWidth = load<i32>(args, 44);
  const stride = <usize>(heads * headWidth) << 2;
  const last = firstUnit(rows * heads, thread + 1, threads);
  for (let unit = firstUnit(rows * heads, thread, threads); unit < last; unit++) {
    const row = unit / heads;
    const offset = <usize>(row * places) * stride + (<usize>((unit % heads) * headWidth) << 2);
    let start = 0;
    for (let s = row * segments; s < (row + 1) * segments; s++) {
      const length = load<i32>(lengths + (<usize>s << 2));
      if (length > 0) attendSegment(args, unit, offset + <usize>start * stride, start, length, scratch);
      start += length;
    }
    clear(load<usize>(args, 12) + offset, start, places, headWidth, stride);
    memory.fill(
      load<usize>(args, 16) + (<usize>(unit * places + start) << 2), 0, <usize>(places - start) << 2,
    );
  }
}

/** Zeros at the places [first, last) of one head. */
function clear(at: usize, first: i32, last: i32, headWidth: i32, stride: usize): void {
  for (let place = first; place < last; place++) memory.fill(at + <usize>place * stride, 0, <usize>headWidth << 2);
}

/** offset: of the segment's first token and this head in q, k, v and context. start: its place in the row. */
function attendSegment(args: usize, unit: i32, offset: usize, start: i32, length: i32, scratch: usize): void {
  const q = load<usize>(args, 0) + offset;
  const v = load<usize>(args, 8) + offset;
  const context = load<usize>(args, 12) + offset;
  const places = load<i32>(args, 32);
  const headWidth = load<i32>(args, 44);
  const stride = <usize>(load<i32>(args, 40) * headWidth) << 2;
  const threshold = load<i32>(args, 52);
  const rowBytes = (<usize>length + 7 & ~7) << 2;
  const keys = scratch + SCRATCH_WORK;
  const scores = keys + rowBytes * <usize>headWidth;
  const statistics = load<usize>(args, 16) + (<usize>(unit * places + start) << 2);
  packPanels(load<usize>(args, 4) + offset, keys, length, headWidth, stride);
  for (let i = 0; i < length; i += 4) {
    const height = min(4, length - i);
    multiplyPanels(q + <usize>i * stride, stride, height, keys, headWidth, scores, rowBytes);
    for (let r = 0; r < height; r++) {
      const row = scores + <usize>r * rowBytes;
      store<f32>(statistics + (<usize>(i + r) << 2), softmaxRow(row, length, load<f32>(args, 60)));
      if (threshold != 0) {
        const draw = load<usize>(args, 24);
        const index = decisionIndex(draw, unit, heads(args), places, start + i + r, start, load<i32>(args, 28));
        drop(row, row, length, draw, load<u32>(args, 48), index, threshold, load<f32>(args, 56), scratch);
      }
    }
    for (let e = 0; e < headWidth; e += 8) {
      const at = <usize>e << 2;
      const width = min(8, headWidth - e);
      const isWhole = height == 4 && width == 8;
      const to = context + <usize>i * stride + at;
      const tile = isWhole ? to : scratch + SCRATCH_TILE;
      multiplyTileRows(scores, rowBytes, height, v + at, stride, length, 0, 0, tile, isWhole ? stride : 32);
      if (!isWhole) copyTile(tile, 32, to, stride, height, width);
    }
  }
}

// @ts-ignore: decorator
@inline
function heads(args: usize): i32 {
  return load<i32>(args, 40);
}

/** ((row · heads + head) · T + query) · T + key, rows counted over the whole batch. */
// @ts-ignore: decorator
@inline
function decisionIndex(draw: usize, unit: i32, heads: i32, places: i32, query: i32, key: i32, rows: i32): u64 {
  const head = firstRowOf(draw) * <u64>heads + <u64>unit;
  return (head * <u64>places + <u64>query) * <u64>places + <u64>key;
}

/** Four rows of a times all panels (their number follows from rowBytes): out (4, L8). */
function multiplyPanels(
  a: usize, aStride: usize, height: i32, panels: usize, depth: i32, out: usize, rowBytes: usize,
): void {
  for (let at: usize = 0; at < rowBytes; at += 32) {
    multiplyTileRows(a, aStride, height, panels + at * <usize>depth, 32, depth, 0, 0, out + at, rowBytes);
  }
}

/** Scores → probabilities, in place; returns the logarithm of the softmax's denominator of scaled scores. */
function softmaxRow(row: usize, count: i32, scale: f32): f32 {
  let largest: f32 = -Infinity;
  let i = 0;
  if (count >= 4) {
    let most = v128.load(row);
    for (i = 4; i + 4 <= count; i += 4) most = f32x4.pmax(most, v128.load(row + (<usize>i << 2)));
    largest = max(
      max(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1)),
      max(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3)),
    );
  }
  for (; i < count; i++) largest = max(largest, load<f32>(row + (<usize>i << 2)));
  const shift = f32x4.splat(-largest * scale);
  const scales = f32x4.splat(scale);
  let sums = f32x4.splat(0);
  for (i = 0; i + 4 <= count; i += 4) {
    const at = row + (<usize>i << 2);
    const e = exp4(madd(v128.load(at), scales, shift));
    v128.store(at, e);
    sums = f32x4.add(sums, e);
  }
  let sum = sumLanes(sums);
  for (; i < count; i++) {
    const at = row + (<usize>i << 2);
    const e = f32x4.extract_lane(exp4(madd(f32x4.splat(load<f32>(at)), scales, shift)), 0);
    store<f32>(at, e);
    sum += e;
  }
  const inverse = <f32>1.0 / sum;
  for (i = 0; i + 4 <= count; i += 4) {
    const at = row + (<usize>i << 2);
    v128.store(at, f32x4.mul(v128.load(at), f32x4.splat(inverse)));
  }
  for (; i < count; i++) {
    const at = row + (<usize>i << 2);
    store<f32>(at, load<f32>(at) * inverse);
  }
  return largest * scale + f32x4.extract_lane(log4(f32x4.splat(sum)), 0);
}

/**
 * q, k, v, context, logSumExp, lengths, draw, rows, places, segments a row, heads, head width, stream, threshold, scale
 * of dropout (f32), scale of scores (f32), dContext, dq, dk, dv.
 */
export function attentionGradient(args: usize, thread: i32, threads: i32, scratch: usize): void {
  const lengths = load<usize>(args, 20);
  const rows = load<i32>(args, 28);
  const places = load<i32>(args, 32);
  const segments = load<i32>(args, 36);
  const heads = load<i32>(args, 40);
  const headWidth = load<i32>(args, 44);
  const stride = <usize>(heads * headWidth) << 2;
  const last = firstUnit(rows * heads, thread + 1, threads);
  for (let unit = firstUnit(rows * heads, thread, threads); unit < last; unit++) {
    const row = unit / heads;
    const offset = <usize>(row * places) * stride + (<usize>((unit % heads) * headWidth) << 2);
    let start = 0;
    for (let s = row * segments; s < (row + 1) * segments; s++) {
      const length = load<i32>(lengths + (<usize>s << 2));
      if (length > 0) segmentGradient(args, unit, offset + <usize>start * stride, start, length, scratch);
      start += length;
    }
    clear(load<usize>(args, 68) + offset, start, places, headWidth, stride);
    clear(load<usize>(args, 72) + offset, start, places, headWidth, stride);
    clear(load<usize>(args, 76) + offset, start, places, headWidth, stride);
  }
}

function segmentGradient(args: usize, unit: i32, offset: usize, start: i32, length: i32, scratch: usize): void {
  const q = load<usize>(args, 0) + offset;
  const k = load<usize>(args, 4) + offset;
  const v = load<usize>(args, 8) + offset;
  const dContext = load<usize>(args, 64) + offset;
  const places = load<i32>(args, 32);
  const headWidth = load<i32>(args, 44);
  const stride = <usize>(load<i32>(args, 40) * headWidth) << 2;
  const threshold = load<i32>(args, 52);
  const rowBytes = (<usize>length + 7 & ~7) << 2;
  const keys = scratch + SCRATCH_WORK;
  const values = keys + rowBytes * <usize>headWidth;
  const probabilities = values + rowBytes * <usize>headWidth;
  const dScores = probabilities + rowBytes * <usize>length;
  const factors = dScores + rowBytes * <usize>length;
  const ones = factors + rowBytes;
  const statistics = load<usize>(args, 16) + (<usize>(unit * places + start) << 2);
  if (threshold != 0) {
    for (let at: usize = 0; at < rowBytes; at += 4) store<f32>(ones + at, 1);
  }
  packPanels(k, keys, length, headWidth, stride);
  packPanels(v, values, length, headWidth, stride);
  for (let i = 0; i < length; i += 4) {
    const height = min(4, length - i);
    const at = <usize>i * stride;
    const p = probabilities + <usize>i * rowBytes;
    const d = dScores + <usize>i * rowBytes;
    multiplyPanelsInto(q + at, stride, height, keys, headWidth, p, rowBytes, scratch);
    multiplyPanelsInto(dContext + at, stride, height, values, headWidth, d, rowBytes, scratch);
    for (let r = 0; r < height; r++) {
      if (threshold != 0) {
        const draw = load<usize>(args, 24);
        const index = decisionIndex(draw, unit, heads(args), places, start + i + r, start, load<i32>(args, 28));
        drop(ones, factors, length, draw, load<u32>(args, 48), index, threshold, load<f32>(args, 56), scratch);
      }
      const rowAt = at + <usize>r * stride;
      const shared = dot(dContext + rowAt, load<usize>(args, 12) + offset + rowAt, headWidth);
      const logSumExp = load<f32>(statistics + (<usize>(i + r) << 2));
      const rowOffset = <usize>r * rowBytes;
      scoreGradientRow(
        p + rowOffset, d + rowOffset, threshold == 0 ? 0 : factors, length, load<f32>(args, 60), logSumExp, shared,
      );
    }
    multiplyHead(d, rowBytes, height, k, stride, length, load<usize>(args, 68) + offset + at, headWidth, scratch);
  }
  for (let j = 0; j < length; j += 4) {
    const height = min(4, length - j);
    const at = offset + <usize>j * stride;
    const column = <usize>j << 2;
    multiplyHeadColumns(dScores + column, rowBytes, height, q, stride, length, load<usize>(args, 72) + at, headWidth, scratch);
    multiplyHeadColumns(
      probabilities + column, rowBytes, height, dContext, stride, length, load<usize>(args, 76) + at, headWidth, scratch,
    );
  }
}

/** As multiplyPanels, storing only the rows that are there: out has no room for others. */
function multiplyPanelsInto(
  a: usize, aStride: usize, height: i32, panels: usize, depth: i32, out: usize, rowBytes: usize, scratch: usize,
): void {
  if (height == 4) {
    multiplyPanels(a, aStride, height, panels, depth, out, rowBytes);
    return;
  }
  const tile = scratch + SCRATCH_TILE;
  for (let at: usize = 0; at < rowBytes; at += 32) {
    multiplyTileRows(a, aStride, height, panels + at * <usize>depth, 32, depth, 0, 0, tile, 32);
    copyTile(tile, 32, out + at, rowBytes, height, 8);
  }
}

/** out (height, head width) = rows of a (height, length) · b (length, head width). */
function multiplyHead(
  a: usize, aStride: usize, height: i32, b: usize, stride: usize, length: i32, out: usize, headWidth: i32, scratch: usize,
): void {
  for (let e = 0; e < headWidth; e += 8) {
    const at = <usize>e << 2;
    const width = min(8, headWidth - e);
    const isWhole = height == 4 && width == 8;
    const tile = isWhole ? out + at : scratch + SCRATCH_TILE;
    multiplyTileRows(a, aStride, height, b + at, stride, length, 0, 0, tile, isWhole ? stride : 32);
    if (!isWhole) copyTile(tile, 32, out + at, stride, height, width);
  }
}

/** out (height, head width) = columns of a (length, height)ᵀ · b (length, head width). */
function multiplyHeadColumns(
  a: usize, aStep: usize, height: i32, b: usize, stride: usize, length: i32, out: usize, headWidth: i32, scratch: usize,
): void {
  for (let e = 0; e < headWidth; e += 8) {
    const at = <usize>e << 2;
    const width = min(8, headWidth - e);
    const isWhole = height == 4 && width == 8;
    const tile = isWhole ? out + at : scratch + SCRATCH_TILE;
    multiplyTileColumns(a, aStep, b + at, stride, length, 0, 0, tile, isWhole ? stride : 32);
    if (!isWhole) copyTile(tile, 32, out + at, stride, height, width);
  }
}

function dot(x: usize, y: usize, count: i32): f32 {
  let sums = f32x4.splat(0);
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const at = <usize>i << 2;
    sums = madd(v128.load(x + at), v128.load(y + at), sums);
  }
  let sum = sumLanes(sums);
  for (; i < count; i++) {
    const at = <usize>i << 2;
    sum += load<f32>(x + at) * load<f32>(y + at);
  }
  return sum;
}

/** p: scores → probability · factor. d: gradient of that product → gradient of the score. */
function scoreGradientRow(
  p: usize, d: usize, factors: usize, count: i32, scale: f32, logSumExp: f32, shared: f32,
): void {
  const scales = f32x4.splat(scale);
  const shift = f32x4.splat(-logSumExp);
  const mean = f32x4.splat(shared);
  // Up to the panel's end: rows are padded to 8, and columns beyond `count` meet no row of the operands.
  for (let i = 0; i < count; i += 4) {
    const at = <usize>i << 2;
    const probability = exp4(madd(v128.load(p + at), scales, shift));
    const factor = factors == 0 ? f32x4.splat(1) : v128.load(factors + at);
    const change = f32x4.sub(f32x4.mul(v128.load(d + at), factor), mean);
    v128.store(d + at, f32x4.mul(f32x4.mul(probability, change), scales));
    v128.store(p + at, f32x4.mul(probability, factor));
  }
}
