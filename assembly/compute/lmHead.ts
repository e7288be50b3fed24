/**
 * The generator's output layer, a block of the vocabulary at a time: no logits are ever kept.
 *
 *   LmHeadBlocks     logits of six places and one block, in scratch; what softmax, best guess and sample need of them
 *   LmHeadRows       of each place, what its blocks come to
 *   LmHeadSum        the sum over places, by one thread in order
 *   LmHeadGradient   logits again, their gradient in place; a slice of the vocabulary owns its rows of dTable and dBias,
 *                    and has a share of dHidden
 *   LmHeadHidden     the shares of dHidden, added up in order
 *
 * Places that a row of the batch does not use are left out before anything is multiplied: used places are numbered
 * through. Blocks and slices go by shape alone, so no sum depends on the number of threads.
 *
 * part (24 bytes), of a place and a block: f32 largest logit, i32 its id, f64 Σ e^(logit − largest), f32 score of the best
 * sample, i32 its id. record (16 bytes), of a place: f64 loss, i32 bits: 1 best guess right, 2 sample right, 4 not finite.
 */
import { philoxBlock } from '../philox';
import { multiplyBand, packColumns, packPanels, packRowsOfPanels, packSixes } from './gemm';
import { gumbel4, gumbelBound4 } from './gumbel';
import { exp4, logWide, sumLanesWide } from './math';
import { LmHead } from './opcodes';
import { SCRATCH_WORK, SCRATCH_ZEROS } from './scratch';
import { firstUnit, takeUnit, unitsOf } from './shares';

/** Elements whose exponentials are added in float32 before they join a float64 sum. */
const SUM_BLOCK: i32 = 256;

/** Ids that one test asks about. */
const GROUP: i32 = 16;

const PART_BYTES: usize = 24;

/**
 * hidden, table, bias, targets, counts, draw, parts, logits at the targets, rows, places a row of the batch, V, E, stream,
 * sample (0/1), disallow correct (0/1), inverse temperature (f32), ids of a block (a multiple of 32).
 */
export function lmHeadBlocks(args: usize, threads: i32, scratch: usize): void {
  const rows = load<i32>(args, 32);
  const pieces = load<i32>(args, 40);
  const depth = load<i32>(args, 44);
  const width = load<i32>(args, 64);
  const used = scratch + SCRATCH_WORK;
  const known = used + listBytes(rows);
  const words = known + listBytes(rows);
  const bias = words + (<usize>(width + LmHead.SpareWords) << 2);
  const logits = bias + (<usize>width << 2);
  const panels = logits + <usize>width * (LmHead.Band * 4);
  const bands = panels + <usize>width * (<usize>depth << 2);
  const count = listUsed(load<usize>(args, 16), rows, load<i32>(args, 36), used);
  packUsed(load<usize>(args, 0), used, count, depth, bands);
  for (let j = 0; j < count; j++) store<f32>(known + (<usize>j << 2), -Infinity);
  const blocks = unitsOf(pieces, width);
  for (let block = takeUnit(args, blocks, threads); block >= 0; block = takeUnit(args, blocks, threads)) {
    const first = block * width;
    const ids = min(width, pieces - first);
    const rowBytes = <usize>depth << 2;
    packPanels(load<usize>(args, 4) + <usize>first * rowBytes, panels, ids, depth, rowBytes);
    memory.copy(bias, load<usize>(args, 8) + (<usize>first << 2), <usize>ids << 2);
    for (let j = 0; j < count; j += LmHead.Band) {
      logitsOfBand(bands + <usize>j * rowBytes, panels, depth, bias, logits, ids, width, scratch);
      const last = min(count, j + LmHead.Band);
      for (let k = j; k < last; k++) {
        const row = load<i32>(used + (<usize>k << 2));
        const from = logits + <usize>(k - j) * (<usize>width << 2);
        const part = load<usize>(args, 24) + <usize>(row * blocks + block) * PART_BYTES;
        const largest = firstLargest(from, ids);
        const value = load<f32>(from + (<usize>largest << 2));
        // Where nothing compares, what there is decides about the sum: it is 0, or no number.
        const shift: f32 = value > -Infinity ? value : 0;
        store<f32>(part, value > -Infinity ? value : -Infinity);
        store<i32>(part, first + largest, 4);
        store<f64>(part, sumOfExponentials(from, ids, shift), 8);
        const target = load<i32>(load<usize>(args, 12) + (<usize>row << 2)) - first;
        if (target >= 0 && target < ids) {
          store<f32>(load<usize>(args, 28) + (<usize>row << 2), load<f32>(from + (<usize>target << 2)));
        }
        if (load<i32>(args, 52) != 0) sampleBlock(args, from, row, first, ids, known + (<usize>k << 2), words, part);
      }
    }
  }
}

/** Bytes of a word for each place, in whole cache lines. */
// @ts-ignore: decorator
@inline
function listBytes(rows: i32): usize {
  return ((<usize>rows << 2) + 63) & ~63;
}

/** The numbers of the places in use; how many there are. */
function listUsed(counts: usize, rows: i32, places: i32, to: usize): i32 {
  let count = 0;
  for (let i = 0; i < rows; i++) {
    if (i % places >= load<i32>(counts + (<usize>(i / places) << 2))) continue;
    store<i32>(to + (<usize>count << 2), i);
    count++;
  }
  return count;
}

/** Rows in use in bands of six, zeros beyond the last. */
function packUsed(from: usize, used: usize, count: i32, depth: i32, out: usize): void {
  const all = unitsOf(count, LmHead.Band) * LmHead.Band;
  for (let j = 0; j < all; j++) {
    const band = <usize>(j / LmHead.Band) * LmHead.Band * (<usize>depth << 2);
    let to = out + band + (<usize>(j % LmHead.Band) << 2);
    const row = j < count ? from + <usize>load<i32>(used + (<usize>j << 2)) * (<usize>depth << 2) : 0;
    for (let k = 0; k < depth; k++) {
      store<f32>(to, row == 0 ? 0 : load<f32>(row + (<usize>k << 2)));
      to += LmHead.Band * 4;
    }
  }
}

/** Logits (6, ids) of a band, in rows of `width`, and those of the last panel's surplus. */
function logitsOfBand(
  band: usize, panels: usize, depth: i32, bias: usize, to: usize, ids: i32, width: i32, scratch: usize,
): void {
  multiplyBand(band, panels, depth, bias, 0, 32, to, <usize>width << 2, LmHead.Band, (ids + 7) & ~7, scratch);
}

/** Index of the first largest value; 0 when nothing compares. */
function firstLargest(x: usize, count: i32): i32 {
  let largest: f32 = -Infinity;
  let at = 0;
  for (let first = 0; first < count; first += GROUP) {
    if (first + GROUP <= count) {
      const from = x + (<usize>first << 2);
      const known = f32x4.splat(largest);
      const low = v128.or(f32x4.gt(v128.load(from), known), f32x4.gt(v128.load(from, 16), known));
      const high = v128.or(f32x4.gt(v128.load(from, 32), known), f32x4.gt(v128.load(from, 48), known));
      if (!v128.any_true(v128.or(low, high))) continue;
    }
    const last = min(count, first + GROUP);
    for (let i = first; i < last; i++) {
      const value = load<f32>(x + (<usize>i << 2));
      if (value > largest) {
        largest = value;
        at = i;
      }
    }
  }
  return at;
}

/** Σ e^(x − largest) in blocks: float32 inside a block, float64 across blocks. */
function sumOfExponentials(x: usize, count: i32, largest: f32): f64 {
  const shift = f32x4.splat(largest);
  let total: f64 = 0;
  let i = 0;
  while (i + 4 <= count) {
    const end = min(count, i + SUM_BLOCK);
    let sums = f32x4.splat(0);
    for (; i + 4 <= end; i += 4) sums = f32x4.add(sums, exp4(f32x4.sub(v128.load(x + (<usize>i << 2)), shift)));
    total += sumLanesWide(sums);
  }
  for (; i < count; i++) {
    total += <f64>f32x4.extract_lane(exp4(f32x4.splat(load<f32>(x + (<usize>i << 2)) - largest)), 0);
  }
  return total;
}

/**
 * The best of a block by logit / temperature [− 1000 at the target] + Gumbel noise, into its part. A group of ids of which
 * none can reach what this thread has found for the place, in whatever blocks, is passed by: of 30,522 ids all but some
 * twenty groups. The one that is the sample is never passed by, and of equal ones none.
 */
function sampleBlock(
  args: usize, logits: usize, row: i32, first: i32, count: i32, known: usize, words: usize, part: usize,
): void {
  const draw = load<usize>(args, 20);
  const disallowed = load<i32>(args, 56) != 0 ? load<i32>(load<usize>(args, 12) + (<usize>row << 2)) - first : -1;
  const inverseTemperature = load<f32>(args, 60);
  const inverse = f32x4.splat(inverseTemperature);
  const places = <u64>load<u32>(draw, 12) * <u64>load<i32>(args, 36) + <u64>row;
  const begin = places * <u64>load<i32>(args, 40) + <u64>first;
  drawWords(words, draw, load<u32>(args, 48), begin & ~31, count + <i32>(begin & 31));
  words += <usize>(begin & 31) << 2;
  let atLeast = load<f32>(known);
  let best: f32 = -Infinity;
  let sample = 0;
  for (let i = 0; i < count; i += GROUP) {
    if (i + GROUP > count || groupCanReach(logits, words, inverse, f32x4.splat(atLeast))) {
      for (let j: usize = 0; j < <usize>GROUP << 2; j += 16) v128.store(words + j, gumbel4(v128.load(words + j)));
      const last = min(count, i + GROUP);
      for (let j = i; j < last; j++) {
        const at = <usize>(j - i) << 2;
        const banned: f32 = j == disallowed ? 1000 : 0;
        const score = load<f32>(logits + at) * inverseTemperature - banned + load<f32>(words + at);
        if (score > best) {
          best = score;
          sample = j;
        }
      }
      if (best > atLeast) atLeast = best;
    }
    logits += GROUP * 4;
    words += GROUP * 4;
  }
  store<f32>(known, atLeast);
  store<f32>(part, best, 16);
  store<i32>(part, first + sample, 20);
}

/** Whether logits / temperature + noise of any in a group may be as much. */
// @ts-ignore: decorator
@inline
function groupCanReach(logits: usize, words: usize, inverseTemperature: v128, score: v128): bool {
  const low = v128.or(
    canReach(v128.load(logits), v128.load(words), inverseTemperature, score),
    canReach(v128.load(logits, 16), v128.load(words, 16), inverseTemperature, score),
  );
  const high = v128.or(
    canReach(v128.load(logits, 32), v128.load(words, 32), inverseTemperature, score),
    canReach(v128.load(logits, 48), v128.load(words, 48), inverseTemperature, score),
  );
  return v128.any_true(v128.or(low, high));
}

// @ts-ignore: decorator
@inline
function canReach(logits: v128, words: v128, inverseTemperature: v128, score: v128): v128 {
  return f32x4.ge(f32x4.add(f32x4.mul(logits, inverseTemperature), gumbelBound4(words)), score);
}

/** Draws first … first + count − 1 of a stream, and up to 31 more; first is a multiple of 32. */
function drawWords(out: usize, draw: usize, stream: u32, first: u64, count: i32): void {
  for (let i = 0; i < count; i += 32) {
    philoxBlock(
      out + (<usize>i << 2), load<u32>(draw), load<u32>(draw, 4), (first + <u64>i) >> 2, load<u32>(draw, 8), stream,
    );
  }
}

/**
 * parts, logits at the targets, targets, counts, sampled, logSumExp, records, rows, places a row of the batch, blocks,
 * sample (0/1).
 */
export function lmHeadRows(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 28);
  const places = load<i32>(args, 32);
  const blocks = load<i32>(args, 36);
  const last = firstUnit(rows, thread + 1, threads);
  for (let i = firstUnit(rows, thread, threads); i < last; i++) {
    const at = <usize>i << 2;
    const record = load<usize>(args, 24) + (<usize>i << 4);
    store<i32>(load<usize>(args, 16) + at, 0);
    store<f32>(load<usize>(args, 20) + at, 0);
    store<f64>(record, 0);
    store<i32>(record, 0, 8);
    if (i % places >= load<i32>(load<usize>(args, 12) + (<usize>(i / places) << 2))) continue;
    const parts = load<usize>(args, 0) + <usize>(i * blocks) * PART_BYTES;
    const end = parts + <usize>blocks * PART_BYTES;
    let largest: f32 = -Infinity;
    let guess = 0;
    let best: f32 = -Infinity;
    let sample = 0;
    for (let part = parts; part < end; part += PART_BYTES) {
      if (load<f32>(part) > largest) {
        largest = load<f32>(part);
        guess = load<i32>(part, 4);
      }
      if (load<i32>(args, 40) != 0 && load<f32>(part, 16) > best) {
        best = load<f32>(part, 16);
        sample = load<i32>(part, 20);
      }
    }
    let sum: f64 = 0;
    for (let part = parts; part < end; part += PART_BYTES) {
      const share = exp4(f32x4.splat(load<f32>(part) - largest));
      sum += load<f64>(part, 8) * <f64>f32x4.extract_lane(share, 0);
    }
    const logSumExp = <f64>largest + logWide(sum);
    const target = load<i32>(load<usize>(args, 8) + at);
    let bits = i32(guess == target);
    if (!isFinite(logSumExp)) bits |= 4;
    if (load<i32>(args, 40) != 0 && sample == target) bits |= 2;
    store<i32>(load<usize>(args, 16) + at, sample);
    store<f32>(load<usize>(args, 20) + at, <f32>logSumExp);
    store<f64>(record, logSumExp - <f64>load<f32>(load<usize>(args, 4) + at));
    store<i32>(record, bits, 8);
  }
}

/** records, denominators, rows, loss, hits. By thread 0. */
export function lmHeadSum(args: usize): void {
  const rows = load<i32>(args, 8);
  let loss: f64 = 0;
  let right = 0;
  let sampledRight = 0;
  let notFinite = 0;
  for (let i = 0; i < rows; i++) {
    const record = load<usize>(args, 0) + (<usize>i << 4);
    const bits = load<i32>(record, 8);
    loss += load<f64>(record);
    right += bits & 1;
    sampledRight += (bits >> 1) & 1;
    notFinite += (bits >> 2) & 1;
  }
  const hits = load<usize>(args, 16);
  store<f32>(load<usize>(args, 12), <f32>(loss / (<f64>load<f32>(load<usize>(args, 4)) + 1e-6)));
  store<f32>(hits, <f32>right);
  store<f32>(hits, <f32>sampledRight, 4);
  store<f32>(hits, <f32>notFinite, 8);
}

/**
 * hidden, table, bias, logSumExp, targets, counts, denominators, dLoss, previous dTable or 0, previous dBias or 0, dTable,
 * dBias, shares of dHidden, rows, places a row of the batch, V, E, ids of a block (a multiple of 24), slices.
 * dTable may be the previous one, and so dBias. A share is (rows in whole bands, E in whole panels), by used places.
 */
export function lmHeadGradient(args: usize, threads: i32, scratch: usize): void {
  const rows = load<i32>(args, 52);
  const pieces = load<i32>(args, 60);
  const depth = load<i32>(args, 64);
  const width = load<i32>(args, 68);
  const slices = load<i32>(args, 72);
  const rowBytes = <usize>depth << 2;
  const across = unitsOf(depth, 8) << 3;
  const shareBytes = <usize>(unitsOf(rows, LmHead.Band) * LmHead.Band) * (<usize>across << 2);
  const used = scratch + SCRATCH_WORK;
  const bias = used + listBytes(rows);
  const dBias = bias + (<usize>width << 2);
  const bands = dBias + (<usize>width << 2);
  const hiddenPanels = bands + shareBytes;
  const tablePanels = hiddenPanels + shareBytes;
  const tableRows = tablePanels + <usize>width * (<usize>across << 2);
  const dTable = tableRows + <usize>width * (<usize>across << 2);
  const dLogits = dTable + <usize>width * (<usize>across << 2);
  const packed = dLogits + <usize>width * (LmHead.Chunk * 4);
  const count = listUsed(load<usize>(args, 20), rows, load<i32>(args, 56), used);
  packUsed(load<usize>(args, 0), used, count, depth, bands);
  packUsedPanels(load<usize>(args, 0), used, count, depth, hiddenPanels);
  const blocks = unitsOf(pieces, width);
  for (let slice = takeUnit(args, slices, threads); slice >= 0; slice = takeUnit(args, slices, threads)) {
    const share = load<usize>(args, 48) + <usize>slice * shareBytes;
    const firstBlock = firstUnit(blocks, slice, slices);
    const lastBlock = firstUnit(blocks, slice + 1, slices);
    for (let block = firstBlock; block < lastBlock; block++) {
      const first = block * width;
      const ids = min(width, pieces - first);
      const table = load<usize>(args, 4) + <usize>first * rowBytes;
      packPanels(table, tablePanels, ids, depth, rowBytes);
      for (let k = 0; k < ids; k += 8) {
        packRowsOfPanels(table + <usize>k * rowBytes, tableRows + (<usize>k << 5), min(8, ids - k), depth, ids, rowBytes);
      }
      memory.copy(bias, load<usize>(args, 8) + (<usize>first << 2), <usize>ids << 2);
      memory.fill(dBias, 0, <usize>width << 2);
      // Once also where no place is in use: the gradient is 0 then.
      for (let r0 = 0; r0 == 0 || r0 < count; r0 += LmHead.Chunk) {
        const chunk = min(LmHead.Chunk, count - r0);
        for (let r = 0; r < chunk; r += LmHead.Band) {
          const to = dLogits + <usize>r * (<usize>width << 2);
          logitsOfBand(bands + <usize>(r0 + r) * rowBytes, tablePanels, depth, bias, to, ids, width, scratch);
        }
        for (let r = 0; r < chunk; r++) {
          const row = load<i32>(used + (<usize>(r0 + r) << 2));
          gradientOfRow(args, dLogits + <usize>r * (<usize>width << 2), row, first, ids, dBias);
        }
        // dHidden += dLogits · table
        packSixes(dLogits, packed, chunk, ids, <usize>width << 2);
        const to = share + <usize>r0 * (<usize>across << 2);
        multiplyAll(packed, tableRows, ids, block > firstBlock, to, chunk, across, scratch);
        // dTable += dLogitsᵀ · hidden
        packColumns(dLogits, packed, ids, chunk, <usize>width << 2, <usize>chunk * (LmHead.Band * 4));
        const panels = hiddenPanels + <usize>r0 * (<usize>across << 2);
        multiplyAll(packed, panels, chunk, r0 > 0, dTable, ids, across, scratch);
      }
      const tableOffset = <usize>first * rowBytes;
      for (let v = 0; v < ids; v++) {
        const at = tableOffset + <usize>v * rowBytes;
        addTo(load<usize>(args, 32), load<usize>(args, 40), at, dTable + <usize>v * (<usize>across << 2), depth);
      }
      addTo(load<usize>(args, 36), load<usize>(args, 44), <usize>first << 2, dBias, ids);
    }
  }
}

/** Rows in use in panels of eight columns, a chunk of them after another: [E / 8][chunk][8]. */
function packUsedPanels(from: usize, used: usize, count: i32, depth: i32, out: usize): void {
  const across = <usize>unitsOf(depth, 8) << 5;
  for (let j = 0; j < count; j++) {
    const r0 = j / LmHead.Chunk * LmHead.Chunk;
    const row = from + <usize>load<i32>(used + (<usize>j << 2)) * (<usize>depth << 2);
    let to = out + <usize>r0 * across + (<usize>(j - r0) << 5);
    for (let n = 0; n < depth; n += 8) {
      for (let k = 0; k < 8; k++) {
        store<f32>(to + (<usize>k << 2), n + k < depth ? load<f32>(row + (<usize>(n + k) << 2)) : 0);
      }
      to += <usize>min(LmHead.Chunk, count - r0) << 5;
    }
  }
}

/** c (rows, across) = bands · panels [+ c], in whole tiles: there is room for them. */
function multiplyAll(
  bands: usize, panels: usize, depth: i32, isAdded: bool, c: usize, rows: i32, across: i32, scratch: usize,
): void {
  const stride = <usize>across << 2;
  for (let m = 0; m < rows; m += LmHead.Band) {
    if (isAdded) multiplyBand(bands, panels, depth, c, stride, 32, c, stride, LmHead.Band, across, scratch);
    else multiplyBand(bands, panels, depth, scratch + SCRATCH_ZEROS, 0, 0, c, stride, LmHead.Band, across, scratch);
    bands += <usize>depth * (LmHead.Band * 4);
    c += stride * LmHead.Band;
  }
}

/** Logits of a place and a block to their gradient, in place; it is added to dBias. */
function gradientOfRow(args: usize, logits: usize, row: i32, first: i32, count: i32, dBias: usize): void {
  const scale = <f32>(<f64>load<f32>(load<usize>(args, 28)) / (<f64>load<f32>(load<usize>(args, 24)) + 1e-6));
  const scales = f32x4.splat(scale);
  const shift = f32x4.splat(load<f32>(load<usize>(args, 12) + (<usize>row << 2)));
  const target = load<i32>(load<usize>(args, 16) + (<usize>row << 2)) - first;
  const isHere = target >= 0 && target < count;
  const atTarget = logits + (<usize>target << 2);
  // 1 is taken away before scaling, as the sum of the row's gradient is to be zero.
  let right: f32 = 0;
  if (isHere) right = scale * (f32x4.extract_lane(exp4(f32x4.sub(v128.load32_splat(atTarget), shift)), 0) - 1);
  // Beyond the last id stands something else, which nobody reads.
  for (let at: usize = 0; at < <usize>count << 2; at += 16) {
    v128.store(logits + at, f32x4.mul(exp4(f32x4.sub(v128.load(logits + at), shift)), scales));
  }
  if (isHere) store<f32>(atTarget, right);
  for (let at: usize = 0; at < <usize>count << 2; at += 16) {
    v128.store(dBias + at, f32x4.add(v128.load(dBias + at), v128.load(logits + at)));
  }
}

/** (to + at) = (previous + at) + x, or x alone where previous is 0, over `count` floats. */
function addTo(previous: usize, to: usize, at: usize, x: usize, count: i32): void {
  let i: usize = 0;
  for (; i + 16 <= <usize>count << 2; i += 16) {
    const value = v128.load(x + i);
    v128.store(to + at + i, previous == 0 ? value : f32x4.add(v128.load(previous + at + i), value));
  }
  for (; i < <usize>count << 2; i += 4) {
    const value = load<f32>(x + i);
    store<f32>(to + at + i, previous == 0 ? value : load<f32>(previous + at + i) + value);
  }
}

/** shares, counts, previous dHidden or 0, dHidden, rows, places a row of the batch, E, slices. dHidden may be the previous one. */
export function lmHeadHidden(args: usize, thread: i32, threads: i32): void {
  const counts = load<usize>(args, 4);
  const rows = load<i32>(args, 16);
  const places = load<i32>(args, 20);
  const depth = load<i32>(args, 24);
  const slices = load<i32>(args, 28);
  const rowBytes = <usize>depth << 2;
  const stride = <usize>unitsOf(depth, 8) << 5;
  const shareBytes = <usize>(unitsOf(rows, LmHead.Band) * LmHead.Band) * stride;
  const from = firstUnit(rows, thread, threads);
  const last = firstUnit(rows, thread + 1, threads);
  let used: usize = 0;
  for (let i = 0; i < last; i++) {
    const isUsed = i % places < load<i32>(counts + (<usize>(i / places) << 2));
    if (i >= from) {
      const at = <usize>i * rowBytes;
      const to = load<usize>(args, 12) + at;
      const previous = load<usize>(args, 8);
      if (previous == 0) memory.fill(to, 0, rowBytes);
      else if (previous + at != to) memory.copy(to, previous + at, rowBytes);
      for (let slice = 0; isUsed && slice < slices; slice++) {
        addTo(to, to, 0, load<usize>(args, 0) + <usize>slice * shareBytes + used * stride, depth);
      }
    }
    if (isUsed) used++;
  }
}
