/**
 * Attention, one (row of the batch, head) after another, inside the walls of its segments: what lies behind a wall or
 * is padding is not computed. All of one head's work stays in the second cache, in the thread's scratch.
 *
 * Six queries at a time: their rows times panels of keys are rows of scores, and those times panels of values rows of
 * the context, so nothing is packed between (multiplyRows). Probabilities are not divided by their sum; the row of the
 * context is. The gradient leaves probabilities and score gradients of all queries in panels by key, which it multiplies
 * by the columns of dContext and of q. Panels are taken two at a time where the machine takes two neighbouring vectors as
 * one (src/engines/wasm/wide.ts).
 *
 * Loops over rows of scores test at their end: only then does V8 move outside what does not change in them.
 *
 * L tokens of a segment, L8 = L rounded up to 8, d the width of a head, d6 and d8 likewise; floats of scratch, which
 * src/engines/wasm/operations/attention.ts sets aside:
 *   forward   keys (L8 · d) and values (L · d8) in panels, six rows of scores (6 · L8), their sums and the logarithms of
 *             these (16), addresses of rows (16), coefficients of powers (16), decisions of a row (L8 / 2 + 64)
 *   gradient  keys and values transposed (2 · L8 · d), keys as they are (L · d8), columns of q and dContext in bands
 *             (2 · L · d6), probabilities and score gradients in panels (2 · L8 · (L or L + 1, whichever is odd)), six
 *             rows of each (12 · L8), two panels of results (16 · d6), addresses of rows (24), coefficients, decisions
 */
import { drawRow, firstRowOf } from './draws';
import { copyTile, multiplySix, multiplyWide, packColumnPanels, packColumns, packPanels } from './gemm';
import { log4, madd, power4, sumLanes, writePower } from './math';
import { firstPlace, placesOf } from './packing';
import { SCRATCH_TILE, SCRATCH_WIDE, SCRATCH_WORK, SCRATCH_ZEROS } from './scratch';
import { takeUnit } from './shares';

/** Queries that are computed at a time. */
const ROWS: i32 = 6;

/** Bytes of all places of a row of the batch, for which the second cache has room five times over. */
const FETCHED: usize = 0x30000;

const LOG2_E: f32 = 1.4426950408889634;

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
    if (unit % heads == 0) {
      const at = <usize>firstPlace(firsts, row, places) * stride;
      const bytes = <usize>end * stride;
      fetch(load<usize>(args, 0) + at, bytes, scratch);
      fetch(load<usize>(args, 4) + at, bytes, scratch);
      fetch(load<usize>(args, 8) + at, bytes, scratch);
      if (isGradient) {
        fetch(load<usize>(args, 12) + at, bytes, scratch);
        fetch(load<usize>(args, 68) + at, bytes, scratch);
      }
    }
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

/**
 * Brings `bytes` into the second cache by reading them from end to end, as memory is read fastest: heads pick a few lines
 * out of every row, and would wait for each. Nothing where there is too much.
 */
function fetch(from: usize, bytes: usize, scratch: usize): void {
  if (bytes > FETCHED) return;
  let all = i32x4.splat(0);
  for (const end = from + bytes; from < end; from += 64) all = v128.xor(all, v128.load(from));
  // Somebody must want what is read.
  v128.store(scratch + SCRATCH_TILE, all);
}

/** Zeros at the places [first, last) of one head. */
function clear(at: usize, first: i32, last: i32, headWidth: i32, stride: usize): void {
  for (let place = first; place < last; place++) memory.fill(at + <usize>place * stride, 0, <usize>headWidth << 2);
}

/** offset: of the segment's first token and this head in q, k, v and context. start: its place in the row. */
function attendSegment(args: usize, unit: i32, offset: usize, start: i32, length: i32, scratch: usize): void {
  const context = load<usize>(args, 12) + offset;
  const headWidth = load<i32>(args, 44);
  const stride = <usize>(load<i32>(args, 40) * headWidth) << 2;
  const scale = load<f32>(args, 60);
  const rowBytes = <usize>roundUp(length, 8) << 2;
  const keys = scratch + SCRATCH_WORK;
  const values = keys + rowBytes * <usize>headWidth;
  const scores = values + ((<usize>length * <usize>roundUp(headWidth, 8)) << 2);
  const sums = scores + rowBytes * ROWS;
  const queryRows = sums + 64;
  const scoreRows = queryRows + 32;
  const powers = scoreRows + 32;
  const drawn = powers + 64;
  const statistics = load<usize>(args, 16) + (<usize>(unit * load<i32>(args, 32) + start) << 2);
  packPanels(load<usize>(args, 4) + offset, keys, length, headWidth, stride);
  packColumnPanels(load<usize>(args, 8) + offset, values, headWidth, length, stride);
  writePower(powers);
  placeRows(scoreRows, scores, rowBytes, ROWS);
  for (let i = 0; i < length; i += ROWS) {
    const height = min(ROWS, length - i);
    const at = <usize>i * stride;
    placeRows(queryRows, load<usize>(args, 0) + offset + at, stride, height);
    multiplyKeys(queryRows, keys, headWidth, scores, rowBytes, scratch);
    for (let r = 0; r < height; r++) {
      const row = scores + <usize>r * rowBytes;
      const sum = sums + (<usize>r << 2);
      const decisions = decisionsOf(args, unit, start, i + r, length, drawn);
      const largest = exponentials(row, length, scale, decisions, load<i32>(args, 52), sum, powers);
      store<f32>(statistics + (<usize>(i + r) << 2), largest * scale);
    }
    multiplyScores(scoreRows, values, length, context + at, stride, height, headWidth, scratch);
    addLogarithms(sums, statistics + (<usize>i << 2), height);
    for (let r = 0; r < height; r++) {
      const factor = load<f32>(args, 56) / load<f32>(sums + (<usize>r << 2));
      multiplyBy(factor, context + at + <usize>r * stride, headWidth);
    }
  }
}

// @ts-ignore: decorator
@inline
function roundUp(count: i32, to: i32): i32 {
  return ((count + to - 1) / to) * to;
}

/**
 * Dropout's decisions about all keys of a query, drawn at `drawn`: those from
 * ((row · heads + head) · T + query) · T + key on, rows counted over the whole batch; unit = row · heads + head of this
 * part.
 */
function decisionsOf(args: usize, unit: i32, start: i32, query: i32, length: i32, drawn: usize): usize {
  if (load<i32>(args, 52) == 0) return drawn;
  const draw = load<usize>(args, 24);
  const places = <u64>load<i32>(args, 32);
  const head = firstRowOf(draw) * <u64>load<i32>(args, 40) + <u64>unit;
  const first = (head * places + <u64>(start + query)) * places + <u64>start;
  return drawRow(draw, load<u32>(args, 48), first, length, drawn);
}

/** Where six rows lie, `stride` bytes apart, for multiplyRows; of them `height` are there, and the last stands for the others. */
function placeRows(rows: usize, from: usize, stride: usize, height: i32): void {
  for (let r = 0; r < ROWS; r++) store<usize>(rows + (<usize>r << 2), from + <usize>min(r, height - 1) * stride);
}

/** Six rows times all panels of keys: rows of scores, rowBytes long. */
function multiplyKeys(
  rows: usize, panels: usize, depth: i32, scores: usize, rowBytes: usize, scratch: usize,
): void {
  let at: usize = 0;
  if (load<i32>(scratch + SCRATCH_WIDE) != 0) {
    for (; at + 64 <= rowBytes; at += 64) {
      multiplyRowsWide(rows, panels + at * <usize>depth, depth, scores + at, rowBytes);
    }
  }
  for (; at < rowBytes; at += 32) {
    multiplyRows(rows, panels + at * <usize>depth, depth, scores + at, rowBytes);
  }
}

/** out (height, head width) = six rows of scores times panels `length` deep. */
function multiplyScores(
  rows: usize, panels: usize, length: i32, out: usize, stride: usize, height: i32, headWidth: i32, scratch: usize,
): void {
  let e = 0;
  if (height == ROWS && load<i32>(scratch + SCRATCH_WIDE) != 0) {
    for (; e + 16 <= headWidth; e += 16) {
      multiplyRowsWide(rows, panels, length, out, stride);
      panels += <usize>length << 6;
      out += 64;
    }
  }
  for (; e < headWidth; e += 8) {
    if (height == ROWS && e + 8 <= headWidth) {
      multiplyRows(rows, panels, length, out, stride);
    } else {
      multiplyRows(rows, panels, length, scratch + SCRATCH_TILE, 32);
      copyTile(scratch + SCRATCH_TILE, 32, out, stride, height, min(8, headWidth - e));
    }
    panels += <usize>length << 5;
    out += 32;
  }
}

/**
 * C (6, 8) = six rows, by their addresses, times a panel, both `depth` deep. As multiplySix in registers and instructions:
 * addresses come from memory because the compiler would compute others again in the loop, and the loop is not nested
 * because it would be unrolled and spill.
 */
function multiplyRows(rows: usize, b: usize, depth: i32, to: usize, toStride: usize): void {
  const a0 = load<usize>(rows);
  const a1 = load<usize>(rows, 4);
  const a2 = load<usize>(rows, 8);
  const a3 = load<usize>(rows, 12);
  const a4 = load<usize>(rows, 16);
  const a5 = load<usize>(rows, 20);
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  let c40 = c00;
  let c41 = c00;
  let c50 = c00;
  let c51 = c00;
  const end = <usize>depth << 2;
  for (let k: usize = 0; k < end; k += 4) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load32_splat(a0 + k);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = v128.load32_splat(a1 + k);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = v128.load32_splat(a2 + k);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = v128.load32_splat(a3 + k);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    x = v128.load32_splat(a4 + k);
    c40 = madd(x, b0, c40);
    c41 = madd(x, b1, c41);
    x = v128.load32_splat(a5 + k);
    c50 = madd(x, b0, c50);
    c51 = madd(x, b1, c51);
    b += 32;
  }
  v128.store(to, c00);
  v128.store(to, c01, 16);
  to += toStride;
  v128.store(to, c10);
  v128.store(to, c11, 16);
  to += toStride;
  v128.store(to, c20);
  v128.store(to, c21, 16);
  to += toStride;
  v128.store(to, c30);
  v128.store(to, c31, 16);
  to += toStride;
  v128.store(to, c40);
  v128.store(to, c41, 16);
  to += toStride;
  v128.store(to, c50);
  v128.store(to, c51, 16);
}

/** C (6, 16) = six rows, by their addresses, times two panels that follow each other, where vectors are wide. */
function multiplyRowsWide(rows: usize, b: usize, depth: i32, to: usize, toStride: usize): void {
  const a0 = load<usize>(rows);
  const a1 = load<usize>(rows, 4);
  const a2 = load<usize>(rows, 8);
  const a3 = load<usize>(rows, 12);
  const a4 = load<usize>(rows, 16);
  const a5 = load<usize>(rows, 20);
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c02 = c00;
  let c03 = c00;
  let c10 = c00;
  let c11 = c00;
  let c12 = c00;
  let c13 = c00;
  let c20 = c00;
  let c21 = c00;
  let c22 = c00;
  let c23 = c00;
  let c30 = c00;
  let c31 = c00;
  let c32 = c00;
  let c33 = c00;
  let c40 = c00;
  let c41 = c00;
  let c42 = c00;
  let c43 = c00;
  let c50 = c00;
  let c51 = c00;
  let c52 = c00;
  let c53 = c00;
  const end = <usize>depth << 2;
  const next = end << 3;
  for (let k: usize = 0; k < end; k += 4) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const b2 = v128.load(b + next);
    const b3 = v128.load(b + next, 16);
    let x = v128.load32_splat(a0 + k);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    c02 = madd(x, b2, c02);
    c03 = madd(x, b3, c03);
    x = v128.load32_splat(a1 + k);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    c12 = madd(x, b2, c12);
    c13 = madd(x, b3, c13);
    x = v128.load32_splat(a2 + k);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    c22 = madd(x, b2, c22);
    c23 = madd(x, b3, c23);
    x = v128.load32_splat(a3 + k);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    c32 = madd(x, b2, c32);
    c33 = madd(x, b3, c33);
    x = v128.load32_splat(a4 + k);
    c40 = madd(x, b0, c40);
    c41 = madd(x, b1, c41);
    c42 = madd(x, b2, c42);
    c43 = madd(x, b3, c43);
    x = v128.load32_splat(a5 + k);
    c50 = madd(x, b0, c50);
    c51 = madd(x, b1, c51);
    c52 = madd(x, b2, c52);
    c53 = madd(x, b3, c53);
    b += 32;
  }
  v128.store(to, c00);
  v128.store(to, c01, 16);
  v128.store(to, c02, 32);
  v128.store(to, c03, 48);
  to += toStride;
  v128.store(to, c10);
  v128.store(to, c11, 16);
  v128.store(to, c12, 32);
  v128.store(to, c13, 48);
  to += toStride;
  v128.store(to, c20);
  v128.store(to, c21, 16);
  v128.store(to, c22, 32);
  v128.store(to, c23, 48);
  to += toStride;
  v128.store(to, c30);
  v128.store(to, c31, 16);
  v128.store(to, c32, 32);
  v128.store(to, c33, 48);
  to += toStride;
  v128.store(to, c40);
  v128.store(to, c41, 16);
  v128.store(to, c42, 32);
  v128.store(to, c43, 48);
  to += toStride;
  v128.store(to, c50);
  v128.store(to, c51, 16);
  v128.store(to, c52, 32);
  v128.store(to, c53, 48);
}

/**
 * A row of scores → exponentials of what they are below the largest, scaled, and 0 where dropped. Stores the sum of those
 * before dropping and returns the largest score.
 */
function exponentials(
  row: usize, count: i32, scale: f32, decisions: usize, threshold: i32, sum: usize, powers: usize,
): f32 {
  const bytes = <usize>roundUp(count, 8) << 2;
  // Columns beyond the last key: their 2⁻¹²⁶ is nothing beside a sum of at least 1.
  for (let at = <usize>count << 2; at < bytes; at += 4) store<f32>(row + at, -Infinity);
  let most0 = v128.load(row);
  let most1 = v128.load(row, 16);
  for (let at: usize = 32; at < bytes; at += 32) {
    most0 = f32x4.pmax(most0, v128.load(row + at));
    most1 = f32x4.pmax(most1, v128.load(row + at, 16));
  }
  const pairs = f32x4.pmax(most0, most1);
  const halves = f32x4.pmax(pairs, v128.shuffle<i32>(pairs, pairs, 2, 3, 0, 1));
  const most = f32x4.pmax(halves, v128.shuffle<i32>(halves, halves, 1, 0, 3, 2));
  const scales = f32x4.splat(scale * LOG2_E);
  const shift = f32x4.mul(f32x4.neg(most), scales);
  const limit = i16x8.splat(<i16>threshold);
  let sums0 = f32x4.splat(0);
  let sums1 = sums0;
  let at: usize = 0;
  do {
    const kept = i16x8.ge_u(v128.load(decisions + (at >> 1)), limit);
    const e0 = power4(madd(v128.load(row + at), scales, shift), powers);
    const e1 = power4(madd(v128.load(row + at, 16), scales, shift), powers);
    sums0 = f32x4.add(sums0, e0);
    sums1 = f32x4.add(sums1, e1);
    v128.store(row + at, v128.and(e0, i32x4.extend_low_i16x8_s(kept)));
    v128.store(row + at, v128.and(e1, i32x4.extend_high_i16x8_s(kept)), 16);
    at += 32;
  } while (at < bytes);
  store<f32>(sum, sumLanes(f32x4.add(sums0, sums1)));
  return f32x4.extract_lane(most, 0);
}

/** statistics += ln of six sums, of which `count` are there. */
function addLogarithms(sums: usize, statistics: usize, count: i32): void {
  v128.store(sums + 32, log4(v128.load(sums)));
  v128.store(sums + 32, log4(v128.load(sums, 16)), 16);
  for (let at: usize = 0; at < <usize>count << 2; at += 4) {
    store<f32>(statistics + at, load<f32>(statistics + at) + load<f32>(sums + at, 32));
  }
}

/** x ← x · factor. */
function multiplyBy(factor: f32, x: usize, count: i32): void {
  const end = x + (<usize>count << 2);
  const whole = end - 32;
  const factors = f32x4.splat(factor);
  for (; x <= whole; x += 32) {
    v128.store(x, f32x4.mul(v128.load(x), factors));
    v128.store(x, f32x4.mul(v128.load(x, 16), factors), 16);
  }
  for (; x < end; x += 4) store<f32>(x, load<f32>(x) * factor);
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
  const dContext = load<usize>(args, 68) + offset;
  const headWidth = load<i32>(args, 44);
  const stride = <usize>(load<i32>(args, 40) * headWidth) << 2;
  const dropoutScale = load<f32>(args, 56);
  const scale = load<f32>(args, 60);
  const rowBytes = <usize>roundUp(length, 8) << 2;
  const columnBytes = <usize>roundUp(headWidth, ROWS) << 2;
  /** An odd number of rows: panels would else push each other out of the first cache. */
  const panelBytes = <usize>(length | 1) << 5;
  const keysTransposed = scratch + SCRATCH_WORK;
  const valuesTransposed = keysTransposed + rowBytes * <usize>headWidth;
  const keys = valuesTransposed + rowBytes * <usize>headWidth;
  const queryColumns = keys + ((<usize>length * <usize>roundUp(headWidth, 8)) << 2);
  const dContextColumns = queryColumns + columnBytes * <usize>length;
  const probabilities = dContextColumns + columnBytes * <usize>length;
  const dScores = probabilities + (rowBytes >> 5) * panelBytes;
  const rows = dScores + (rowBytes >> 5) * panelBytes;
  const dRows = rows + rowBytes * ROWS;
  const results = dRows + rowBytes * ROWS;
  const queryRows = results + (columnBytes << 4);
  const dContextRows = queryRows + 32;
  const scoreRows = dContextRows + 32;
  const powers = scoreRows + 32;
  const drawn = powers + 64;
  const statistics = load<usize>(args, 16) + (<usize>(unit * load<i32>(args, 32) + start) << 2);
  packPanels(k, keysTransposed, length, headWidth, stride);
  packPanels(load<usize>(args, 8) + offset, valuesTransposed, length, headWidth, stride);
  packColumnPanels(k, keys, headWidth, length, stride);
  packColumns(q, queryColumns, headWidth, length, stride, <usize>length * (ROWS * 4));
  packColumns(dContext, dContextColumns, headWidth, length, stride, <usize>length * (ROWS * 4));
  writePower(powers);
  placeRows(scoreRows, dRows, rowBytes, ROWS);
  for (let i = 0; i < length; i += ROWS) {
    const height = min(ROWS, length - i);
    const at = <usize>i * stride;
    placeRows(queryRows, q + at, stride, height);
    placeRows(dContextRows, dContext + at, stride, height);
    multiplyKeys(queryRows, keysTransposed, headWidth, rows, rowBytes, scratch);
    multiplyKeys(dContextRows, valuesTransposed, headWidth, dRows, rowBytes, scratch);
    for (let r = 0; r < height; r++) {
      const rowAt = at + <usize>r * stride;
      const inPanel = <usize>(i + r) << 5;
      scoreGradients(
        rows + <usize>r * rowBytes, dRows + <usize>r * rowBytes, rowBytes, scale, dropoutScale,
        load<f32>(statistics + (<usize>(i + r) << 2)),
        dot(dContext + rowAt, load<usize>(args, 12) + offset + rowAt, headWidth),
        decisionsOf(args, unit, start, i + r, length, drawn), load<i32>(args, 52),
        probabilities + inPanel, dScores + inPanel, panelBytes, powers,
      );
    }
    multiplyScores(scoreRows, keys, length, load<usize>(args, 72) + offset + at, stride, height, headWidth, scratch);
  }
  const keysAtOnce = load<i32>(scratch + SCRATCH_WIDE) == 0 ? 8 : 16;
  for (let j = 0; j < length; j += keysAtOnce) {
    const at = offset + <usize>j * stride;
    const panel = (<usize>j >> 3) * panelBytes;
    const width = min(keysAtOnce, length - j);
    multiplyColumns(queryColumns, dScores + panel, panelBytes, length, results, headWidth, width, scratch);
    storeTransposed(results, load<usize>(args, 76) + at, headWidth, width, stride, 1);
    multiplyColumns(dContextColumns, probabilities + panel, panelBytes, length, results, headWidth, width, scratch);
    storeTransposed(results, load<usize>(args, 80) + at, headWidth, width, stride, dropoutScale);
  }
}

/** out [head width][16], of which `width` are wanted = bands of six columns · one panel or two, all `length` deep. */
function multiplyColumns(
  bands: usize, panel: usize, panelBytes: usize, length: i32, out: usize, headWidth: i32, width: i32, scratch: usize,
): void {
  const zeros = scratch + SCRATCH_ZEROS;
  for (let e = 0; e < headWidth; e += ROWS) {
    if (width > 8) multiplyWide(bands, panel, panelBytes, length, zeros, 0, out, 64);
    else multiplySix(bands, panel, length, zeros, 0, out, 64);
    bands += <usize>length * (ROWS * 4);
    out += ROWS * 64;
  }
}

/** out[column][row] = from[row][16] · factor, `columns` of the sixteen. */
function storeTransposed(from: usize, out: usize, rows: i32, columns: i32, stride: usize, factor: f32): void {
  const factors = f32x4.splat(factor);
  let row = 0;
  for (; row + 4 <= rows; row += 4) {
    let half = from;
    let to = out;
    let column = 0;
    for (; column + 4 <= columns; column += 4) {
      const a = f32x4.mul(v128.load(half), factors);
      const b = f32x4.mul(v128.load(half, 64), factors);
      const c = f32x4.mul(v128.load(half, 128), factors);
      const d = f32x4.mul(v128.load(half, 192), factors);
      const abLow = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
      const cdLow = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
      const abHigh = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
      const cdHigh = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
      v128.store(to, v128.shuffle<i64>(abLow, cdLow, 0, 2));
      to += stride;
      v128.store(to, v128.shuffle<i64>(abLow, cdLow, 1, 3));
      to += stride;
      v128.store(to, v128.shuffle<i64>(abHigh, cdHigh, 0, 2));
      to += stride;
      v128.store(to, v128.shuffle<i64>(abHigh, cdHigh, 1, 3));
      to += stride;
      half += 16;
    }
    for (; column < columns; column++) {
      store<f32>(to, load<f32>(half) * factor);
      store<f32>(to, load<f32>(half, 64) * factor, 4);
      store<f32>(to, load<f32>(half, 128) * factor, 8);
      store<f32>(to, load<f32>(half, 192) * factor, 12);
      half += 4;
      to += stride;
    }
    from += 256;
    out += 16;
  }
  for (; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      store<f32>(out + <usize>column * stride, load<f32>(from + (<usize>column << 2)) * factor);
    }
    from += 64;
    out += 4;
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
 * One query. Scores → probabilities, 0 where dropped, in its row of the panels; d, gradients of the probabilities before
 * dropping → gradients of the scores, in place and in the panels. shared: Σ probability · d · factor. Columns beyond the
 * last key meet rows that nobody stores.
 */
function scoreGradients(
  scores: usize, d: usize, bytes: usize, scale: f32, dropoutScale: f32, logSumExp: f32, shared: f32, decisions: usize,
  threshold: i32, probabilities: usize, dScores: usize, panelBytes: usize, powers: usize,
): void {
  const scales = f32x4.splat(scale * LOG2_E);
  const shift = f32x4.splat(-logSumExp * LOG2_E);
  const factors = f32x4.splat(scale * dropoutScale);
  const mean = f32x4.splat(-shared * scale);
  const limit = i16x8.splat(<i16>threshold);
  let at: usize = 0;
  do {
    const kept = i16x8.ge_u(v128.load(decisions + (at >> 1)), limit);
    const kept0 = i32x4.extend_low_i16x8_s(kept);
    const kept1 = i32x4.extend_high_i16x8_s(kept);
    const probability0 = power4(madd(v128.load(scores + at), scales, shift), powers);
    const probability1 = power4(madd(v128.load(scores + at, 16), scales, shift), powers);
    const change0 = madd(v128.and(v128.load(d + at), kept0), factors, mean);
    const change1 = madd(v128.and(v128.load(d + at, 16), kept1), factors, mean);
    const dScore0 = f32x4.mul(probability0, change0);
    const dScore1 = f32x4.mul(probability1, change1);
    v128.store(probabilities, v128.and(probability0, kept0));
    v128.store(probabilities, v128.and(probability1, kept1), 16);
    v128.store(d + at, dScore0);
    v128.store(d + at, dScore1, 16);
    v128.store(dScores, dScore0);
    v128.store(dScores, dScore1, 16);
    probabilities += panelBytes;
    dScores += panelBytes;
    at += 32;
  } while (at < bytes);
}
