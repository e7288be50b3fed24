import assert from 'node:assert/strict';
import { test } from 'node:test';
import { examplesPerBlock } from '../../src/dataset/examples/blocks.js';
import { CorpusOrder, ShuffledOrder } from '../../src/dataset/order.js';
import { keyOfSeed } from '../../src/random/philox.js';

const key = keyOfSeed(42);
/** The most blocks of a window. */
const windowBlocks = 32;
/** (examples, examples a block): less than a block, one window, several, and short last blocks of all sizes. */
const sizes: [number, number][] = [
  [1, 10],
  [7, 10],
  [10, 10],
  [11, 10],
  [319, 10],
  [320, 10],
  [321, 10],
  [640, 10],
  [641, 10],
  [1003, 10],
  [1009, 7],
  [100, 1],
  [5000, 13],
];

function epochOf(order: ShuffledOrder, epoch: number): number[] {
  return Array.from({ length: order.examples }, (_, i) => order.at(epoch * order.examples + i));
}

test('every example comes exactly once an epoch, and epochs differ', () => {
  for (const [examples, blockExamples] of sizes) {
    const order = new ShuffledOrder(examples, blockExamples, windowBlocks, key);
    const epochs = [0, 1, 2].map((epoch) => epochOf(order, epoch));
    for (const epoch of epochs) {
      assert.deepEqual(
        epoch.slice().sort((a, b) => a - b),
        Array.from({ length: examples }, (_, i) => i),
        `${examples} examples, ${blockExamples} a block`,
      );
    }
    if (examples > 10) assert.notDeepEqual(epochs[0], epochs[1]);
  }
});

test('any position is found by itself: jumping about gives what walking gives', () => {
  for (const [examples, blockExamples] of sizes) {
    const walking = new ShuffledOrder(examples, blockExamples, windowBlocks, key);
    const jumping = new ShuffledOrder(examples, blockExamples, windowBlocks, key);
    const walk = Array.from({ length: 3 * examples }, (_, position) => walking.at(position));
    for (let i = 0; i < walk.length; i++) {
      const position = (i * 7919) % walk.length;
      assert.equal(jumping.at(position), walk[position], `position ${position} of ${examples}`);
    }
  }
});

test('the seed changes the order', () => {
  const [one, two] = [1, 2].map((seed) => epochOf(new ShuffledOrder(1003, 10, windowBlocks, keyOfSeed(seed)), 0));
  assert.notDeepEqual(one, two);
});

test('an epoch is shared out to windows of nearly equal size, each of blocks of its own', () => {
  const order = new ShuffledOrder(1003, 10, windowBlocks, key);
  assert.equal(order.windowsPerEpoch, 4);
  for (const epoch of [0, 1]) {
    const used = new Set<number>();
    let position = 1003 * epoch;
    for (let window = 0; window < 4; window++) {
      const blocks = new Map<number, number>();
      for (; position < 1003 * (epoch + 1) && order.windowOf(position) === 4 * epoch + window; position++) {
        order.find(position);
        assert.equal(order.window, 4 * epoch + window);
        assert.equal(order.blockAt(order.window, order.slot), order.block);
        blocks.set(order.slot, order.block);
      }
      assert.deepEqual(
        [...blocks.keys()].sort((a, b) => a - b),
        Array.from({ length: window < 3 ? 25 : 26 }, (_, slot) => slot),
      );
      for (const block of blocks.values()) {
        assert.ok(!used.has(block));
        used.add(block);
      }
    }
    assert.equal(used.size, 101);
  }
});

test('datasets of a mixture have orders of their own', () => {
  const [one, two] = [0, 1].map((dataset) => epochOf(new ShuffledOrder(1003, 10, windowBlocks, key, dataset), 0));
  assert.notDeepEqual(one, two);
  assert.deepEqual(
    two.slice().sort((a, b) => a - b),
    one.slice().sort((a, b) => a - b),
  );
});

test('neighbours of the corpus land far apart: in a dataset smaller than a window, as in a random order', () => {
  const n = 3000;
  const order = epochOf(new ShuffledOrder(n, 100, windowBlocks, key), 0);
  const places = new Float64Array(n);
  for (const [place, example] of order.entries()) places[example] = place;
  const distances = Array.from({ length: n - 1 }, (_, i) => Math.abs(places[i + 1] - places[i]));
  const mean = distances.reduce((sum, distance) => sum + distance, 0) / distances.length;
  // A random order has mean n / 3 and standard deviation n / √18; neighbours share places, so halve the sample.
  assert.ok(Math.abs(mean - n / 3) < (4 * n) / Math.sqrt(18) / Math.sqrt(n / 2), `mean distance ${mean} of ${n}`);
});

test('the blocks of the next window are due one after the other, all of them by the end of this one', () => {
  const order = new ShuffledOrder(1003, 10, windowBlocks, key);
  let before = 0;
  for (let position = 0; position < 2006; position++) {
    const due = order.upcoming(position);
    const next = order.windowOf(position) + 1;
    if (position > 0 && order.windowOf(position - 1) !== next - 1) before = 0;
    assert.ok(due >= before && due <= before + 1);
    before = due;
    if (position + 1 < 2006 && order.windowOf(position + 1) === next) {
      const seen = new Set<number>();
      for (let p = position + 1; order.windowOf(p) === next; p++) {
        order.find(p);
        seen.add(order.slot);
      }
      assert.equal(due, seen.size);
    }
  }
});

test('a pass has every example once, in the order of the corpus', () => {
  const order = new CorpusOrder(10, 2);
  for (let position = 0; position < 95; position++) {
    order.find(position);
    assert.equal(10 * order.block + order.example, position);
    assert.equal(order.window, order.windowOf(position));
    assert.equal(order.blockAt(order.window, order.slot), order.block);
    assert.ok(order.slot < 2);
  }
});

test('a block is 2^19 tokens of full windows, and never empty', () => {
  assert.equal(examplesPerBlock(128), 4161);
  assert.equal(examplesPerBlock(512), 1028);
  assert.equal(examplesPerBlock(2 ** 20), 1);
});
