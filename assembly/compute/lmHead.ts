/**
 * The generator's output layer behind its logits: a row (one masked place) after another, softmax, loss, best guess and
 * one Gumbel sample; then the sum over rows, by one thread in order.
 *
 * record (rows, 16 bytes): f64 loss of the row, i32 bits: 1 best guess right, 2 sample right, 4 not finite.
 */
import { philoxBlock } from '../philox';
import { gumbel4, gumbelBound4 } from './gumbel';
import { exp4, logWide, sumLanesWide } from './math';
import { Block } from './opcodes';
import { SCRATCH_WORK } from './scratch';
import { firstUnit } from './shares';

/** Elements whose exponentials are added in float32 before they join a float64 sum. */
const SUM_BLOCK: i32 = 256;

/** Ids that one test asks about. */
const GROUP: i32 = 16;

/**
 * logits, targets, counts, draw, sampled, logSumExp, records, rows, places a row of the batch, V, stream, sample (0/1),
 * disallow correct (0/1), inverse temperature (f32).
 */
export function lmHeadRows(args: usize, thread: i32, threads: i32, scratch: usize): void {
  const rows = load<i32>(args, 28);
  const places = load<i32>(args, 32);
  const pieces = load<i32>(args, 36);
  const last = firstUnit(rows, thread + 1, threads);
  for (let i = firstUnit(rows, thread, threads); i < last; i++) {
    const at = <usize>i << 2;
    const logits = load<usize>(args, 0) + at * <usize>pieces;
    const record = load<usize>(args, 24) + (<usize>i << 4);
    const best = firstLargest(logits, pieces);
    const largest = load<f32>(logits + (<usize>best << 2));
    const logSumExp = <f64>largest + logWide(sumOfExponentials(logits, pieces, largest));
    store<f32>(load<usize>(args, 20) + at, <f32>logSumExp);
    store<i32>(load<usize>(args, 16) + at, 0);
    store<f64>(record, 0);
    store<i32>(record, 0, 8);
    if (i % places >= load<i32>(load<usize>(args, 8) + (<usize>(i / places) << 2))) continue;
    const target = load<i32>(load<usize>(args, 4) + at);
    let bits = i32(best == target);
    if (!isFinite(logSumExp)) bits |= 4;
    if (load<i32>(args, 44) != 0) {
      const sample = sampleRow(args, logits, i, target, scratch);
      store<i32>(load<usize>(args, 16) + at, sample);
      if (sample == target) bits |= 2;
    }
    store<f64>(record, logSumExp - <f64>load<f32>(logits + (<usize>target << 2)));
    store<i32>(record, bits, 8);
  }
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
 * argmax(logits / temperature [− 1000 at the target] + Gumbel noise), an id in [0, V) whatever the logits are. A group of
 * ids of which none can be more than the best so far is passed by: of 30,522 ids some fifteen groups are not.
 */
function sampleRow(args: usize, logits: usize, row: i32, target: i32, scratch: usize): i32 {
  const draw = load<usize>(args, 12);
  const pieces = load<i32>(args, 36);
  const disallowed = load<i32>(args, 48) != 0 ? target : -1;
  const inverseTemperature = load<f32>(args, 52);
  const inverse = f32x4.splat(inverseTemperature);
  const noise = scratch + SCRATCH_WORK;
  const first = (<u64>load<u32>(draw, 12) * <u64>load<i32>(args, 32) + <u64>row) * <u64>pieces;
  let best: f32 = -Infinity;
  let sample = 0;
  for (let id0 = 0; id0 < pieces; id0 += Block.Noise) {
    const end = min(pieces, id0 + Block.Noise);
    const begin = first + <u64>id0;
    let words = noise + (<usize>(begin & 31) << 2);
    drawWords(noise, draw, load<u32>(args, 40), begin & ~31, end - id0 + <i32>(begin & 31));
    for (let id = id0; id < end; id += GROUP) {
      const from = logits + (<usize>id << 2);
      const last = min(end, id + GROUP);
      if (id + GROUP > end || groupCanBeMore(from, words, inverse, f32x4.splat(best))) {
        for (let i = id; i < last; i++) {
          const at = <usize>(i - id) << 2;
          const banned: f32 = i == disallowed ? 1000 : 0;
          const noise = f32x4.extract_lane(gumbel4(v128.load32_splat(words + at)), 0);
          const value = load<f32>(from + at) * inverseTemperature - banned + noise;
          if (value > best) {
            best = value;
            sample = i;
          }
        }
      }
      words += GROUP * 4;
    }
  }
  return sample;
}

/** Whether logits / temperature + noise of any in a group may be more than what is known. */
// @ts-ignore: decorator
@inline
function groupCanBeMore(logits: usize, words: usize, inverseTemperature: v128, known: v128): bool {
  const low = v128.or(
    canBeMore(v128.load(logits), v128.load(words), inverseTemperature, known),
    canBeMore(v128.load(logits, 16), v128.load(words, 16), inverseTemperature, known),
  );
  const high = v128.or(
    canBeMore(v128.load(logits, 32), v128.load(words, 32), inverseTemperature, known),
    canBeMore(v128.load(logits, 48), v128.load(words, 48), inverseTemperature, known),
  );
  return v128.any_true(v128.or(low, high));
}

// @ts-ignore: decorator
@inline
function canBeMore(logits: v128, words: v128, inverseTemperature: v128, known: v128): v128 {
  return f32x4.gt(f32x4.add(f32x4.mul(logits, inverseTemperature), gumbelBound4(words)), known);
}

/** Draws first … first + count − 1 of a stream, and up to 31 more; first is a multiple of 32. */
function drawWords(out: usize, draw: usize, stream: u32, first: u64, count: i32): void {
  for (let i = 0; i < count; i += 32) {
    philoxBlock(
      out + (<usize>i << 2), load<u32>(draw), load<u32>(draw, 4), (first + <u64>i) >> 2, load<u32>(draw, 8), stream,
    );
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

/** logits, logSumExp, targets, counts, denominators, dLoss, dLogits, rows, places a row, V. dLogits may be logits. */
export function lmHeadGradient(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 28);
  const places = load<i32>(args, 32);
  const pieces = load<i32>(args, 36);
  const scale = <f32>(<f64>load<f32>(load<usize>(args, 20)) / (<f64>load<f32>(load<usize>(args, 16)) + 1e-6));
  const scales = f32x4.splat(scale);
  const last = firstUnit(rows, thread + 1, threads);
  for (let i = firstUnit(rows, thread, threads); i < last; i++) {
    const at = <usize>i << 2;
    const logits = load<usize>(args, 0) + at * <usize>pieces;
    const dLogits = load<usize>(args, 24) + at * <usize>pieces;
    if (i % places >= load<i32>(load<usize>(args, 12) + (<usize>(i / places) << 2))) {
      memory.fill(dLogits, 0, <usize>pieces << 2);
      continue;
    }
    const logSumExp = load<f32>(load<usize>(args, 4) + at);
    const shift = f32x4.splat(logSumExp);
    const target = <usize>load<i32>(load<usize>(args, 8) + at) << 2;
    // 1 is taken away before scaling, as the sum of the row's gradient is to be zero.
    const logit = f32x4.splat(load<f32>(logits + target));
    const atTarget = scale * (f32x4.extract_lane(exp4(f32x4.sub(logit, shift)), 0) - 1);
    let id = 0;
    for (; id + 4 <= pieces; id += 4) {
      const to = <usize>id << 2;
      v128.store(dLogits + to, f32x4.mul(exp4(f32x4.sub(v128.load(logits + to), shift)), scales));
    }
    for (; id < pieces; id++) {
      const to = <usize>id << 2;
      const p = f32x4.extract_lane(exp4(f32x4.sub(f32x4.splat(load<f32>(logits + to)), shift)), 0);
      store<f32>(dLogits + to, p * scale);
    }
    store<f32>(dLogits + target, atTarget);
  }
}
