/**
 * Replacement ids from stored candidates: of a masked place the k ids that a generator found most likely, by
 *
 *   P(id) ∝ exp(log-probability / temperature)
 *
 * logProbs    (B, N, k) f32, natural, the likeliest first; candidates (B, N, k) of idBytes (2 or 4)
 * ids         (B, T) i32, places (B, N) i32, counts (B) i32
 * given       (B, N) i32 out; beyond a row's count, the id at place 0
 * draws       (B, N) u32
 * scratch     8 × (k + 1) bytes, and as many may be read behind logProbs
 *
 * disallowCorrect leaves the original out (k ≥ 2); what is left is renormalised exactly. All in float64, which is the
 * same on every machine. A share below 2⁻³² may never come. Source: Fast-ELECTRA, arXiv 2310.07347.
 */
export function drawCached(
  ids: usize, places: usize, counts: usize, given: usize, draws: usize, logProbs: usize, candidates: usize,
  idBytes: i32, scratch: usize, temperature: f64, B: i32, T: i32, N: i32, k: i32, disallowCorrect: bool,
): void {
  for (let row = 0; row < B; row++) {
    const count = load<i32>(counts + (<usize>row << 2));
    for (let j = 0; j < count; j++) {
      const first = <usize>(row * N + j);
      const own = candidates + first * <usize>(k * idBytes);
      const original = load<i32>(ids + (<usize>load<i32>(places + (<usize>j << 2)) << 2));
      const excluded = disallowCorrect ? indexOf(own, idBytes, k, original) : -1;
      const total = weigh(logProbs + ((first * <usize>k) << 2), scratch, temperature, k, excluded);
      const drawn = pick(scratch, <f64>load<u32>(draws + (<usize>j << 2)) * (1.0 / 4294967296.0) * total);
      store<i32>(given + (<usize>j << 2), idAt(own, idBytes, drawn));
    }
    const filler = load<i32>(ids);
    for (let j = count; j < N; j++) store<i32>(given + (<usize>j << 2), filler);
    ids += <usize>T << 2;
    places += <usize>N << 2;
    given += <usize>N << 2;
    draws += <usize>N << 2;
  }
}

/** Weights relative to the likeliest that may come, into scratch; 0 for `excluded`. @returns their sum, at least 1 */
function weigh(logProbs: usize, scratch: usize, temperature: f64, k: i32, excluded: i32): f64 {
  const best = f64x2.splat(<f64>load<f32>(logProbs, 0));
  const base = excluded == 0 ? f64x2.splat(<f64>load<f32>(logProbs, 4)) : best;
  const temperatures = f64x2.splat(temperature);
  for (let i = 0; i < k; i += 2) {
    const two = f64x2.promote_low_f32x4(v128.load64_zero(logProbs + (<usize>i << 2)));
    v128.store(scratch + (<usize>i << 3), expPair(f64x2.div(f64x2.sub(two, base), temperatures)));
  }
  if (excluded >= 0) store<f64>(scratch + (<usize>excluded << 3), 0);
  let total: f64 = 0;
  for (let i = 0; i < k; i++) total += load<f64>(scratch + (<usize>i << 3));
  return total;
}

/** The first whose weight, with those before, is above the target: it ends, since sums come out as in `weigh`. */
function pick(scratch: usize, target: f64): i32 {
  let i = 0;
  let sum = load<f64>(scratch);
  while (sum <= target) sum += load<f64>(scratch + (<usize>++i << 3));
  return i;
}

function indexOf(candidates: usize, idBytes: i32, k: i32, id: i32): i32 {
  for (let i = 0; i < k; i++) if (idAt(candidates, idBytes, i) == id) return i;
  return -1;
}

// @ts-ignore: decorator
@inline
function idAt(candidates: usize, idBytes: i32, i: i32): i32 {
  return idBytes == 2 ? <i32>load<u16>(candidates + (<usize>i << 1)) : load<i32>(candidates + (<usize>i << 2));
}

/**
 * eˣ for x ≤ 0, two at a time, within 1 ulp; below −700, e⁻⁷⁰⁰.
 * x = n ln 2 + r, |r| ≤ 0.347; eʳ by the quotient of FreeBSD's e_exp.c (Sun Microsystems, 1993).
 */
function expPair(x: v128): v128 {
  const t = f64x2.max(x, f64x2.splat(-700.0));
  // Adding 1.5 · 2⁵² leaves the nearest integer in the low bits of the mantissa.
  const shifted = f64x2.add(f64x2.mul(t, f64x2.splat(1.44269504088896338700)), f64x2.splat(6755399441055744.0));
  const n = f64x2.sub(shifted, f64x2.splat(6755399441055744.0));
  // ln 2 in two parts: n · high is exact.
  const high = f64x2.sub(t, f64x2.mul(n, f64x2.splat(6.93147180369123816490e-01)));
  const low = f64x2.mul(n, f64x2.splat(1.90821492927058770002e-10));
  const r = f64x2.sub(high, low);
  const r2 = f64x2.mul(r, r);
  let p = f64x2.add(f64x2.mul(r2, f64x2.splat(4.13813679705723846039e-08)), f64x2.splat(-1.65339022054652515390e-06));
  p = f64x2.add(f64x2.mul(p, r2), f64x2.splat(6.61375632143793436117e-05));
  p = f64x2.add(f64x2.mul(p, r2), f64x2.splat(-2.77777777770155933842e-03));
  p = f64x2.add(f64x2.mul(p, r2), f64x2.splat(1.66666666666666019037e-01));
  const c = f64x2.sub(r, f64x2.mul(p, r2));
  const quotient = f64x2.div(f64x2.mul(r, c), f64x2.sub(f64x2.splat(2.0), c));
  const y = f64x2.sub(f64x2.splat(1.0), f64x2.sub(f64x2.sub(low, quotient), high));
  return f64x2.mul(y, i64x2.shl(i64x2.add(shifted, i64x2.splat(1023)), 52));
}
