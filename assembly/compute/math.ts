/**
 * Elementary functions, four floats at a time, as polynomials and quotients of polynomials.
 *
 * Coefficients are minimax fits of our own (Lawson's weighted least squares in 40 digits, rounded to float32); the
 * bound at each function is the largest error over its whole range, rounding included, and is tested
 * (test/engines/math.test.ts). NaN comes out as NaN. This module may hold no static data, so there are no tables but one that is written when needed.
 */

/** a · b + c, rounded once where the machine has it (relaxed build), twice elsewhere. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);
}

/** x inside [low, high]; NaN stays. */
// @ts-ignore: decorator
@inline
function clamp(x: v128, low: f32, high: f32): v128 {
  return f32x4.pmin(f32x4.pmax(x, f32x4.splat(low)), f32x4.splat(high));
}

/**
 * eˣ for −87.33 ≤ x ≤ 88.37, within 2 ulp; outside, the value at the nearer end (1.2e-38, 2.4e38).
 * x = n ln 2 + r, |r| ≤ 0.347; eʳ = 1 + r + r² p(r), fitted to 3.2e-9.
 */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  const t = clamp(x, -87.33, 88.37);
  // Adding 1.5 · 2²³ leaves the nearest integer in the low bits of the mantissa.
  const shifted = f32x4.add(f32x4.mul(t, f32x4.splat(1.4426950408889634)), f32x4.splat(12582912.0));
  const n = f32x4.sub(shifted, f32x4.splat(12582912.0));
  // ln 2 in two parts: n · high is exact.
  let r = madd(n, f32x4.splat(-0.693145751953125), t);
  r = madd(n, f32x4.splat(-1.42860682030941723212e-6), r);
  let p = madd(f32x4.splat(0.00139506003), r, f32x4.splat(0.008368953708));
  p = madd(p, r, f32x4.splat(0.04166620417));
  p = madd(p, r, f32x4.splat(0.166665183));
  p = madd(p, r, f32x4.splat(0.5000000096));
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), f32x4.splat(1.0));
  const power = i32x4.add(i32x4.shl(shifted, 23), i32x4.splat(0x3f800000));
  return f32x4.mul(p, power);
}

/**
 * 2ˣ = 2ⁿ 2ʳ, x = n + r, |r| ≤ ½; 2ʳ = 1 + r p(r), fitted to 1.6e-8. The coefficients are read from a table of 36 bytes,
 * as those of gelu are.
 */
export function writePower(table: usize): void {
  store<f32>(table, -126.0);
  store<f32>(table, 12582912.0, 4);
  store<f32>(table, 0.00015353360629, 8);
  store<f32>(table, 0.0013398874867, 12);
  store<f32>(table, 0.0096184373664, 16);
  store<f32>(table, 0.055503324697, 20);
  store<f32>(table, 0.24022647913, 24);
  store<f32>(table, 0.69314720286, 28);
  store<f32>(table, 1.0, 32);
}

/**
 * 2ˣ for x ≤ 1, within 2 ulp down to 2⁻¹²⁶, which is the value of all that lies below: for a softmax, whose scores come
 * with log₂ e in their scale. table: what writePower has written.
 */
// @ts-ignore: decorator
@inline
export function power4(x: v128, table: usize): v128 {
  const t = f32x4.pmax(x, v128.load32_splat(table));
  const magic = v128.load32_splat(table, 4);
  const one = v128.load32_splat(table, 32);
  const shifted = f32x4.add(t, magic);
  const r = f32x4.sub(t, f32x4.sub(shifted, magic));
  let p = madd(v128.load32_splat(table, 8), r, v128.load32_splat(table, 12));
  p = madd(p, r, v128.load32_splat(table, 16));
  p = madd(p, r, v128.load32_splat(table, 20));
  p = madd(p, r, v128.load32_splat(table, 24));
  p = madd(p, r, v128.load32_splat(table, 28));
  p = madd(p, r, one);
  // The bits of 1 with n added to the exponent.
  return f32x4.mul(p, i32x4.add(i32x4.shl(shifted, 23), one));
}

/**
 * ln(x + delta) for normal positive x below 2¹²⁷ and 0 ≤ delta < x / 64, as if x + delta were not rounded; within 2 ulp
 * of the result, or 1e-7 where that is more.
 * x = 2ᵉ (1 + f), 0.707 ≤ 1 + f < 1.414; ln(1 + f) = f − f²/2 + f³ p(f), fitted to 5.9e-9.
 */
// @ts-ignore: decorator
@inline
export function logPlus4(x: v128, delta: f32): v128 {
  // Exponent of x / 0.7071: rounds 1 + f into [√½, √2).
  const e = i32x4.shr_s(i32x4.sub(x, i32x4.splat(0x3f3504f3)), 23);
  const mantissa = i32x4.sub(x, i32x4.shl(e, 23));
  const scale = i32x4.sub(i32x4.splat(0x3f800000), i32x4.shl(e, 23));
  const f = madd(f32x4.splat(delta), scale, f32x4.sub(mantissa, f32x4.splat(1.0)));
  return log1pOf(f, f32x4.convert_i32x4_s(e));
}

// @ts-ignore: decorator
@inline
export function log4(x: v128): v128 {
  return logPlus4(x, 0.0);
}

/** ln(1 + x) for 0 ≤ x ≤ 1, within 3 ulp, also where x is so small that 1 + x is 1. */
// @ts-ignore: decorator
@inline
export function log1p4(x: v128): v128 {
  const isLarge = f32x4.gt(x, f32x4.splat(0.41421356));
  const halved = f32x4.mul(f32x4.sub(x, f32x4.splat(1.0)), f32x4.splat(0.5));
  const e = v128.and(isLarge, f32x4.splat(1.0));
  return log1pOf(v128.bitselect(halved, x, isLarge), e);
}

/** ln(1 + f) + e ln 2. */
// @ts-ignore: decorator
@inline
function log1pOf(f: v128, e: v128): v128 {
  let p = madd(f32x4.splat(-0.07634431546), f, f32x4.splat(0.1276155129));
  p = madd(p, f, f32x4.splat(-0.131601951));
  p = madd(p, f, f32x4.splat(0.1420176237));
  p = madd(p, f, f32x4.splat(-0.1662335644));
  p = madd(p, f, f32x4.splat(0.2000122667));
  p = madd(p, f, f32x4.splat(-0.2500082106));
  p = madd(p, f, f32x4.splat(0.3333333171));
  const square = f32x4.mul(f, f);
  let tail = f32x4.mul(f32x4.mul(square, f), p);
  tail = madd(e, f32x4.splat(-2.12194440e-4), tail);
  tail = madd(square, f32x4.splat(-0.5), tail);
  return madd(e, f32x4.splat(0.693359375), f32x4.add(f, tail));
}

/** erf(x), within 5 ulp and never beyond ±1. x P(x²) / Q(x²) on |x| ≤ 3.95, fitted to 2.1e-8; ±1 beyond. */
// @ts-ignore: decorator
@inline
export function erf4(x: v128): v128 {
  const t = clamp(x, -3.95, 3.95);
  const s = f32x4.mul(t, t);
  let p = madd(f32x4.splat(2.025777728e-6), s, f32x4.splat(0.0002846699323));
  p = madd(p, s, f32x4.splat(0.003807924845));
  p = madd(p, s, f32x4.splat(0.05287467868));
  p = madd(p, s, f32x4.splat(0.1915466105));
  p = madd(p, s, f32x4.splat(1.128379144));
  let q = madd(f32x4.splat(3.782950661e-5), s, f32x4.splat(0.001170644851));
  q = madd(q, s, f32x4.splat(0.01505462674));
  q = madd(q, s, f32x4.splat(0.1145578435));
  q = madd(q, s, f32x4.splat(0.5030864407));
  q = madd(q, s, f32x4.splat(1.0));
  return clamp(f32x4.div(f32x4.mul(t, p), q), -1.0, 1.0);
}

/** tanh(x), within 5 ulp and never beyond ±1. x P(x²) / Q(x²) on |x| ≤ 9.02, fitted to 1.4e-9; ±1 beyond. */
// @ts-ignore: decorator
@inline
export function tanh4(x: v128): v128 {
  const t = clamp(x, -9.02, 9.02);
  const s = f32x4.mul(t, t);
  let p = madd(f32x4.splat(-1.220236103e-11), s, f32x4.splat(3.058346708e-8));
  p = madd(p, s, f32x4.splat(2.80067913e-5));
  p = madd(p, s, f32x4.splat(0.00386829411));
  p = madd(p, s, f32x4.splat(0.136798881));
  p = madd(p, s, f32x4.splat(0.9999999987));
  let q = madd(f32x4.splat(1.287320605e-6), s, f32x4.splat(0.000393857219));
  q = madd(q, s, f32x4.splat(0.02724571528));
  q = madd(q, s, f32x4.splat(0.4701322016));
  q = madd(q, s, f32x4.splat(1.0));
  return clamp(f32x4.div(f32x4.mul(t, p), q), -1.0, 1.0);
}

/**
 * gelu and its derivative are fitted together, so that both cost one quotient: with t = x on |x| ≤ 5.922 and s = t²,
 * the normal distribution is ½ + t P(s) / Q(s), fitted to 6.5e-8, and the derivative ½ + t S(s) / Q(s), to 7.8e-8. The
 * range ends where both come to exactly 0 and 1, in either build.
 *
 * The coefficients are read from a table of 96 bytes, since V8 from Node 22 on builds a constant of four floats anew wherever one
 * stands, in three instructions, in loops too: as constants they took as long as all the rest.
 */
export function writeGelu(table: usize): void {
  store<f32>(table, 5.922, 0);
  // Q, highest power first.
  store<f32>(table, 3.199705585e-8, 4);
  store<f32>(table, 4.010825988e-6, 8);
  store<f32>(table, 0.0001377546344, 12);
  store<f32>(table, 0.002750738478, 16);
  store<f32>(table, 0.03563060847, 20);
  store<f32>(table, 0.2771008873, 24);
  store<f32>(table, 1.0, 28);
  store<f32>(table, 0.5, 32);
  // P.
  store<f32>(table, 5.34559746e-10, 36);
  store<f32>(table, 2.22741797e-7, 40);
  store<f32>(table, 1.332758716e-5, 44);
  store<f32>(table, 0.0003061635687, 48);
  store<f32>(table, 0.005761125672, 52);
  store<f32>(table, 0.04405864488, 56);
  store<f32>(table, 0.3989419227, 60);
  // S.
  store<f32>(table, -2.425613809e-11, 64);
  store<f32>(table, 5.125796122e-9, 68);
  store<f32>(table, -1.545998279e-7, 72);
  store<f32>(table, 3.086652717e-5, 76);
  store<f32>(table, -0.000194237408, 80);
  store<f32>(table, 0.01456772875, 84);
  store<f32>(table, -0.04486437663, 88);
  store<f32>(table, 0.7978841023, 92);
}

// @ts-ignore: decorator
@inline
export function geluRange(x: v128, table: usize): v128 {
  const end = v128.load32_splat(table);
  return f32x4.pmin(f32x4.pmax(x, f32x4.neg(end)), end);
}

/** t / Q(s). */
// @ts-ignore: decorator
@inline
export function geluQuotient(t: v128, s: v128, table: usize): v128 {
  let q = madd(v128.load32_splat(table, 4), s, v128.load32_splat(table, 8));
  q = madd(q, s, v128.load32_splat(table, 12));
  q = madd(q, s, v128.load32_splat(table, 16));
  q = madd(q, s, v128.load32_splat(table, 20));
  q = madd(q, s, v128.load32_splat(table, 24));
  q = madd(q, s, v128.load32_splat(table, 28));
  return f32x4.div(t, q);
}

/** x (1 + erf(x / √2)) / 2, within 4 ulp of x. table: what writeGelu has written. */
// @ts-ignore: decorator
@inline
export function gelu4(x: v128, table: usize): v128 {
  const t = geluRange(x, table);
  const s = f32x4.mul(t, t);
  return geluOf(x, s, geluQuotient(t, s, table), table);
}

// @ts-ignore: decorator
@inline
export function geluOf(x: v128, s: v128, quotient: v128, table: usize): v128 {
  let p = madd(v128.load32_splat(table, 36), s, v128.load32_splat(table, 40));
  p = madd(p, s, v128.load32_splat(table, 44));
  p = madd(p, s, v128.load32_splat(table, 48));
  p = madd(p, s, v128.load32_splat(table, 52));
  p = madd(p, s, v128.load32_splat(table, 56));
  p = madd(p, s, v128.load32_splat(table, 60));
  return f32x4.mul(x, f32x4.add(f32x4.mul(quotient, p), v128.load32_splat(table, 32)));
}

/** Derivative of gelu: (1 + erf(x / √2)) / 2 + x e^(−x²/2) / √(2π), within 4e-7. table: what writeGelu has written. */
// @ts-ignore: decorator
@inline
export function geluSlope4(x: v128, table: usize): v128 {
  const t = geluRange(x, table);
  const s = f32x4.mul(t, t);
  return geluSlopeOf(s, geluQuotient(t, s, table), table);
}

// @ts-ignore: decorator
@inline
export function geluSlopeOf(s: v128, quotient: v128, table: usize): v128 {
  let p = madd(v128.load32_splat(table, 64), s, v128.load32_splat(table, 68));
  p = madd(p, s, v128.load32_splat(table, 72));
  p = madd(p, s, v128.load32_splat(table, 76));
  p = madd(p, s, v128.load32_splat(table, 80));
  p = madd(p, s, v128.load32_splat(table, 84));
  p = madd(p, s, v128.load32_splat(table, 88));
  p = madd(p, s, v128.load32_splat(table, 92));
  return f32x4.add(f32x4.mul(quotient, p), v128.load32_splat(table, 32));
}

/** 1 − tanh²(x) as (1 − tanh) (1 + tanh), within 6.5e-7: twice the error of tanh near 1. */
// @ts-ignore: decorator
@inline
export function tanhSlope4(x: v128): v128 {
  return tanhSlopeOf(tanh4(x));
}

// @ts-ignore: decorator
@inline
export function tanhSlopeOf(y: v128): v128 {
  const one = f32x4.splat(1.0);
  return f32x4.mul(f32x4.sub(one, y), f32x4.add(one, y));
}

/** 1 / (1 + e^(−x)), within 4 ulp for |x| ≤ 87. */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  const one = f32x4.splat(1.0);
  return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))));
}

/** Sum of the four lanes, in a fixed order. */
// @ts-ignore: decorator
@inline
export function sumLanes(x: v128): f32 {
  return (
    f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 2) + (f32x4.extract_lane(x, 1) + f32x4.extract_lane(x, 3))
  );
}

/** The four lanes added to a float64, in a fixed order. */
// @ts-ignore: decorator
@inline
export function sumLanesWide(x: v128): f64 {
  const wide = f64x2.add(
    f64x2.promote_low_f32x4(x),
    f64x2.promote_low_f32x4(v128.shuffle<i32>(x, x, 2, 3, 2, 3)),
  );
  return f64x2.extract_lane(wide, 0) + f64x2.extract_lane(wide, 1);
}

/**
 * ln(x) in float64 for normal positive x, to 1e-15: x = 2ᵉ m, ln m = 2 artanh((m − 1) / (m + 1)), |…| ≤ 0.172.
 * What is not finite comes out as it is. For the few numbers a row that a loss is made of.
 */
export function logWide(x: f64): f64 {
  if (!isFinite(x)) return x;
  const bits = reinterpret<i64>(x);
  const e = (bits - 0x3fe6a09e667f3bcd) >> 52;
  const m = reinterpret<f64>(bits - (e << 52));
  const s = (m - 1.0) / (m + 1.0);
  const square = s * s;
  let sum: f64 = 0.0;
  for (let n = 21; n >= 1; n -= 2) sum = sum * square + 1.0 / <f64>n;
  return 2.0 * s * sum + <f64>e * 0.6931471805599453;
}
