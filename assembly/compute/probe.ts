/** What tests and benches call: the elementary functions over an array, and loops that reach the limits of a machine. */
import { gumbel4, gumbelBound4 } from './gumbel';
import { erf4, exp4, geluSlope4, gelu4, log1p4, log4, logPlus4, madd, power4, sigmoid4, tanh4, tanhSlope4, writeGelu, writePower } from './math';

/**
 * y = f(x) over count (a multiple of 4) floats; f: 0 exp, 1 log, 2 log1p, 3 erf, 4 tanh, 5 gelu, 6 gelu′, 7 tanh′, 8 sigmoid,
 * 9 ln(x + 1e-9), 10 2ˣ, 11 Gumbel noise of words, 12 its bound. table: memory for writeGelu and writePower.
 */
export function applyFunction(f: i32, x: usize, y: usize, count: i32, table: usize): void {
  writeGelu(table);
  writePower(table + 96);
  for (let i = 0; i < count; i += 4) {
    const at = <usize>i << 2;
    v128.store(y + at, valueOf(f, v128.load(x + at), table));
  }
}

function valueOf(f: i32, x: v128, table: usize): v128 {
  switch (f) {
    case 0: return exp4(x);
    case 1: return log4(x);
    case 2: return log1p4(x);
    case 3: return erf4(x);
    case 4: return tanh4(x);
    case 5: return gelu4(x, table);
    case 6: return geluSlope4(x, table);
    case 7: return tanhSlope4(x);
    case 8: return sigmoid4(x);
    case 9: return logPlus4(x, 1e-9);
    case 10: return power4(x, table + 96);
    case 11: return gumbel4(x);
    default: return gumbelBound4(x);
  }
}

/**
 * `rounds` × 12 multiply-adds of four floats that never leave registers: 96 floating-point operations a round. Twelve
 * chains hide a latency of 4 cycles at two a cycle with room to spare. Returns what they come to.
 */
export function multiplyAddPeak(rounds: i32, x: f32, y: f32): f32 {
  const a = f32x4.splat(x);
  const b = f32x4.splat(y);
  let s0 = f32x4.splat(0);
  let s1 = f32x4.splat(1);
  let s2 = f32x4.splat(2);
  let s3 = f32x4.splat(3);
  let s4 = f32x4.splat(4);
  let s5 = f32x4.splat(5);
  let s6 = f32x4.splat(6);
  let s7 = f32x4.splat(7);
  let s8 = f32x4.splat(8);
  let s9 = f32x4.splat(9);
  let s10 = f32x4.splat(10);
  let s11 = f32x4.splat(11);
  for (let i = 0; i < rounds; i++) {
    s0 = madd(s0, a, b);
    s1 = madd(s1, a, b);
    s2 = madd(s2, a, b);
    s3 = madd(s3, a, b);
    s4 = madd(s4, a, b);
    s5 = madd(s5, a, b);
    s6 = madd(s6, a, b);
    s7 = madd(s7, a, b);
    s8 = madd(s8, a, b);
    s9 = madd(s9, a, b);
    s10 = madd(s10, a, b);
    s11 = madd(s11, a, b);
  }
  const low = f32x4.add(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)), f32x4.add(s4, s5));
  const high = f32x4.add(f32x4.add(f32x4.add(s6, s7), f32x4.add(s8, s9)), f32x4.add(s10, s11));
  return f32x4.extract_lane(f32x4.add(low, high), 0);
}

/**
 * The same with twice as many chains, for a compiler that makes one operation of two neighbours, as they are loaded and
 * stored: 192 floating-point operations a round, on the 96 floats at `at`; the factor and the term stand behind them.
 */
export function multiplyAddPeakWide(rounds: i32, at: usize): void {
  const a = v128.load32_splat(at, 384);
  const b = v128.load32_splat(at, 388);
  let s0 = v128.load(at);
  let s1 = v128.load(at, 16);
  let s2 = v128.load(at, 32);
  let s3 = v128.load(at, 48);
  let s4 = v128.load(at, 64);
  let s5 = v128.load(at, 80);
  let s6 = v128.load(at, 96);
  let s7 = v128.load(at, 112);
  let s8 = v128.load(at, 128);
  let s9 = v128.load(at, 144);
  let s10 = v128.load(at, 160);
  let s11 = v128.load(at, 176);
  let s12 = v128.load(at, 192);
  let s13 = v128.load(at, 208);
  let s14 = v128.load(at, 224);
  let s15 = v128.load(at, 240);
  let s16 = v128.load(at, 256);
  let s17 = v128.load(at, 272);
  let s18 = v128.load(at, 288);
  let s19 = v128.load(at, 304);
  let s20 = v128.load(at, 320);
  let s21 = v128.load(at, 336);
  let s22 = v128.load(at, 352);
  let s23 = v128.load(at, 368);
  for (let i = 0; i < rounds; i++) {
    s0 = madd(s0, a, b);
    s1 = madd(s1, a, b);
    s2 = madd(s2, a, b);
    s3 = madd(s3, a, b);
    s4 = madd(s4, a, b);
    s5 = madd(s5, a, b);
    s6 = madd(s6, a, b);
    s7 = madd(s7, a, b);
    s8 = madd(s8, a, b);
    s9 = madd(s9, a, b);
    s10 = madd(s10, a, b);
    s11 = madd(s11, a, b);
    s12 = madd(s12, a, b);
    s13 = madd(s13, a, b);
    s14 = madd(s14, a, b);
    s15 = madd(s15, a, b);
    s16 = madd(s16, a, b);
    s17 = madd(s17, a, b);
    s18 = madd(s18, a, b);
    s19 = madd(s19, a, b);
    s20 = madd(s20, a, b);
    s21 = madd(s21, a, b);
    s22 = madd(s22, a, b);
    s23 = madd(s23, a, b);
  }
  v128.store(at, s0);
  v128.store(at, s1, 16);
  v128.store(at, s2, 32);
  v128.store(at, s3, 48);
  v128.store(at, s4, 64);
  v128.store(at, s5, 80);
  v128.store(at, s6, 96);
  v128.store(at, s7, 112);
  v128.store(at, s8, 128);
  v128.store(at, s9, 144);
  v128.store(at, s10, 160);
  v128.store(at, s11, 176);
  v128.store(at, s12, 192);
  v128.store(at, s13, 208);
  v128.store(at, s14, 224);
  v128.store(at, s15, 240);
  v128.store(at, s16, 256);
  v128.store(at, s17, 272);
  v128.store(at, s18, 288);
  v128.store(at, s19, 304);
  v128.store(at, s20, 320);
  v128.store(at, s21, 336);
  v128.store(at, s22, 352);
  v128.store(at, s23, 368);
}

/** Reads bytes (a multiple of 64) of memory once. Returns what its words come to, all bits of them exclusive-ored. */
export function readAll(from: usize, bytes: usize): i32 {
  let x0 = i32x4.splat(0);
  let x1 = i32x4.splat(0);
  let x2 = i32x4.splat(0);
  let x3 = i32x4.splat(0);
  const end = from + bytes;
  for (let at = from; at < end; at += 64) {
    x0 = v128.xor(x0, v128.load(at));
    x1 = v128.xor(x1, v128.load(at, 16));
    x2 = v128.xor(x2, v128.load(at, 32));
    x3 = v128.xor(x3, v128.load(at, 48));
  }
  const x = v128.xor(v128.xor(x0, x1), v128.xor(x2, x3));
  return i32x4.extract_lane(x, 0) ^ i32x4.extract_lane(x, 1) ^ i32x4.extract_lane(x, 2) ^ i32x4.extract_lane(x, 3);
}

/** Copies bytes (a multiple of 64) to where they do not overlap. */
export function copyAll(from: usize, to: usize, bytes: usize): void {
  for (let at: usize = 0; at < bytes; at += 64) {
    v128.store(to + at, v128.load(from + at));
    v128.store(to + at, v128.load(from + at, 16), 16);
    v128.store(to + at, v128.load(from + at, 32), 32);
    v128.store(to + at, v128.load(from + at, 48), 48);
  }
}
