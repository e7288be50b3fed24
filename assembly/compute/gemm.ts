/**
 * Matrix products: C (M, N) = start + A (M, K) · B (K, N), all three forms of training from one microkernel.
 *
 *   B is packed beforehand into panels of eight columns, [⌈N / 8⌉][k][8] for every block of K, zeros beyond N.
 *     PackTransposed   B[k][n] = w[n][k]     x · Wᵀ: the forward product
 *     PackRows         B[k][n] = w[k][n]     dy · W and dyᵀ · x
 *   A is packed into bands of six rows, [⌈M / 6⌉][k][6]: by whoever computes a tile, in its own scratch, where A lies in
 *   rows; beforehand where it lies in columns, since a tile's part of them is a few numbers from each of many pages.
 *     MultiplyRows     A[m][k] = a[m][k]
 *     PackBands        A[m][k] = a[k][m]     dyᵀ · x
 *     MultiplyBands
 *
 * C is cut into tiles that the host chooses by shape alone, runs of bands by runs of panels, and K into blocks of
 * Block.Depth, which lie one behind the other (panels that are all of K long would meet in few sets of a cache). A band
 * (12 KiB) stays in the first cache while the tile's panels, which the second holds, stream past it, and C is written
 * along its rows. Tiles are taken one below the other, so the next one's panels are there already.
 * start: zero, a bias row, or a matrix like C, which may be C.
 *
 * The microkernel: twelve accumulators, two vectors of a panel and one of a band are the fifteen registers that V8
 * allocates. Per step of k 12 multiply-adds (6 cycles) and some 30 instructions in all: 0.99 of the measured peak on
 * operands in the first cache (AMD EPYC with 48 KiB of it, 4.3 GHz, Node 20, relaxed SIMD); 4 × 8 comes to 0.92, bound
 * by its address arithmetic, and so does 4 × 8 unrolled over k; 6 × 8 unrolled and 4 × 12 spill. Where the machine takes
 * two neighbouring vectors as one (src/engines/wasm/wide.ts), 6 × 16 are as many registers and instructions.
 */
import { gelu4, madd, tanh4 } from './math';
import { Block } from './opcodes';
import { SCRATCH_GELU, SCRATCH_TILE, SCRATCH_WIDE, SCRATCH_WORK, SCRATCH_ZEROS } from './scratch';
import { firstUnit, takeUnit, unitsOf } from './shares';

/** Rows of a source that one unit of PackRows copies. */
const PACK_ROWS: i32 = 64;

/** Elements of the panels that one unit of PackTransposed fills, or a little less. */
const PACK_ELEMENTS: i32 = 16384;

/** Rows of a band. */
const BAND: i32 = 6;


/** w, panels, N, K, row stride of w: panels of B[k][n] = w[n][k]. */
export function packTransposed(args: usize, threads: i32): void {
  const w = load<usize>(args, 0);
  const panels = load<usize>(args, 4);
  const columns = load<i32>(args, 8);
  const depth = load<i32>(args, 12);
  const stride = <usize>load<i32>(args, 16) << 2;
  const width = max(1, PACK_ELEMENTS / (depth << 3)) << 3;
  const units = unitsOf(columns, width);
  for (let unit = takeUnit(args, units, threads); unit >= 0; unit = takeUnit(args, units, threads)) {
    const n = unit * width;
    for (let k0 = 0; k0 < depth; k0 += Block.Depth) {
      const deep = min<i32>(Block.Depth, depth - k0);
      const from = w + <usize>n * stride + (<usize>k0 << 2);
      packPanels(from, panels + panelOffset(columns, k0, n, deep), min(width, columns - n), deep, stride);
    }
  }
}

/** Bytes before the panel that begins with column n, in the block of K that begins with k0 and is `deep` long. */
// @ts-ignore: decorator
@inline
function panelOffset(columns: i32, k0: i32, n: i32, deep: i32): usize {
  return (<usize>k0 * <usize>((columns + 7) & ~7) + <usize>n * <usize>deep) << 2;
}

/** Panels of B[k][n] = w[n][k] by one thread. */
export function packPanels(w: usize, panels: usize, columns: i32, depth: i32, stride: usize): void {
  for (let n = 0; n < columns; n += 8) {
    packPanel(w + <usize>n * stride, panels + <usize>n * <usize>depth * 4, columns - n, depth, stride);
  }
}

function packPanel(from: usize, out: usize, rows: i32, depth: i32, stride: usize): void {
  packFourTransposed(from, out, 32, rows, depth, stride);
  packFourTransposed(from + (stride << 2), out + 16, 32, rows - 4, depth, stride);
}

/** out[k · step …] = four values, one from each row; of the rows `rows` are there, and the others give zeros. */
// @ts-ignore: decorator
@inline
function packFourTransposed(from: usize, out: usize, step: usize, rows: i32, depth: i32, stride: usize): void {
  if (rows >= 4) {
    const row1 = from + stride;
    const row2 = row1 + stride;
    const row3 = row2 + stride;
    let at: usize = 0;
    const bytes = <usize>depth << 2;
    const whole = bytes & ~15;
    for (; at < whole; at += 16) {
      const a = v128.load(from + at);
      const b = v128.load(row1 + at);
      const c = v128.load(row2 + at);
      const d = v128.load(row3 + at);
      const abLow = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
      const cdLow = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
      const abHigh = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
      const cdHigh = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
      v128.store(out, v128.shuffle<i64>(abLow, cdLow, 0, 2));
      out += step;
      v128.store(out, v128.shuffle<i64>(abLow, cdLow, 1, 3));
      out += step;
      v128.store(out, v128.shuffle<i64>(abHigh, cdHigh, 0, 2));
      out += step;
      v128.store(out, v128.shuffle<i64>(abHigh, cdHigh, 1, 3));
      out += step;
    }
    for (; at < bytes; at += 4) {
      store<f32>(out, load<f32>(from + at));
      store<f32>(out, load<f32>(row1 + at), 4);
      store<f32>(out, load<f32>(row2 + at), 8);
      store<f32>(out, load<f32>(row3 + at), 12);
      out += step;
    }
  } else {
    for (let k = 0; k < depth; k++) {
      for (let row = 0; row < 4; row++) {
        store<f32>(out + (<usize>row << 2), row < rows ? load<f32>(from + <usize>row * stride + (<usize>k << 2)) : 0);
      }
      out += step;
    }
  }
}

/** w, panels, K, N, row stride of w: panels of B[k][n] = w[k][n], eight rows at a time as in packColumns. */
export function packRows(args: usize, threads: i32): void {
  const w = load<usize>(args, 0);
  const panels = load<usize>(args, 4);
  const depth = load<i32>(args, 8);
  const columns = load<i32>(args, 12);
  const stride = <usize>load<i32>(args, 16) << 2;
  const units = unitsOf(depth, PACK_ROWS);
  for (let unit = takeUnit(args, units, threads); unit >= 0; unit = takeUnit(args, units, threads)) {
    const last = min(depth, (unit + 1) * PACK_ROWS);
    const k0 = unit * PACK_ROWS / Block.Depth * Block.Depth;
    const deep = min<i32>(Block.Depth, depth - k0);
    const block = panels + panelOffset(columns, k0, 0, deep);
    for (let k = unit * PACK_ROWS; k < last; k += 8) {
      packRowsOfPanels(w + <usize>k * stride, block + (<usize>(k - k0) << 5), min(8, last - k), columns, deep, stride);
    }
  }
}

export function packRowsOfPanels(from: usize, out: usize, rows: i32, columns: i32, depth: i32, stride: usize): void {
  const panelBytes = <usize>depth << 5;
  let n = 0;
  for (; n + 8 <= columns; n += 8) {
    let source = from + (<usize>n << 2);
    for (let k: usize = 0; k < <usize>rows << 5; k += 32) {
      v128.store(out + k, v128.load(source));
      v128.store(out + k, v128.load(source, 16), 16);
      source += stride;
    }
    out += panelBytes;
  }
  for (let k = 0; n < columns && k < rows; k++) {
    for (let i = 0; i < 8; i++) {
      const value = n + i < columns ? load<f32>(from + <usize>k * stride + (<usize>(n + i) << 2)) : 0;
      store<f32>(out + (<usize>k << 5) + (<usize>i << 2), value);
    }
  }
}

/** Bytes before the band that begins with row m, in the block of K that begins with k0 and is `deep` long. */
// @ts-ignore: decorator
@inline
function bandOffset(rows: i32, k0: i32, m: i32, deep: i32): usize {
  return (<usize>k0 * <usize>(unitsOf(rows, BAND) * BAND) + <usize>m * <usize>deep) << 2;
}

/** a, bands, K, M, row stride of a: bands of A[m][k] = a[k][m], read along its rows. */
export function packBands(args: usize, threads: i32): void {
  const a = load<usize>(args, 0);
  const bands = load<usize>(args, 4);
  const depth = load<i32>(args, 8);
  const rows = load<i32>(args, 12);
  const stride = <usize>load<i32>(args, 16) << 2;
  const units = unitsOf(depth, PACK_ROWS);
  for (let unit = takeUnit(args, units, threads); unit >= 0; unit = takeUnit(args, units, threads)) {
    const k = unit * PACK_ROWS;
    const k0 = k / Block.Depth * Block.Depth;
    const deep = min<i32>(Block.Depth, depth - k0);
    const out = bands + bandOffset(rows, k0, 0, deep) + <usize>(k - k0) * (BAND * 4);
    packColumns(a + <usize>k * stride, out, rows, min(PACK_ROWS, depth - k), stride, <usize>deep * (BAND * 4));
  }
}

/**
 * a, row stride of a, panels, c, start or 0, row stride of start (0: one row for all), M, N, K, runs of bands, runs of
 * panels, activation (0 none, 1 gelu, 2 tanh), y: activation(c) where there is one. scratch holds Block.Depth × the rows
 * of a tile.
 */
export function multiplyRows(args: usize, threads: i32, scratch: usize): void {
  multiply(args, threads, scratch, false);
}

/** The same with a in bands already, as packBands leaves it. */
export function multiplyBands(args: usize, threads: i32, scratch: usize): void {
  multiply(args, threads, scratch, true);
}

// @ts-ignore: decorator
@inline
function multiply(args: usize, threads: i32, scratch: usize, inBands: bool): void {
  const a = load<usize>(args, 0);
  const aStride = <usize>load<i32>(args, 4) << 2;
  const c = load<usize>(args, 12);
  const rows = load<i32>(args, 24);
  const columns = load<i32>(args, 28);
  const depth = load<i32>(args, 32);
  const down = load<i32>(args, 36);
  const across = load<i32>(args, 40);
  const activation = load<i32>(args, 44);
  const allBands = unitsOf(rows, BAND);
  const allPanels = unitsOf(columns, 8);
  let bands = scratch + SCRATCH_WORK;
  /** The run of bands that lies in scratch, where one block is all of K. */
  let packed = -1;
  for (let tile = takeUnit(args, down * across, threads); tile >= 0; tile = takeUnit(args, down * across, threads)) {
    const m0 = firstUnit(allBands, tile % down, down) * BAND;
    const m1 = min(rows, firstUnit(allBands, tile % down + 1, down) * BAND);
    const n0 = firstUnit(allPanels, tile / down, across) << 3;
    const n1 = min(columns, firstUnit(allPanels, tile / down + 1, across) << 3);
    // Once also where there is nothing to sum: what the product starts from is its result then.
    for (let k0 = 0; k0 == 0 || k0 < depth; k0 += Block.Depth) {
      const deep = min<i32>(Block.Depth, depth - k0);
      if (inBands) {
        bands = a + bandOffset(rows, k0, m0, deep);
      } else if (depth > Block.Depth || tile % down != packed) {
        packSixes(a + <usize>m0 * aStride + (<usize>k0 << 2), bands, m1 - m0, deep, aStride);
        packed = tile % down;
      }
      const panels = load<usize>(args, 8) + panelOffset(columns, k0, n0, deep);
      multiplyTile(args, bands, panels, k0, deep, m0, m1, n0, n1, scratch);
    }
    if (activation != 0) {
      for (let m = m0; m < m1; m++) {
        const at = (<usize>m * <usize>columns + <usize>n0) << 2;
        activate(c + at, load<usize>(args, 48) + at, n1 - n0, activation, scratch + SCRATCH_GELU);
      }
    }
  }
}

/** One block of K of one tile. panels: the tile's first in this block. */
function multiplyTile(
  args: usize, bands: usize, panels: usize, k0: i32, deep: i32, m0: i32, m1: i32, n0: i32, n1: i32, scratch: usize,
): void {
  const c = load<usize>(args, 12);
  const cStride = <usize>load<i32>(args, 28) << 2;
  let start = k0 == 0 ? load<usize>(args, 16) : c;
  let startStride = k0 == 0 ? <usize>load<i32>(args, 20) << 2 : cStride;
  let offset = <usize>n0 << 2;
  let step: usize = 32;
  if (start == 0) {
    start = scratch + SCRATCH_ZEROS;
    startStride = 0;
    offset = 0;
    step = 0;
  }
  for (let m = m0; m < m1; m += BAND) {
    const from = start + <usize>m * startStride + offset;
    const to = c + <usize>m * cStride + (<usize>n0 << 2);
    multiplyBand(bands, panels, deep, from, startStride, step, to, cStride, min(BAND, m1 - m), n1 - n0, scratch);
    bands += <usize>deep * (BAND * 4);
  }
}

/**
 * C (height ≤ 6, columns) = start + a band · panels that follow each other, all `depth` steps long. from: start, `step`
 * bytes further for every eight columns (32, or 0 for the same again); strides in bytes.
 */
export function multiplyBand(
  band: usize, panels: usize, depth: i32, from: usize, fromStride: usize, step: usize, to: usize, toStride: usize,
  height: i32, columns: i32, scratch: usize,
): void {
  const panelBytes = <usize>depth << 5;
  let n = 0;
  if (height == BAND && load<i32>(scratch + SCRATCH_WIDE) != 0) {
    for (; n + 16 <= columns; n += 16) {
      multiplyWide(band, panels, panelBytes, depth, from, fromStride, to, toStride);
      panels += panelBytes << 1;
      from += step << 1;
      to += 64;
    }
  }
  for (; n < columns; n += 8) {
    const width = min(8, columns - n);
    if (height == BAND && width == 8) {
      multiplySix(band, panels, depth, from, fromStride, to, toStride);
    } else {
      const edge = scratch + SCRATCH_TILE;
      copyTile(from, fromStride, edge, 32, height, width);
      multiplySix(band, panels, depth, edge, 32, edge, 32);
      copyTile(edge, 32, to, toStride, height, width);
    }
    panels += panelBytes;
    from += step;
    to += 32;
  }
}

/** Rows side by side in bands of six: out[m / 6][k][6] = from[m][k], zeros beyond the last. */
export function packSixes(from: usize, out: usize, rows: i32, depth: i32, stride: usize): void {
  for (let m = 0; m < rows; m += BAND) {
    packFourTransposed(from, out, BAND * 4, rows - m, depth, stride);
    packTwoTransposed(from + (stride << 2), out + 16, rows - m - 4, depth, stride);
    from += stride * BAND;
    out += <usize>depth * (BAND * 4);
  }
}

/** The last two rows of a band, of which `rows` are there. */
function packTwoTransposed(from: usize, out: usize, rows: i32, depth: i32, stride: usize): void {
  if (rows >= 2) {
    const end = from + (<usize>depth << 2);
    for (; from + 16 <= end; from += 16) {
      const a = v128.load(from);
      const b = v128.load(from + stride);
      const low = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
      const high = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
      v128.store64_lane(out, low, 0);
      v128.store64_lane(out, low, 1, BAND * 4);
      v128.store64_lane(out, high, 0, 2 * BAND * 4);
      v128.store64_lane(out, high, 1, 3 * BAND * 4);
      out += 4 * BAND * 4;
    }
    for (; from < end; from += 4) {
      store<f32>(out, load<f32>(from));
      store<f32>(out, load<f32>(from + stride), 4);
      out += BAND * 4;
    }
  } else {
    for (let k = 0; k < depth; k++) {
      store<f32>(out, rows == 1 ? load<f32>(from + (<usize>k << 2)) : 0);
      store<f32>(out, 0, 4);
      out += BAND * 4;
    }
  }
}

/**
 * Columns in bands of six: out[m / 6][k][6] = from[k][m], bands bandBytes apart. Eight rows at a time, since bands lie
 * pages apart and would push each other out of the cache line by line.
 */
export function packColumns(
  from: usize, out: usize, rows: i32, depth: i32, stride: usize, bandBytes: usize,
): void {
  for (let k0 = 0; k0 < depth; k0 += 8) {
    const bytes = <usize>min(8, depth - k0) * (BAND * 4);
    let to = out + <usize>k0 * (BAND * 4);
    for (let m = 0; m < rows; m += BAND) {
      // Beyond the last column stands something else, whose product nobody stores.
      let source = from + (<usize>m << 2);
      for (let k: usize = 0; k < bytes; k += BAND * 4) {
        v128.store(to + k, v128.load(source));
        store<u64>(to + k, load<u64>(source, 16), 16);
        source += stride;
      }
      to += bandBytes;
    }
    from += stride << 3;
  }
}

/** Columns in panels of eight by one thread: out[n / 8][k][8] = from[k][n]; beyond the last stands what nobody stores. */
export function packColumnPanels(from: usize, out: usize, columns: i32, depth: i32, stride: usize): void {
  for (let n = 0; n < columns; n += 8) {
    let source = from + (<usize>n << 2);
    for (let k = 0; k < depth; k++) {
      v128.store(out, v128.load(source));
      v128.store(out, v128.load(source, 16), 16);
      out += 32;
      source += stride;
    }
  }
}

/** height × width floats from one stride to another. */
export function copyTile(from: usize, fromStride: usize, to: usize, toStride: usize, height: i32, width: i32): void {
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++) {
      const at = <usize>j << 2;
      store<f32>(to + <usize>i * toStride + at, load<f32>(from + <usize>i * fromStride + at));
    }
  }
}

/** y = activation(x), 1 gelu, 2 tanh, over `count` floats. table: coefficients of gelu. */
export function activate(x: usize, y: usize, count: i32, activation: i32, table: usize): void {
  let i = 0;
  if (activation == 1) {
    for (; i + 8 <= count; i += 8) {
      const at = <usize>i << 2;
      const low = gelu4(v128.load(x + at), table);
      const high = gelu4(v128.load(x + at, 16), table);
      v128.store(y + at, low);
      v128.store(y + at, high, 16);
    }
  } else {
    for (; i + 8 <= count; i += 8) {
      const at = <usize>i << 2;
      const low = tanh4(v128.load(x + at));
      const high = tanh4(v128.load(x + at, 16));
      v128.store(y + at, low);
      v128.store(y + at, high, 16);
    }
  }
  for (; i < count; i++) {
    const at = <usize>i << 2;
    const value = f32x4.splat(load<f32>(x + at));
    store<f32>(y + at, f32x4.extract_lane(activation == 1 ? gelu4(value, table) : tanh4(value), 0));
  }
}

/** C (6, 8) = start + a band · a panel, both `depth` steps long. from: start; strides in bytes. */
export function multiplySix(
  a: usize, b: usize, depth: i32, from: usize, fromStride: usize, to: usize, toStride: usize,
): void {
  let c00 = v128.load(from);
  let c01 = v128.load(from, 16);
  from += fromStride;
  let c10 = v128.load(from);
  let c11 = v128.load(from, 16);
  from += fromStride;
  let c20 = v128.load(from);
  let c21 = v128.load(from, 16);
  from += fromStride;
  let c30 = v128.load(from);
  let c31 = v128.load(from, 16);
  from += fromStride;
  let c40 = v128.load(from);
  let c41 = v128.load(from, 16);
  from += fromStride;
  let c50 = v128.load(from);
  let c51 = v128.load(from, 16);
  const end = b + (<usize>depth << 5);
  for (; b < end; b += 32) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load32_splat(a);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = v128.load32_splat(a, 4);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = v128.load32_splat(a, 8);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = v128.load32_splat(a, 12);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    x = v128.load32_splat(a, 16);
    c40 = madd(x, b0, c40);
    c41 = madd(x, b1, c41);
    x = v128.load32_splat(a, 20);
    c50 = madd(x, b0, c50);
    c51 = madd(x, b1, c51);
    a += BAND * 4;
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

/**
 * C (6, 16) = start + a band · two panels, both `depth` steps long. from: start; next: bytes from one panel to the
 * other; strides in bytes.
 */
export function multiplyWide(
  a: usize, b: usize, next: usize, depth: i32, from: usize, fromStride: usize, to: usize, toStride: usize,
): void {
  let c00 = v128.load(from);
  let c01 = v128.load(from, 16);
  let c02 = v128.load(from, 32);
  let c03 = v128.load(from, 48);
  from += fromStride;
  let c10 = v128.load(from);
  let c11 = v128.load(from, 16);
  let c12 = v128.load(from, 32);
  let c13 = v128.load(from, 48);
  from += fromStride;
  let c20 = v128.load(from);
  let c21 = v128.load(from, 16);
  let c22 = v128.load(from, 32);
  let c23 = v128.load(from, 48);
  from += fromStride;
  let c30 = v128.load(from);
  let c31 = v128.load(from, 16);
  let c32 = v128.load(from, 32);
  let c33 = v128.load(from, 48);
  from += fromStride;
  let c40 = v128.load(from);
  let c41 = v128.load(from, 16);
  let c42 = v128.load(from, 32);
  let c43 = v128.load(from, 48);
  from += fromStride;
  let c50 = v128.load(from);
  let c51 = v128.load(from, 16);
  let c52 = v128.load(from, 32);
  let c53 = v128.load(from, 48);
  const end = b + (<usize>depth << 5);
  for (; b < end; b += 32) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    const b2 = v128.load(b + next);
    const b3 = v128.load(b + next, 16);
    let x = v128.load32_splat(a);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    c02 = madd(x, b2, c02);
    c03 = madd(x, b3, c03);
    x = v128.load32_splat(a, 4);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    c12 = madd(x, b2, c12);
    c13 = madd(x, b3, c13);
    x = v128.load32_splat(a, 8);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    c22 = madd(x, b2, c22);
    c23 = madd(x, b3, c23);
    x = v128.load32_splat(a, 12);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    c32 = madd(x, b2, c32);
    c33 = madd(x, b3, c33);
    x = v128.load32_splat(a, 16);
    c40 = madd(x, b0, c40);
    c41 = madd(x, b1, c41);
    c42 = madd(x, b2, c42);
    c43 = madd(x, b3, c43);
    x = v128.load32_splat(a, 20);
    c50 = madd(x, b0, c50);
    c51 = madd(x, b1, c51);
    c52 = madd(x, b2, c52);
    c53 = madd(x, b3, c53);
    a += BAND * 4;
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
