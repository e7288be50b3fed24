/**
 * Attention, one (row of the batch, head) after another, inside the walls of its segments: what lies behind a wall or
 * is padding is not computed. All of one head's work stays in the second cache, in the thread's scratch.
 *
 * Every product goes through the microkernel of gemm.ts on operands packed here. L tokens of a segment, L8 = L rounded
 * up to 8, d the width of a head, d8 likewise; floats of scratch, which src/engines/wasm/operations/attention.ts sets
 * aside:
 *   forward   keys (L8 · d) and values (L · d8) in panels, four rows of scores (4 · L8), a band (4 · max(L8, d))
 *   gradient  keys and values transposed (2 · L8 · d), keys, queries and dContext as they are (3 · L · d8), score
 *             gradients and probabilities in bands by key (2 · L8 · L), four rows of each (8 · L8), a band, dropout
 *             factors and ones (2 · L8)
 */
import { drop, firstRowOf } from './draws';
import { multiplyRaggedTile, multiplyTile, packBands, packColumnPanels, packPanels } from './gemm';
import { exp4, log4, madd, sumLanes } from './math';
import { firstPlace, placesOf } from './packing';
import { SCRATCH_WORK } from './scratch';
import { takeUnit } from './shares';

/**
 * q, k, v, context, logSumExp, lengths, draw, rows, places, segments a row, heads, head width, stream, threshold
 * (0: no dropout), scale of dropout (f32), scale of scores (f32), firsts or 0.
 */
export function attention(args: usize, threads: i32, scratch: usize): void {
  visitHeads(args, threads, scratch, false);
}

/** (Row, head) pairs as the thread comes by them, segment by segment; behind the last one all outputs are zeros. */
// @ts-ignore: decorator
@inline
function visitHeads(args: usize, threads: i32, scratch: usize, isGradient: bool): void {
  const lengths = load<usize>(args, 20);
  const rows = load<i32>(args, 28);
  const places = load<i32>(args, 32);
  const segments = load<i32>(args, 36);
  const heads = load<i32>(args, 40);
  const headWidth = load<i32>(args, 44);
  const firsts = load<usize>(args, 64);
  const stride = <usize>(heads * headWidth) << 2;
  const units = rows * heads;
  for (let unit = takeUnit(args, units, threads); unit >= 0; unit = takeUnit(args, units, threads)) {
    const row = unit / heads;
    const offset = <usize>firstPlace(firsts, row, places) * stride + (<usize>((unit % heads) * headWidth) << 2);
    const end = placesOf(firsts, row, places);
    let start = 0;
    for (let s = row * segments; s < (row + 1) * segments; s++) {
      const length = load<i32>(lengths + (<usize>s << 2));
      if (length > 0) {
        const at = offset + <usize>start * stride;
        if (isGradient) segmentGradient(args, unit, at, start, length, scratch);
        else attendSegment(args, unit, at, start, length, scratch);
      }
      start += length;
    }
    if (isGradient) {
      clear(load<usize>(args, 72) + offset, start, end, headWidth, stride);
      clear(load<usize>(args, 76) + offset, start, end, headWidth, stride);
      clear(load<usize>(args, 80) + offset, start, end, headWidth, stride);
    } else {
      clear(load<usize>(args, 12) + offset, start, end, headWidth, stride);
      memory.fill(load<usize>(args, 16) + (<usize>(unit * places + start) << 2), 0, <usize>(places - start) << 2);
    }
  }
}

/** Zeros at the places [first, last) of one head. */
function clear(at: usize, first: i32, last: i32, headWidth: i32, stride: usize): void {
  for (let place = first; place < last; place++) memory.fill(at + <usize>place * stride, 0, <usize>headWidth << 2);
}

/** offset: of the segment's first token and this head in q, k, v and context. start: its place in the row. */
function attendSegment(args: usize, unit: i32, offset: usize, start: i32, length: i32, scratch: usize): void {
  const q = load<usize>(args, 0) + offset;
  const context = load<usize>(args, 12) + offset;
  const places = load<i32>(args, 32);
  const headWidth = load<i32>(args, 44);
  const stride = <usize>(load<i32>(args, 40) * headWidth) << 2;
  const threshold = load<i32>(args, 52);
  const rowBytes = <usize>roundUp(length) << 2;
  const keys = scratch + SCRATCH_WORK;
  const values = keys + rowBytes * <usize>headWidth;
  const scores = values + ((<usize>length * <usize>roundUp(headWidth)) << 2);
  const band = scores + (rowBytes << 2);
  const statistics = load<usize>(args, 16) + (<usize>(unit * places + start) << 2);
  packPanels(load<usize>(args, 4) + offset, keys, length, headWidth, stride);
  packColumnPanels(load<usize>(args, 8) + offset, values, headWidth, length, stride);
  for (let i = 0; i < length; i += 4) {
    const height = min(4, length - i);
    packBands(q + <usize>i * stride, band, height, headWidth, stride);
    multiplyPanels(band, keys, headWidth, scores, rowBytes);
    for (let r = 0; r < height; r++) {
      const row = scores + <usize>r * rowBytes;
      store<f32>(statistics + (<usize>(i + r) << 2), softmaxRow(row, length, load<f32>(args, 60)));
      if (threshold != 0) {
        const draw = load<usize>(args, 24);
        const index = decisionIndex(draw, unit, load<i32>(args, 40), places, start + i + r, start);
        drop(row, row, length, draw, load<u32>(args, 48), index, threshold, load<f32>(args, 56), scratch);
      }
    }
    packBands(scores, band, 4, length, rowBytes);
    multiplyHead(band, values, length, context + <usize>i * stride, stride, height, headWidth, scratch);
  }
}

// @ts-ignore: decorator
@inline
function roundUp(count: i32): i32 {
  return (count + 7) & ~7;
}

/** ((row · heads + head) · T + query) · T + key, rows counted over the whole batch. unit = row · heads + head of this part. */
// @ts-ignore: decorator
@inline
function decisionIndex(draw: usize, unit: i32, heads: i32, places: i32, query: i32, key: i32): u64 {
  const head = firstRowOf(draw) * <u64>heads + <u64>unit;
  return (head * <u64>places + <u64>query) * <u64>places + <u64>key;
}

/** A band times all panels (their number follows from rowBytes): out (4, L8). */
function multiplyPanels(band: usize, panels: usize, depth: i32, out: usize, rowBytes: usize): void {
  for (let at: usize = 0; at < rowBytes; at += 32) {
    multiplyTile(band, panels + at * <usize>depth, depth, 0, 0, out + at, rowBytes);
  }
}

/** out (height, head width) = a band · panels (length, head width). */
function multiplyHead(
  band: usize, panels: usize, length: i32, out: usize, stride: usize, height: i32, headWidth: i32, scratch: usize,
): void {
  for (let e = 0; e < headWidth; e += 8) {
    const panel = panels + ((<usize>e * <usize>length) << 2);
    multiplyRaggedTile(band, panel, length, out + (<usize>e << 2), stride, height, min(8, headWidth - e), scratch);
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
 * of dropout (f32), scale of scores (f32), firsts or 0, dContext, dq, dk, dv.
 */
export function attentionGradient(args: usize, threads: i32, scratch: usize): void {
  visitHeads(args, threads, scratch, true);
}

function segmentGradient(args: usize, unit: i32, offset: usize, start: i32, length: i32, scratch: usize): void {
  const q = load<usize>(args, 0) + offset;
  const k = load<usize>(args, 4) + offset;
  const v = load<usize>(args, 8) + offset;
  const dContext = load<usize>(args, 68) + offset;
  const places = load<i32>(args, 32);
  const headWidth = load<i32>(args, 44);
  const stride = <usize>(load<i32>(args, 40) * headWidth) << 2;
  const threshold = load<i32>(args, 52);
  const rowBytes = <usize>roundUp(length) << 2;
  const transposedBytes = rowBytes * <usize>headWidth;
  const panelBytes = (<usize>length * <usize>roundUp(headWidth)) << 2;
  const bandBytes = <usize>length << 4;
  const keysTransposed = scratch + SCRATCH_WORK;
  const valuesTransposed = keysTransposed + transposedBytes;
  const keys = valuesTransposed + transposedBytes;
  const queries = keys + panelBytes;
  const dContexts = queries + panelBytes;
  const dScoreBands = dContexts + panelBytes;
  const probabilityBands = dScoreBands + rowBytes * <usize>length;
  const scores = probabilityBands + rowBytes * <usize>length;
  const dScores = scores + (rowBytes << 2);
  const factors = dScores + (rowBytes << 2);
  const ones = factors + rowBytes;
  const band = ones + rowBytes;
  const statistics = load<usize>(args, 16) + (<usize>(unit * places + start) << 2);
  for (let at: usize = 0; at < rowBytes; at += 4) {
    store<f32>(ones + at, 1);
    store<f32>(factors + at, 1);
  }
  packPanels(k, keysTransposed, length, headWidth, stride);
  packPanels(v, valuesTransposed, length, headWidth, stride);
  packColumnPanels(k, keys, headWidth, length, stride);
  packColumnPanels(q, queries, headWidth, length, stride);
  packColumnPanels(dContext, dContexts, headWidth, length, stride);
  for (let i = 0; i < length; i += 4) {
    const height = min(4, length - i);
    const at = <usize>i * stride;
    packBands(q + at, band, height, headWidth, stride);
    multiplyPanels(band, keysTransposed, headWidth, scores, rowBytes);
    packBands(dContext + at, band, height, headWidth, stride);
    multiplyPanels(band, valuesTransposed, headWidth, dScores, rowBytes);
    for (let r = 0; r < height; r++) {
      if (threshold != 0) {
        const draw = load<usize>(args, 24);
        const index = decisionIndex(draw, unit, load<i32>(args, 40), places, start + i + r, start);
        drop(ones, factors, length, draw, load<u32>(args, 48), index, threshold, load<f32>(args, 56), scratch);
      }
      const rowAt = at + <usize>r * stride;
      scoreGradientRow(
        scores + <usize>r * rowBytes, dScores + <usize>r * rowBytes, factors, length, load<f32>(args, 60),
        load<f32>(statistics + (<usize>(i + r) << 2)),
        dot(dContext + rowAt, load<usize>(args, 12) + offset + rowAt, headWidth),
        probabilityBands + (<usize>(i + r) << 4), dScoreBands + (<usize>(i + r) << 4), bandBytes,
      );
    }
    packBands(dScores, band, 4, length, rowBytes);
    multiplyHead(band, keys, length, load<usize>(args, 72) + offset + at, stride, height, headWidth, scratch);
  }
  for (let j = 0; j < length; j += 4) {
    const height = min(4, length - j);
    const at = offset + <usize>j * stride;
    const bandAt = <usize>(j >> 2) * bandBytes;
    multiplyHead(dScoreBands + bandAt, queries, length, load<usize>(args, 76) + at, stride, height, headWidth, scratch);
    multiplyHead(
      probabilityBands + bandAt, dContexts, length, load<usize>(args, 80) + at, stride, height, headWidth, scratch,
    );
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

/**
 * One query: scores and gradients of the probabilities (times their factors) → gradients of the scores, in place and as
 * this query's step of the bands by key; probability · factor only there. Columns beyond `count` are up to a band's end
 * and meet rows that nobody stores.
 */
function scoreGradientRow(
  scores: usize, d: usize, factors: usize, count: i32, scale: f32, logSumExp: f32, shared: f32,
  probabilityBand: usize, dScoreBand: usize, bandBytes: usize,
): void {
  const scales = f32x4.splat(scale);
  const shift = f32x4.splat(-logSumExp);
  const mean = f32x4.splat(shared);
  for (let i = 0; i < count; i += 4) {
    const at = <usize>i << 2;
    const probability = exp4(madd(v128.load(scores + at), scales, shift));
    const factor = v128.load(factors + at);
    const change = f32x4.sub(f32x4.mul(v128.load(d + at), factor), mean);
    const dScore = f32x4.mul(f32x4.mul(probability, change), scales);
    v128.store(d + at, dScore);
    v128.store(dScoreBand, dScore);
    v128.store(probabilityBand, f32x4.mul(probability, factor));
    dScoreBand += bandBytes;
    probabilityBand += bandBytes;
  }
}
