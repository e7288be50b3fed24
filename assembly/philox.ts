/**
 * Philox4x32-10 in wasm: the twin of src/random/philox.ts, shared by the batch and compute modules.
 *
 *   counter  c0 = ⌊index / 4⌋ low, c1 = ⌊index / 4⌋ high, c2 = step, c3 = stream; draw = word index & 3
 *
 * philoxBlock runs four consecutive counters side by side: lane k of every vector belongs to counter + k, and the
 * 4 × 4 words are transposed at the end, so 16 draws stand in memory in the order of their indices.
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

/** The 16 words of the counters counter … counter + 3 at out: 64 bytes, in the order of their draw indices. */
export function philoxBlock(out: usize, keyLow: u32, keyHigh: u32, counter: u64, step: u32, stream: u32): void {
  const base = i32x4.splat(<u32>counter);
  let c0 = i32x4.add(base, i32x4(0, 1, 2, 3));
  // A lane that wrapped is below the base: its high word is one more.
  let c1 = i32x4.sub(i32x4.splat(<u32>(counter >> 32)), i32x4.lt_u(c0, base));
  let c2 = i32x4.splat(step);
  let c3 = i32x4.splat(stream);
  let k0 = keyLow;
  let k1 = keyHigh;
  const multiplier0 = i32x4.splat(MULTIPLIER_0);
  const multiplier1 = i32x4.splat(MULTIPLIER_1);
  for (let round = 0; round < 10; round++) {
    const low0 = i64x2.extmul_low_i32x4_u(c0, multiplier0);
    const high0 = i64x2.extmul_high_i32x4_u(c0, multiplier0);
    const low1 = i64x2.extmul_low_i32x4_u(c2, multiplier1);
    const high1 = i64x2.extmul_high_i32x4_u(c2, multiplier1);
    c0 = v128.xor(v128.xor(v128.shuffle<i32>(low1, high1, 1, 3, 5, 7), c1), i32x4.splat(k0));
    c1 = v128.shuffle<i32>(low1, high1, 0, 2, 4, 6);
    c2 = v128.xor(v128.xor(v128.shuffle<i32>(low0, high0, 1, 3, 5, 7), c3), i32x4.splat(k1));
    c3 = v128.shuffle<i32>(low0, high0, 0, 2, 4, 6);
    k0 += WEYL_0;
    k1 += WEYL_1;
  }
  // c0 … c3 hold word 0 … 3 of four counters; the rows wanted are the counters.
  const pairs01Low = v128.shuffle<i32>(c0, c1, 0, 4, 1, 5);
  const pairs23Low = v128.shuffle<i32>(c2, c3, 0, 4, 1, 5);
  const pairs01High = v128.shuffle<i32>(c0, c1, 2, 6, 3, 7);
  const pairs23High = v128.shuffle<i32>(c2, c3, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<i64>(pairs01Low, pairs23Low, 0, 2));
  v128.store(out, v128.shuffle<i64>(pairs01Low, pairs23Low, 1, 3), 16);
  v128.store(out, v128.shuffle<i64>(pairs01High, pairs23High, 0, 2), 32);
  v128.store(out, v128.shuffle<i64>(pairs01High, pairs23High, 1, 3), 48);
}
