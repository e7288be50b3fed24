/**
 * What the parameters start from, drawn at Philox counters: a pure function of (model, seed).
 *
 * `truncatedNormal` is the normal distribution of standard deviation `initializer_range` cut at two of them, by the
 * inverse of its distribution function: one draw an element, none rejected.
 */
import { sizeOf } from '../ops/operation.js';
import { drawWords, type Key, uniformOfWord } from '../random/philox.js';
import { streams } from '../random/streams.js';
import type { Parameter } from './parameters.js';

/** Parameter number `ordinal` of `parametersOf(model)`. */
export function initialValues({ shape, initial, range }: Parameter, ordinal: number, key: Key): Float32Array {
  const values = new Float32Array(sizeOf(shape));
  if (initial === 'zeros') return values;
  if (initial === 'ones') return values.fill(1);
  const words = new Uint32Array(values.length);
  drawWords(words, key, streams.initialWeights, ordinal);
  const [out, into] = shape;
  const limit = Math.sqrt(6 / (out + into));
  for (let i = 0; i < values.length; i++) {
    // Half a step inside (0, 1): neither end occurs.
    const uniform = uniformOfWord(words[i]) + 2 ** -24;
    values[i] = initial === 'glorotUniform' ? (2 * uniform - 1) * limit : truncatedNormal(uniform) * range;
  }
  return values;
}

/** Φ(−2), the mass beyond each cut. */
const tail = 0.022750131948179195;

function truncatedNormal(uniform: number): number {
  return inverseNormal(tail + uniform * (1 - 2 * tail));
}

/** Quantile of the standard normal for 0.02 < p < 0.98; relative error below 1.2e-9. Source: P. J. Acklam, 2003. */
function inverseNormal(p: number): number {
  const q = p - 0.5;
  if (Math.abs(q) <= 0.47575) {
    const r = q * q;
    const over =
      ((((-39.69683028665376 * r + 220.9460984245205) * r - 275.9285104469687) * r + 138.357751867269) * r -
        30.66479806614716) *
        r +
      2.506628277459239;
    const under =
      ((((-54.47609879822406 * r + 161.5858368580409) * r - 155.6989798598866) * r + 66.80131188771972) * r -
        13.28068155288572) *
        r +
      1;
    return (over * q) / under;
  }
  const r = Math.sqrt(-2 * Math.log(q < 0 ? p : 1 - p));
  const over =
    ((((-0.007784894002430293 * r - 0.3223964580411365) * r - 2.400758277161838) * r - 2.549732539343734) * r +
      4.374664141464968) *
      r +
    2.938163982698783;
  const under =
    (((0.007784695709041462 * r + 0.3224671290700398) * r + 2.445134137142996) * r + 3.754408661907416) * r + 1;
  return (q < 0 ? 1 : -1) * (over / under);
}

/**
 * Position table (P, E) as sinusoids (Vaswani et al. 2017), sines in the first half of the columns; amplitude √2 ·
 * `range`, so that its root mean square is `range` as for drawn values.
 */
export function sinusoidalPositions({ shape: [positions, width], range }: Parameter): Float32Array {
  const half = Math.ceil(width / 2);
  return Float32Array.from({ length: positions * width }, (_, i) => {
    const column = i % width;
    const angle = Math.floor(i / width) / 10000 ** ((column % half) / half);
    return Math.SQRT2 * range * (column < half ? Math.sin(angle) : Math.cos(angle));
  });
}
