/**
 * Matrix products: C (M, N) = start + A (M, K) · B (K, N), all three forms of training from two microkernels.
 *
 *   B is packed beforehand into panels of eight columns, [⌈N / 8⌉][K][8], zeros beyond N.
 *     PackTransposed   B[k][n] = w[n][k]     x · Wᵀ: the forward product
 *     PackRows         B[k][n] = w[k][n]     dy · W and dyᵀ · x
 *   MultiplyRows       A[m][k] = a[m][k]     read where it is, four rows side by side
 *   MultiplyColumns    A[m][k] = a[k][m]     dyᵀ · x: a tile's columns are copied into the thread's scratch first
 *
 * C is cut into tiles that the host chooses by shape alone; K into blocks of K_BLOCK, whose panel (16 KiB) and four
 * rows (8 KiB) lie in the first cache while the rows of the tile stream from the second. Eight accumulators hide the
 * latency of a multiply-add (4 cycles, two a cycle). start: zero, a bias row, or a matrix like C, which may be C.
 */
import { gelu4, madd, tanh4 } from './math';
import { SCRATCH_TILE, SCRATCH_WORK } from './scratch';
import { firstUnit, unitsOf } from './shares';

export const K_BLOCK: i32 = 512;

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
  packFourTransposed(from, out, rows, depth, stride);
  packFourTransposed(from + 4 * stride, out + 16, rows - 4, depth, stride);
}

/** Four columns of a panel from four rows of w, of which `rows` are there; the others give zeros. */
function packFourTransposed(from: usize, out: usize, rows: i32, depth: i32, stride: usize): void {
  if (rows >= 4) {
    const row1 = from + stride;
    const row2 = row1 + stride;
    const row3 = row2 + stride;
    let k = 0;
    for (; k + 4 <= depth; k += 4) {
      const at = <usize>k << 2;
      const a = v128.load(from + at);
      const b = v128.load(row1 + at);
      const c = v128.load(row2 + at);
      const d = v128.load(row3 + at);
      const abLow = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
      const cdLow = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
      const abHigh = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
      const cdHigh = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
      const to = out + (at << 3);
      v128.store(to, v128.shuffle<i64>(abLow, cdLow, 0, 2));
      v128.store(to, v128.shuffle<i64>(abLow, cdLow, 1, 3), 32);
      v128.store(to, v128.shuffle<i64>(abHigh, cdHigh, 0, 2), 64);
      v128.store(to, v128.shuffle<i64>(abHigh, cdHigh, 1, 3), 96);
    }
    for (; k < depth; k++) {
      const at = <usize>k << 2;
      const to = out + (at << 3);
      store<f32>(to, load<f32>(from + at));
      store<f32>(to, load<f32>(row1 + at), 4);
      store<f32>(to, load<f32>(row2 + at), 8);
      store<f32>(to, load<f32>(row3 + at), 12);
    }
  } else {
    for (let k = 0; k < depth; k++) {
      const to = out + (<usize>k << 5);
      for (let row = 0; row < 4; row++) {
        store<f32>(to + (<usize>row << 2), row < rows ? load<f32>(from + <usize>row * stride + (<usize>k << 2)) : 0);
      }
    }
  }
}

/** w, panels, K, N, row stride of w: panels of B[k][n] = w[k][n]. */
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
  for (let k = firstRow; k < lastRow; k++) {
    let from = w + <usize>k * stride;
    let out = panels + (<usize>k << 5);
    let n = 0;
    for (; n + 8 <= columns; n += 8) {
      v128.store(out, v128.load(from));
      v128.store(out, v128.load(from, 16), 16);
      from += 32;
      out += panelBytes;
    }
    if (n < columns) {
      for (let i = 0; i < 8; i++) {
        store<f32>(out + (<usize>i << 2), n + i < columns ? load<f32>(from + (<usize>i << 2)) : 0);
      }
    }
  }
}

/**
 * a, row stride of a, panels, c, start or 0, row stride of start (0: one row for all), M, N, K, tile rows, tile
 * columns (a multiple of 8), activation (0 none, 1 gelu, 2 tanh), y: activation(c) where there is one.
 */
export function multiplyRows(args: usize, thread: i32, threads: i32, scratch: usize): void {
  multiply(args, thread, threads, scratch, false);
}

/** The same with A[m][k] = a[k][m]; scratch holds K_BLOCK × tile rows. */
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
    for (let k0 = 0; k0 < depth; k0 += K_BLOCK) {
      const deep = min(K_BLOCK, depth - k0);
      if (transposed) packColumns(a + <usize>k0 * aStride + (<usize>m0 << 2), scratch + SCRATCH_WORK, m1 - m0, deep, aStride);
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
          if (transposed) {
            const at = scratch + SCRATCH_WORK + <usize>((m - m0) >> 2) * (<usize>deep << 4);
            multiplyTileColumns(at, 16, b, 32, deep, from, fromStride, to, toStride);
          } else {
            const at = a + <usize>m * aStride + (<usize>k0 << 2);
            multiplyTileRows(at, aStride, tileHeight, b, 32, deep, from, fromStride, to, toStride);
          }
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

/** The columns of a tile, four side by side: out[m / 4][k][4] = from[k][m]. */
function packColumns(from: usize, out: usize, rows: i32, depth: i32, stride: usize): void {
  const quadBytes = <usize>depth << 4;
  const quads = unitsOf(rows, 4);
  for (let k = 0; k < depth; k++) {
    let source = from + <usize>k * stride;
    let to = out + (<usize>k << 4);
    for (let q = 0; q < quads; q++) {
      // Beyond the last column stands something else, whose product nobody stores.
      v128.store(to, v128.load(source));
      source += 16;
      to += quadBytes;
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

/**
 * C (4, 8) = start + A (4, K) · B (K, 8), A by rows: `height` of them are there, and the last stands in for the rest.
 * b advances by bStep bytes a step of k; from: start (0: zeros), strides in bytes.
 */
export function multiplyTileRows(
  a: usize, aStride: usize, height: i32, b: usize, bStep: usize, depth: i32,
  from: usize, fromStride: usize, to: usize, toStride: usize,
): void {
  let a0 = a;
  let a1 = height > 1 ? a0 + aStride : a0;
  let a2 = height > 2 ? a1 + aStride : a1;
  let a3 = height > 3 ? a2 + aStride : a2;
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
  let k = depth;
  for (; k >= 4; k -= 4) {
    let b0 = v128.load(b);
    let b1 = v128.load(b, 16);
    let x = v128.load32_splat(a0);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = v128.load32_splat(a1);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = v128.load32_splat(a2);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = v128.load32_splat(a3);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    b += bStep;
    b0 = v128.load(b);
    b1 = v128.load(b, 16);
    x = v128.load32_splat(a0, 4);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = v128.load32_splat(a1, 4);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = v128.load32_splat(a2, 4);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = v128.load32_splat(a3, 4);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    b += bStep;
    b0 = v128.load(b);
    b1 = v128.load(b, 16);
    x = v128.load32_splat(a0, 8);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = v128.load32_splat(a1, 8);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = v128.load32_splat(a2, 8);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = v128.load32_splat(a3, 8);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    b += bStep;
    b0 = v128.load(b);
    b1 = v128.load(b, 16);
    x = v128.load32_splat(a0, 12);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = v128.load32_splat(a1, 12);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = v128.load32_splat(a2, 12);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = v128.load32_splat(a3, 12);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    b += bStep;
    a0 += 16;
    a1 += 16;
    a2 += 16;
    a3 += 16;
  }
  for (; k > 0; k--) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load32_splat(a0);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = v128.load32_splat(a1);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = v128.load32_splat(a2);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = v128.load32_splat(a3);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    b += bStep;
    a0 += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
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

/** The same with A by columns: the four values of step k stand side by side at a + k · aStep. */
export function multiplyTileColumns(
  a: usize, aStep: usize, b: usize, bStep: usize, depth: i32,
  from: usize, fromStride: usize, to: usize, toStride: usize,
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
  let k = depth;
  for (; k >= 2; k -= 2) {
    let b0 = v128.load(b);
    let b1 = v128.load(b, 16);
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
    b += bStep;
    a += aStep;
    b0 = v128.load(b);
    b1 = v128.load(b, 16);
    x = v128.load32_splat(a);
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
    b += bStep;
    a += aStep;
  }
  if (k > 0) {
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
