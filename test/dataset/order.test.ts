import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExampleOrder, examplesPerBlock, windowBlocks } from '../../src/dataset/order.js';
import { keyOfSeed } from '../../src/random/philox.js';

const key = keyOfSeed(42);
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

function epochOf(order: ExampleOrder, epoch: number): number[] {
  return Array.from({ length: order.examples }, (_, i) => order.at(epoch * order.examples + i));
}

test('every example comes exactly once an epoch, and epochs differ', () => {
  for (const [examples, blockExamples] of sizes) {
    const order = new ExampleOrder(examples, blockExamples, key);
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
    const walking = new ExampleOrder(examples, blockExamples, key);
    const jumping = new ExampleOrder(examples, blockExamples, key);
    const walk = Array.from({ length: 3 * examples }, (_, position) => walking.at(position));
    for (let i = 0; i < walk.length; i++) {
      const position = (i * 7919) % walk.length;
      assert.equal(jumping.at(position), walk[position], `position ${position} of ${examples}`);
    }
  }
});

test('the seed changes the order', () => {
  const [one, two] = [1, 2].map((seed) => epochOf(new ExampleOrder(1003, 10, keyOfSeed(seed)), 0));
  assert.notDeepEqual(one, two);
});

test('a window of the order touches 32 blocks and uses them up', () => {
  const order = new ExampleOrder(1003, 10, key);
  const epoch = epochOf(order, 1);
  let start = 0;
  const used = new Set<number>();
  for (let window = 0; window < 4; window++) {
    // Whole blocks: 32 a window but in the last, and one block holds only 3.
    const blocks = new Set<number>();
    let end = start;
    while (end < epoch.length && (blocks.has(Math.floor(epoch[end] / 10)) || blocks.size < windowBlocks)) {
      blocks.add(Math.floor(epoch[end++] / 10));
    }
    const inWindow = [...blocks].reduce((sum, block) => sum + (block === 100 ? 3 : 10), 0);
    assert.equal(end - start, inWindow);
    for (const block of blocks) {
      assert.ok(!used.has(block));
      used.add(block);
    }
    start = end;
  }
  assert.equal(start, 1003);
});

test('neighbours of the corpus land far apart: in a dataset smaller than a window, as in a random order', () => {
  const n = 3000;
  const order = epochOf(new ExampleOrder(n, 100, key), 0);
  const places = new Float64Array(n);
  for (const [place, example] of order.entries()) places[example] = place;
  const distances = Array.from({ length: n - 1 }, (_, i) => Math.abs(places[i + 1] - places[i]));
  const mean = distances.reduce((sum, distance) => sum + distance, 0) / distances.length;
  // A random order has mean n / 3 and standard deviation n / √18; neighbours share places, so halve the sample.
  assert.ok(Math.abs(mean - n / 3) < (4 * n) / Math.sqrt(18) / Math.sqrt(n / 2), `mean distance ${mean} of ${n}`);
});

test('the blocks announced are those of the next window, all of them by the end of this one', () => {
  const order = new ExampleOrder(1003, 10, key);
  const epochs = [...epochOf(order, 0), ...epochOf(order, 1)];
  const borders: number[] = [];
  for (let position = 0; position < 1003; position++) {
    const upcoming = order.upcomingBlocks(position);
    const before = position === 0 ? [] : order.upcomingBlocks(position - 1);
    if (upcoming.length < before.length) borders.push(position);
    else assert.deepEqual(upcoming.slice(0, before.length), before);
  }
  for (const border of [...borders, 1003]) {
    const announced = order.upcomingBlocks(border - 1);
    const next = epochs.slice(border, border + 10 * announced.length - 7).map((example) => Math.floor(example / 10));
    assert.deepEqual([...new Set(next)].sort(), announced.slice().sort());
  }
});

test('a block is 2^19 tokens of full windows, and never empty', () => {
  assert.equal(examplesPerBlock(126), 4161);
  assert.equal(examplesPerBlock(510), 1028);
  assert.equal(examplesPerBlock(2 ** 20), 1);
});
