/** Pearson's test of counts against what they should be. */
import assert from 'node:assert/strict';

/** Σ (observed − expected)² / expected stays below its critical value at p = 0.001, by Wilson and Hilferty. */
export function assertExpected(counts: readonly number[], expected: readonly number[], what = 'counts'): void {
  assert.equal(counts.length, expected.length);
  const least = Math.min(...expected);
  assert.ok(least >= 5, `${what}: an expected count of ${least} is too small for the test`);
  const statistic = counts.reduce((sum, count, i) => sum + (count - expected[i]) ** 2 / expected[i], 0);
  const freedom = counts.length - 1;
  const critical = freedom * (1 - 2 / (9 * freedom) + 3.0902 * Math.sqrt(2 / (9 * freedom))) ** 3;
  assert.ok(statistic < critical, `${what}: chi-square ${statistic} of ${critical}`);
}
