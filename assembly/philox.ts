/**
 * Philox4x32-10 in wasm: the twin of src/random/philox.ts, shared by the batch and compute modules.
 *
 *   counter  c0 = ⌊index / 4⌋ low, c1 = ⌊index / 4⌋ high, c2 = step, c3 = stream; draw = word index & 3
 *
 * philoxBlock runs eight consecutive counters side by side: lane k of a vector belongs to counter + k or counter + 4 + k,
 * and every 4 × 4 words are transposed at the end, so 32 draws stand in memory in the order of their indices. The two
 * halves know nothing of each other: one multiplies while the other waits (32 words take 1.1 times as long as 16).
 * Free functions, no static data. Source: Salmon et al., SC 2011; checked by Random123's known answers.
 */

const MULTIPLIER_0: u32 = 0xd2511f53;
const MULTIPLIER_1: u32 = 0xcd9e8d57;
const WEYL_0: u32 = 0x9e3779b9;
const WEYL_1: u32 = 0xbb67ae85;

/** The four words of one counter (64 bits of ⌊index / 4⌋) at out: 16 bytes. */
export function philoxWords(out: usize, keyLow: u32, keyHigh: u32, counter: u64, step: u32, stream: u32): void {
  let c0 = <u32>counter;
  let c1 = <u32>(counter >> 32);
  let c2 = step;
  let c3 = stream;
  let k0 = keyLow;
  let k1 = keyHigh;
  for (let round = 0; round < 10; round++) {
    const product0 = <u64>MULTIPLIER_0 * <u64>c0;
    const product1 = <u64>MULTIPLIER_1 * <u64>c2;
    c0 = <u32>(product1 >> 32) ^ c1 ^ k0;
    c1 = <u32>product1;
    c2 = <u32>(product0 >> 32) ^ c3 ^ k1;
    c3 = <u32>product0;
    k0 += WEYL_0;
    k1 += WEYL_1;
  }
  store<u32>(out, c0);
  store<u32>(out, c1, 4);
  store<u32>(out, c2, 8);
  store<u32>(out, c3, 12);
}

/** The 32 words of the counters counter … counter + 7 at out: 128 bytes, in the order of their draw indices. */
export function philoxBlock(out: usize, keyLow: u32, keyHigh: u32, counter: u64, step: u32, stream: u32): void {
  // By way of memory: a constant vector is put together anew wherever it is used (V8).
  store<u32>(out, MULTIPLIER_0);
  store<u32>(out, MULTIPLIER_1, 4);
  store<u32>(out, WEYL_0, 8);
  store<u32>(out, WEYL_1, 12);
  const multiplier0 = v128.load32_splat(out);
  const multiplier1 = v128.load32_splat(out, 4);
  const weyl0 = v128.load32_splat(out, 8);
  const weyl1 = v128.load32_splat(out, 12);
  const base = i32x4.splat(<u32>counter);
  const high = i32x4.splat(<u32>(counter >> 32));
  let k0 = i32x4.splat(keyLow);
  let k1 = i32x4.splat(keyHigh);
  let a0 = i32x4.add(base, i32x4(0, 1, 2, 3));
  let b0 = i32x4.add(base, i32x4(4, 5, 6, 7));
  // A lane that wrapped is below the base: its high word is one more.
  let a1 = i32x4.sub(high, i32x4.lt_u(a0, base));
  let b1 = i32x4.sub(high, i32x4.lt_u(b0, base));
  let a2 = i32x4.splat(step);
  let b2 = a2;
  let a3 = i32x4.splat(stream);
  let b3 = a3;
  for (let round = 0; round < 10; round++) {
    const aHigh0 = highWords(a0, multiplier0);
    const aHigh1 = highWords(a2, multiplier1);
    const aLow0 = i32x4.mul(a0, multiplier0);
    a0 = v128.xor(aHigh1, v128.xor(a1, k0));
    a1 = i32x4.mul(a2, multiplier1);
    a2 = v128.xor(aHigh0, v128.xor(a3, k1));
    a3 = aLow0;
    const bHigh0 = highWords(b0, multiplier0);
    const bHigh1 = highWords(b2, multiplier1);
    const bLow0 = i32x4.mul(b0, multiplier0);
    b0 = v128.xor(bHigh1, v128.xor(b1, k0));
    b1 = i32x4.mul(b2, multiplier1);
    b2 = v128.xor(bHigh0, v128.xor(b3, k1));
    b3 = bLow0;
    k0 = i32x4.add(k0, weyl0);
    k1 = i32x4.add(k1, weyl1);
  }
  storeTransposed(out, a0, a1, a2, a3);
  storeTransposed(out + 64, b0, b1, b2, b3);
}

/** The high words of four products of 64 bits. */
// @ts-ignore: decorator
@inline
function highWords(x: v128, y: v128): v128 {
  return v128.shuffle<i32>(i64x2.extmul_low_i32x4_u(x, y), i64x2.extmul_high_i32x4_u(x, y), 1, 3, 5, 7);
}

/** Word i of four counters in ci, stored counter by counter. */
// @ts-ignore: decorator
@inline
function storeTransposed(out: usize, c0: v128, c1: v128, c2: v128, c3: v128): void {
  const pairs01Low = v128.shuffle<i32>(c0, c1, 0, 4, 1, 5);
  const pairs23Low = v128.shuffle<i32>(c2, c3, 0, 4, 1, 5);
  const pairs01High = v128.shuffle<i32>(c0, c1, 2, 6, 3, 7);
  const pairs23High = v128.shuffle<i32>(c2, c3, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<i64>(pairs01Low, pairs23Low, 0, 2));
  v128.store(out, v128.shuffle<i64>(pairs01Low, pairs23Low, 1, 3), 16);
  v128.store(out, v128.shuffle<i64>(pairs01High, pairs23High, 0, 2), 32);
  v128.store(out, v128.shuffle<i64>(pairs01High, pairs23High, 1, 3), 48);
}
