import assert from 'node:assert/strict';
import { test } from 'node:test';
import { invert, keyedPermutation, permute } from '../../src/random/permutation.js';
import { keyOfSeed } from '../../src/random/philox.js';
import { assertExpected } from '../chiSquare.js';

const stream = 3;

test('it is a bijection of [0, n), and is inverted, for every n up to 300 and for larger ones', () => {
  const sizes = [...Array.from({ length: 300 }, (_, i) => i + 1), 1000, 4096, 65536, 65537, 99991];
  for (const n of sizes) {
    for (const seed of n <= 300 ? [0, 1, 2] : [3]) {
      const permutation = keyedPermutation(n, keyOfSeed(seed), stream, 5);
      const seen = new Uint8Array(n);
      for (let i = 0; i < n; i++) {
        const image = permute(permutation, i);
        seen[image]++;
        assert.equal(invert(permutation, image), i);
      }
      assert.ok(
        seen.every((count) => count === 1),
        `n = ${n}, seed = ${seed}`,
      );
    }
  }
});

test('images of a large domain stay inside it and differ', () => {
  const n = 2 ** 50 - 12345;
  const permutation = keyedPermutation(n, keyOfSeed(9), stream, 0);
  const images = Array.from({ length: 1000 }, (_, i) => permute(permutation, n - 1 - i));
  assert.ok(images.every((image) => Number.isSafeInteger(image) && image >= 0 && image < n));
  assert.equal(new Set(images).size, images.length);
});

test('it depends on seed, stream, step and place, and on nothing else', () => {
  const images = (seed: number, ...place: [number, number, number?]) => {
    const permutation = keyedPermutation(50, keyOfSeed(seed), ...place);
    return Array.from({ length: 50 }, (_, i) => permute(permutation, i)).join();
  };
  assert.equal(images(1, stream, 2), images(1, stream, 2));
  const others = [images(2, stream, 2), images(1, stream + 1, 2), images(1, stream, 3), images(1, stream, 2, 16)];
  for (const other of others) assert.notEqual(other, images(1, stream, 2));
});

test('over many keys every order of four, and every image of an index, is equally likely (p > 0.001)', () => {
  const orders = new Map<string, number>();
  const trials = 24_000;
  for (let seed = 0; seed < trials; seed++) {
    const permutation = keyedPermutation(4, keyOfSeed(seed), stream, 0);
    const order = [0, 1, 2, 3].map((i) => permute(permutation, i)).join();
    orders.set(order, (orders.get(order) ?? 0) + 1);
  }
  assert.equal(orders.size, 24);
  assertExpected([...orders.values()], Array<number>(24).fill(trials / 24), 'orders');

  const n = 37;
  const pairs = new Array<number>(n).fill(0);
  for (let seed = 0; seed < 200 * n; seed++) {
    const permutation = keyedPermutation(n, keyOfSeed(seed), stream, 1);
    // The distance of two neighbours' images: even over 1 … n − 1.
    pairs[(permute(permutation, 11) - permute(permutation, 10) + n) % n]++;
  }
  assert.equal(pairs[0], 0);
  assertExpected(pairs.slice(1), Array<number>(n - 1).fill((200 * n) / (n - 1)), 'distances');
});
