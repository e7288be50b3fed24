import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Mixture, Succession } from '../../src/batching/mixture.js';
import { GalvaniError } from '../../src/errors.js';
import { randomInts } from '../random.js';

/** Datasets of rows [first, first + count), and each one's numbers there, found in any order. */
function walk(mixture: Mixture, first: number, count: number) {
  const rows = Array.from({ length: count }, (_, i) => {
    mixture.find(first + i);
    return { dataset: mixture.dataset, own: mixture.own };
  });
  return rows;
}

const weightings = [
  [1],
  [1, 1],
  [0.7, 0.3],
  [0.3, 0.7],
  [1, 2, 3, 4, 5],
  [1e-5, 1],
  [1, 1e-5],
  [1e-5, 1, 1e-5, 2],
  [1e7, 1],
];

test('each dataset is gone through in its own order without a gap, from any row on', () => {
  for (const weights of weightings) {
    for (const first of [0, 1, 12_345, 2 ** 31 - 5, 2 ** 40 + 3, 2 ** 51]) {
      const mixture = new Mixture(weights);
      const next = weights.map((_, dataset) => mixture.countBefore(dataset, first));
      assert.equal(
        next.reduce((sum, count) => sum + count, 0),
        first,
      );
      for (const { dataset, own } of walk(mixture, first, 3000)) assert.equal(own, next[dataset]++);
      assert.deepEqual(
        weights.map((_, dataset) => mixture.countBefore(dataset, first + 3000)),
        next,
      );
    }
  }
});

test('of any rows in a line each dataset has its share, to within the number of datasets', () => {
  for (const weights of weightings) {
    const mixture = new Mixture(weights);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const ends = Array.from(randomInts(4000, weights.length, 2 ** 20)).map((end, i) =>
      i % 2 ? end : end * 2 ** (i % 11),
    );
    for (let i = 0; i < ends.length; i += 2) {
      const [first, end] = [ends[i], ends[i + 1]].sort((a, b) => a - b);
      for (const [dataset, weight] of weights.entries()) {
        const rows = mixture.countBefore(dataset, end) - mixture.countBefore(dataset, first);
        // Weights are rounded to 2⁻²⁷ of their sum.
        const most = weights.length + (end - first) * 2 ** -27 * weights.length;
        const share = ((end - first) * weight) / total;
        assert.ok(Math.abs(rows - share) <= most, `${rows} for ${share} of [${first}, ${end}), ${weights}`);
      }
    }
  }
});

test('weights that are not positive, or that vanish beside the others, are refused', () => {
  for (const weight of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e-9]) {
    assert.throws(
      () => new Mixture([1, weight]),
      (error: unknown) =>
        error instanceof GalvaniError &&
        error.kind === 'wrongUse' &&
        /^batch: expected (a number above 0|at least a hundred-millionth .*), got .* \(weight of a dataset\)\. Change/.test(
          error.message,
        ),
    );
  }
});

test('a pass has one dataset behind the other, each once', () => {
  const succession = new Succession([3, 1, 2]);
  const rows = Array.from({ length: 8 }, (_, row) => {
    succession.find(row);
    return [succession.dataset, succession.own];
  });
  const behind = [
    [2, 2],
    [2, 3],
  ];
  assert.deepEqual(rows, [[0, 0], [0, 1], [0, 2], [1, 0], [2, 0], [2, 1], ...behind]);
  for (let rows = 0; rows < 10; rows++) {
    const counts = [0, 1, 2].map((dataset) => succession.countBefore(dataset, rows));
    assert.deepEqual(counts, [
      Math.min(rows, 3),
      Math.min(Math.max(rows - 3, 0), 1),
      Math.min(Math.max(rows - 4, 0), 2),
    ]);
  }
});
