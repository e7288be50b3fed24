/**
 * Matrix products: C (M, N) = start + A (M, K) · B (K, N), all three forms of training from two microkernels.
 *
 *   B is packed beforehand into panels of eight columns, [⌈N / 8⌉][K][8], zeros beyond N.
 *     PackTransposed   B[k][n] = w[n][k]     x · Wᵀ: the forward product
 *     PackRows         B[k][n] = w[k][n]     dy · W and dyᵀ · x
 *   A is packed by whoever computes a tile, in its own scratch, into bands of four rows, [rows / 4][k][4].
 *     MultiplyRows     A[m][k] = a[m][k]
 *     MultiplyColumns  A[m][k] = a[k][m]     dyᵀ · x
 *
 * C is cut into tiles that the host chooses by shape alone; K into blocks of Block.Depth, whose panel (16 KiB) stays in the
 * first cache while the bands of the tile stream from the second. Eight accumulators hide the latency of a multiply-add
 * (4 cycles, two a cycle). start: zero, a bias row, or a matrix like C, which may be C.
 *
 * The microkernel takes one step of k an iteration and reads packed operands alone. Unrolled over k, V8 orders all loads
 * first and spills (28 GFLOP/s); with four row pointers it is bound by address arithmetic (41–47); as it is, 52 of a
 * measured peak of 58 (one core of an AMD EPYC at 3.6 GHz, Node 20, relaxed SIMD).
 */
import { gelu4, madd, tanh4 } from './math';
import { Block } from './opcodes';
import { SCRATCH_TILE, SCRATCH_WORK } from './scratch';
import { firstUnit, unitsOf } from './shares';

/** Rows of a source that one unit of PackRows copies. */
const PACK_ROWS: i32 = 64;

/** w, panels, N, K, row stride of w: panels of B[k][n] = w[n][k]. */
export function packTransposed(args: usize, thread: i32, threads: i32): void {
  const w = load<usize>(args, 0);
  const panels = load<usize>(args, 4);
  const columns = load<i32>(args, 8);
  const depth = load<i32>(args, 12);
  const stride = <usize>load<i32>(args, 16) << 2;
  const count = unitsOf(columns, 8);
  const last = firstUnit(count, thread + 1, threads);
  for (let p = firstUnit(count, thread, threads); p < last; p++) {
    packPanel(w + <usize>(p << 3) * stride, panels + <usize>p * <usize>depth * 32, columns - (p << 3), depth, stride);
  }
}

/** All panels of B[k][n] = w[n][k] by one thread. */
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
export function packRows(args: usize, thread: i32, threads: i32): void {
  const w = load<usize>(args, 0);
  const panels = load<usize>(args, 4);
  const depth = load<i32>(args, 8);
  const columns = load<i32>(args, 12);
  const stride = <usize>load<i32>(args, 16) << 2;
  const units = unitsOf(depth, PACK_ROWS);
  const firstRow = firstUnit(units, thread, threads) * PACK_ROWS;
  const lastRow = min(depth, firstUnit(units, thread + 1, threads) * PACK_ROWS);
  const panelBytes = <usize>depth << 5;
  for (let k0 = firstRow; k0 < lastRow; k0 += 8) {
    const deep = min(8, lastRow - k0);
    const from = w + <usize>k0 * stride;
    let out = panels + (<usize>k0 << 5);
    let n = 0;
    for (; n + 8 <= columns; n += 8) {
      let source = from + (<usize>n << 2);
      for (let k: usize = 0; k < <usize>deep << 5; k += 32) {
        v128.store(out + k, v128.load(source));
        v128.store(out + k, v128.load(source, 16), 16);
        source += stride;
      }
      out += panelBytes;
    }
    for (let k = 0; n < columns && k < deep; k++) {
      for (let i = 0; i < 8; i++) {
        const value = n + i < columns ? load<f32>(from + <usize>k * stride + (<usize>(n + i) << 2)) : 0;
        store<f32>(out + (<usize>k << 5) + (<usize>i << 2), value);
      }
    }
  }
}

/**
 * a, row stride of a, panels, c, start or 0, row stride of start (0: one row for all), M, N, K, tile rows, tile
 * columns (a multiple of 8), activation (0 none, 1 gelu, 2 tanh), y: activation(c) where there is one. scratch holds
 * Block.Depth × tile rows.
 */
export function multiplyRows(args: usize, thread: i32, threads: i32, scratch: usize): void {
  multiply(args, thread, threads, scratch, false);
}

/** The same with A[m][k] = a[k][m]. */
export function multiplyColumns(args: usize, thread: i32, threads: i32, scratch: usize): void {
  multiply(args, thread, threads, scratch, true);
}

// @ts-ignore: decorator
@inline
function multiply(args: usize, thread: i32, threads: i32, scratch: usize, transposed: bool): void {
  const a = load<usize>(args, 0);
  const aStride = <usize>load<i32>(args, 4) << 2;
  const panels = load<usize>(args, 8);
  const c = load<usize>(args, 12);
  const start = load<usize>(args, 16);
  const startStride = <usize>load<i32>(args, 20) << 2;
  const rows = load<i32>(args, 24);
  const columns = load<i32>(args, 28);
  const depth = load<i32>(args, 32);
  const tileRows = load<i32>(args, 36);
  const tileColumns = load<i32>(args, 40);
  const activation = load<i32>(args, 44);
  const y = load<usize>(args, 48);
  const cStride = <usize>columns << 2;
  const across = unitsOf(columns, tileColumns);
  const tiles = unitsOf(rows, tileRows) * across;
  const lastTile = firstUnit(tiles, thread + 1, threads);
  for (let tile = firstUnit(tiles, thread, threads); tile < lastTile; tile++) {
    const m0 = (tile / across) * tileRows;
    const m1 = min(rows, m0 + tileRows);
    const n0 = (tile % across) * tileColumns;
    const n1 = min(columns, n0 + tileColumns);
    // Once also where there is nothing to sum: what the product starts from is its result then.
    for (let k0 = 0; k0 == 0 || k0 < depth; k0 += Block.Depth) {
      const deep = min<i32>(Block.Depth, depth - k0);
      const bands = scratch + SCRATCH_WORK;
      if (transposed) packColumns(a + <usize>k0 * aStride + (<usize>m0 << 2), bands, m1 - m0, deep, aStride);
      else packBands(a + <usize>m0 * aStride + (<usize>k0 << 2), bands, m1 - m0, deep, aStride);
      for (let n = n0; n < n1; n += 8) {
        const b = panels + (<usize>(n >> 3) * <usize>depth + <usize>k0) * 32;
        for (let m = m0; m < m1; m += 4) {
          const cTile = c + <usize>m * cStride + (<usize>n << 2);
          let from = cTile;
          let fromStride = cStride;
          if (k0 == 0) {
            from = start == 0 ? 0 : start + <usize>m * startStride + (<usize>n << 2);
            fromStride = startStride;
          }
          const tileHeight = min(4, m1 - m);
          const tileWidth = min(8, n1 - n);
          const isWhole = tileHeight == 4 && tileWidth == 8;
          let to = cTile;
          let toStride = cStride;
          if (!isWhole) {
            if (from != 0) copyTile(from, fromStride, scratch + SCRATCH_TILE, 32, tileHeight, tileWidth);
            to = scratch + SCRATCH_TILE;
            toStride = 32;
            from = from == 0 ? 0 : to;
            fromStride = 32;
          }
          const band = bands + <usize>((m - m0) >> 2) * (<usize>deep << 4);
          multiplyTile(band, b, deep, from, fromStride, to, toStride);
          if (!isWhole) copyTile(to, toStride, cTile, cStride, tileHeight, tileWidth);
        }
      }
    }
    if (activation != 0) {
      for (let m = m0; m < m1; m++) {
        const at = <usize>m * cStride + (<usize>n0 << 2);
        activate(c + at, y + at, n1 - n0, activation);
      }
    }
  }
}

/** Rows side by side in bands of four: out[m / 4][k][4] = from[m][k], zeros beyond the last. */
export function packBands(from: usize, out: usize, rows: i32, depth: i32, stride: usize): void {
  for (let m = 0; m < rows; m += 4) {
    packFourTransposed(from + <usize>m * stride, out + <usize>m * (<usize>depth << 2), 16, rows - m, depth, stride);
  }
}

/**
 * The columns of a tile in bands of four: out[m / 4][k][4] = from[k][m]. Eight rows at a time, since bands lie a power
 * of two apart and would push each other out of the cache line by line.
 */
function packColumns(from: usize, out: usize, rows: i32, depth: i32, stride: usize): void {
  const bandBytes = <usize>depth << 4;
  for (let k0 = 0; k0 < depth; k0 += 8) {
    const deep = min(8, depth - k0);
    let to = out + (<usize>k0 << 4);
    for (let m = 0; m < rows; m += 4) {
      // Beyond the last column stands something else, whose product nobody stores.
      let source = from + (<usize>m << 2);
      for (let k: usize = 0; k < <usize>deep << 4; k += 16) {
        v128.store(to + k, v128.load(source));
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

/** As multiplyTile, for a tile that may be ragged: only height × width of it is stored. */
export function multiplyRaggedTile(
  a: usize, b: usize, depth: i32, to: usize, toStride: usize, height: i32, width: i32, scratch: usize,
): void {
  if (height == 4 && width == 8) {
    multiplyTile(a, b, depth, 0, 0, to, toStride);
  } else {
    multiplyTile(a, b, depth, 0, 0, scratch + SCRATCH_TILE, 32);
    copyTile(scratch + SCRATCH_TILE, 32, to, toStride, height, width);
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

/** y = activation(x), 1 gelu, 2 tanh, over `count` floats. */
export function activate(x: usize, y: usize, count: i32, activation: i32): void {
  let i = 0;
  if (activation == 1) {
    for (; i + 4 <= count; i += 4) {
      const at = <usize>i << 2;
      v128.store(y + at, gelu4(v128.load(x + at)));
    }
  } else {
    for (; i + 4 <= count; i += 4) {
      const at = <usize>i << 2;
      v128.store(y + at, tanh4(v128.load(x + at)));
    }
  }
  for (; i < count; i++) {
    const at = <usize>i << 2;
    const value = f32x4.splat(load<f32>(x + at));
    store<f32>(y + at, f32x4.extract_lane(activation == 1 ? gelu4(value) : tanh4(value), 0));
  }
}

/** C (4, 8) = start + a band · a panel, both `depth` steps long. from: start, 0 for zeros; strides in bytes. */
export function multiplyTile(
  a: usize, b: usize, depth: i32, from: usize, fromStride: usize, to: usize, toStride: usize,
): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  if (from != 0) {
    c00 = v128.load(from);
    c01 = v128.load(from, 16);
    from += fromStride;
    c10 = v128.load(from);
    c11 = v128.load(from, 16);
    from += fromStride;
    c20 = v128.load(from);
    c21 = v128.load(from, 16);
    from += fromStride;
    c30 = v128.load(from);
    c31 = v128.load(from, 16);
  }
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
    a += 16;
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
}
