/**
 * Images of consecutive indices under a keyed permutation of [0, n), n ≤ 2³²: the twin of src/random/permutation.ts,
 * four indices side by side.
 *
 * out   (count, rounded up to a multiple of 4) u32
 * keys  (8) u32 round keys; a = ⌈√n⌉, b = ⌈n / a⌉, so both halves and moduli are at most 2¹⁶
 */
export function permuteRun(out: usize, first: u32, count: i32, n: u32, a: u32, b: u32, keys: usize): void {
  const end = out + (<usize>count << 2);
  for (; out < end; out += 16) {
    const index = i32x4.add(i32x4.splat(first), i32x4(0, 1, 2, 3));
    const images = permuteFour(index, a, b, keys);
    v128.store(out, images);
    // a·b − n < a, so an image is rarely outside; indices behind the last one may lead anywhere.
    if (v128.any_true(i32x4.ge_u(images, i32x4.splat(n)))) {
      for (let lane: usize = 0; lane < 16 && out + lane < end; lane += 4) {
        while (load<u32>(out + lane) >= n) {
          const again = permuteFour(i32x4.splat(load<u32>(out + lane)), a, b, keys);
          store<u32>(out + lane, i32x4.extract_lane(again, 0));
        }
      }
    }
    first += 4;
  }
}

// @ts-ignore: decorator
@inline
function permuteFour(index: v128, a: u32, b: u32, keys: usize): v128 {
  // ⌊index / a⌋ lane by lane; the quotient in float64 is never a whole number too many for 32-bit integers.
  const divisor = f64x2.splat(<f64>a);
  const low = f64x2.trunc(f64x2.div(f64x2.convert_low_i32x4_u(index), divisor));
  const high = f64x2.trunc(
    f64x2.div(f64x2.convert_low_i32x4_u(v128.shuffle<i32>(index, index, 2, 3, 2, 3)), divisor),
  );
  let right = v128.shuffle<i32>(
    i32x4.trunc_sat_f64x2_u_zero(low), i32x4.trunc_sat_f64x2_u_zero(high), 0, 1, 4, 5,
  );
  let left = i32x4.sub(index, i32x4.mul(right, i32x4.splat(a)));
  for (let round: usize = 0; round < 32; round += 8) {
    // left counts modulo a and right modulo b in even rounds; they change places every round.
    left = addShare(left, right, load<u32>(keys + round), a);
    right = addShare(right, left, load<u32>(keys + round, 4), b);
  }
  return i32x4.add(left, i32x4.mul(right, i32x4.splat(a)));
}

/** (half + ⌊mix(other ⊕ key) × modulus / 2³²⌋) mod modulus; the mix is the finalizer of MurmurHash3. */
// @ts-ignore: decorator
@inline
function addShare(half: v128, other: v128, key: u32, modulus: u32): v128 {
  let word = v128.xor(other, i32x4.splat(key));
  word = i32x4.mul(v128.xor(word, i32x4.shr_u(word, 16)), i32x4.splat(0x85ebca6b));
  word = i32x4.mul(v128.xor(word, i32x4.shr_u(word, 13)), i32x4.splat(0xc2b2ae35));
  word = v128.xor(word, i32x4.shr_u(word, 16));
  const wide = i32x4.splat(modulus);
  const share = v128.shuffle<i32>(
    i64x2.extmul_low_i32x4_u(word, wide), i64x2.extmul_high_i32x4_u(word, wide), 1, 3, 5, 7,
  );
  const sum = i32x4.add(half, share);
  return i32x4.sub(sum, v128.and(i32x4.ge_u(sum, wide), wide));
}
