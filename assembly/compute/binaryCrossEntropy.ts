/**
 * The discriminator's loss: a row of the batch after another, then the sum over rows by one thread in order.
 *
 * record (rows, 32 bytes): f64 Σ bce, then i32: right, found (said and replaced), said, replaced.
 */
import { exp4, log1p4, sumLanesWide } from './math';
import { firstPlace, placesOf } from './packing';
import { firstUnit } from './shares';

/** Real tokens of a row: its segments stand at its beginning. */
function realTokens(lengths: usize, row: i32, segments: i32): i32 {
  let real = 0;
  for (let s = row * segments; s < (row + 1) * segments; s++) real += load<i32>(lengths + (<usize>s << 2));
  return real;
}

/** logits, labels, lengths, records, rows, places, segments a row, firsts of the logits or 0. */
export function binaryCrossEntropyRows(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 16);
  const places = load<i32>(args, 20);
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const real = realTokens(load<usize>(args, 8), row, load<i32>(args, 24));
    const logits = load<usize>(args, 0) + (<usize>firstPlace(load<usize>(args, 28), row, places) << 2);
    const labels = load<usize>(args, 4) + (<usize>(row * places) << 2);
    const record = load<usize>(args, 12) + (<usize>row << 5);
    let loss: f64 = 0;
    let right = 0;
    let found = 0;
    let said = 0;
    let replaced = 0;
    let i = 0;
    for (; i + 4 <= real; i += 4) {
      const at = <usize>i << 2;
      loss += sumLanesWide(entropy4(v128.load(logits + at), v128.load(labels + at)));
    }
    for (; i < real; i++) {
      const at = <usize>i << 2;
      const value = entropy4(v128.load32_splat(logits + at), v128.load32_splat(labels + at));
      loss += <f64>f32x4.extract_lane(value, 0);
    }
    for (i = 0; i < real; i++) {
      const at = <usize>i << 2;
      const decision = i32(load<f32>(logits + at) > 0);
      const label = load<i32>(labels + at);
      right += i32(decision == label);
      found += decision * label;
      said += decision;
      replaced += label;
    }
    store<f64>(record, loss);
    store<i32>(record, right, 8);
    store<i32>(record, found, 12);
    store<i32>(record, said, 16);
    store<i32>(record, replaced, 20);
  }
}

/** max(x, 0) − x · label + ln(1 + e^(−|x|)): neither end overflows. */
// @ts-ignore: decorator
@inline
function entropy4(x: v128, labels: v128): v128 {
  const linear = f32x4.sub(f32x4.pmax(x, f32x4.splat(0)), f32x4.mul(x, f32x4.convert_i32x4_s(labels)));
  return f32x4.add(linear, log1p4(exp4(f32x4.neg(f32x4.abs(x)))));
}

/** records, denominators, rows, loss, hits. By thread 0. */
export function binaryCrossEntropySum(args: usize): void {
  const rows = load<i32>(args, 8);
  let loss: f64 = 0;
  let right = 0;
  let found = 0;
  let said = 0;
  let replaced = 0;
  for (let row = 0; row < rows; row++) {
    const record = load<usize>(args, 0) + (<usize>row << 5);
    loss += load<f64>(record);
    right += load<i32>(record, 8);
    found += load<i32>(record, 12);
    said += load<i32>(record, 16);
    replaced += load<i32>(record, 20);
  }
  const hits = load<usize>(args, 16);
  store<f32>(load<usize>(args, 12), <f32>(loss / (<f64>load<f32>(load<usize>(args, 4), 4) + 1e-6)));
  store<f32>(hits, <f32>right);
  store<f32>(hits, <f32>found, 4);
  store<f32>(hits, <f32>said, 8);
  store<f32>(hits, <f32>replaced, 12);
}

/**
 * logits, labels, lengths, denominators, dLoss, dLogits, rows, places, segments a row, firsts of the logits or 0. dLogits
 * may be logits.
 */
export function binaryCrossEntropyGradient(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 24);
  const places = load<i32>(args, 28);
  const scale = <f32>(<f64>load<f32>(load<usize>(args, 16)) / (<f64>load<f32>(load<usize>(args, 12), 4) + 1e-6));
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const real = realTokens(load<usize>(args, 8), row, load<i32>(args, 32));
    const first = <usize>firstPlace(load<usize>(args, 36), row, places) << 2;
    const logits = load<usize>(args, 0) + first;
    const labels = load<usize>(args, 4) + (<usize>(row * places) << 2);
    const dLogits = load<usize>(args, 20) + first;
    let i = 0;
    for (; i + 4 <= real; i += 4) {
      const at = <usize>i << 2;
      v128.store(dLogits + at, slope4(v128.load(logits + at), v128.load(labels + at), scale));
    }
    for (; i < real; i++) {
      const at = <usize>i << 2;
      const slope = slope4(v128.load32_splat(logits + at), v128.load32_splat(labels + at), scale);
      store<f32>(dLogits + at, f32x4.extract_lane(slope, 0));
    }
    memory.fill(dLogits + (<usize>real << 2), 0, <usize>(placesOf(load<usize>(args, 36), row, places) - real) << 2);
  }
}

/** scale · (sigmoid(x) − label), as s · scale / (1 + e^(−s x)) with s = 1 or −1: nothing cancels. */
// @ts-ignore: decorator
@inline
function slope4(x: v128, labels: v128, scale: f32): v128 {
  const sign = i32x4.shl(labels, 31);
  const one = f32x4.splat(1);
  const away = exp4(f32x4.neg(v128.xor(x, sign)));
  return f32x4.div(v128.xor(f32x4.splat(scale), sign), f32x4.add(one, away));
}
