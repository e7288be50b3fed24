/**
 * What rounding costs. With u = 2⁻²⁴ and γ(n) = n u / (1 − n u), a sum of n rounded terms is within γ(n) Σ|terms| of the
 * exact one whatever its order (Higham, Accuracy and Stability of Numerical Algorithms, §3.1).
 *
 * An engine that computes in bfloat16 rounds the operands of matrix products to it, sums in float32, and rounds the
 * product: only operations with products in them get wider bounds for it (`productError`).
 */

export const unitRoundoff = 2 ** -24;

export function gamma(n: number): number {
  return (n * unitRoundoff) / (1 - n * unitRoundoff);
}

/** Unit roundoffs of what is rounded to less than float32 before a matrix product, and of what comes out of it. */
export interface ProductRounding {
  readonly operand: number;
  readonly result: number;
}

export const float32Products: ProductRounding = { operand: 0, result: 0 };
/** Eight significant bits. */
export const bfloat16Products: ProductRounding = { operand: 2 ** -8, result: 2 ** -8 };

/** Of an element of a product, over the sum of its n terms' absolute values: both operands, the sum, the result. */
export function productError(n: number, { operand, result }: ProductRounding): number {
  return compound(operand, operand, gamma(n), result);
}

/** Of what is summed as a product with ones: one operand that is rounded, the sum, the result. */
export function sumError(n: number, { operand, result }: ProductRounding): number {
  return compound(operand, gamma(n), result);
}

/** What relative errors come to that act one after another. */
export function compound(...errors: number[]): number {
  return errors.reduce((all, error) => all + error + all * error, 0);
}
