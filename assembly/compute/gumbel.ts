/**
 * Gumbel noise of Philox words, and a bound that tells at a tenth of its price what noise cannot be more than.
 *
 *   noise = −ln(−ln(u + 1e-9) + 1e-9),   u = (low 23 bits of the word) / 2²³
 *
 * Bound: −ln u ≥ 1 − u = v, and log₂ v ≥ e + f for v = 2ᵉ (1 + f), which is what the bits of a float say, read as an
 * integer. So noise ≤ −ln v ≤ −(e + f) ln 2; where noise is large the two differ by 0.06 at most.
 */
import { log4, logPlus4, madd } from './math';

// @ts-ignore: decorator
@inline
export function gumbel4(words: v128): v128 {
  const mantissa = v128.or(v128.and(words, i32x4.splat(0x7fffff)), i32x4.splat(0x3f800000));
  const uniform = f32x4.sub(mantissa, f32x4.splat(1));
  // u = 0 lies outside the logarithm's domain: ln 1e-9 stands for it.
  const isZero = f32x4.eq(uniform, f32x4.splat(0));
  const inner = v128.bitselect(f32x4.splat(-20.72326583694641), logPlus4(uniform, 1e-9), isZero);
  return f32x4.neg(log4(f32x4.add(f32x4.neg(inner), f32x4.splat(1e-9))));
}

/** Never below gumbel4 of the same words: test/engines/gumbel.test.ts asks all 2²³. */
// @ts-ignore: decorator
@inline
export function gumbelBound4(words: v128): v128 {
  // 2²³ v, from 1 to 2²³, is exact; ln 2 (150 − bits / 2²³), and 1e-4 for its roundings and those of the noise.
  const rest = i32x4.sub(i32x4.splat(0x800000), v128.and(words, i32x4.splat(0x7fffff)));
  const bits = f32x4.convert_i32x4_s(f32x4.convert_i32x4_s(rest));
  return madd(bits, f32x4.splat(-8.262958319e-8), f32x4.splat(103.9721770839918 + 1e-4));
}
