import assert from 'node:assert/strict';
import { test } from 'node:test';
import { release } from '../../src/release.js';

test('memory that is given back is gone at once, whatever the number of arrays over it; shared memory stays', () => {
  const resident = () => process.memoryUsage().rss;
  const bytes = 64 * 2 ** 20;
  const before = resident();
  const whole = new Float32Array(bytes / 4).fill(1);
  const part = whole.subarray(5, 10);
  const shared = new Int32Array(new SharedArrayBuffer(8)).fill(3);
  assert.ok(resident() - before > 0.9 * bytes);
  release([whole, part, shared]);
  assert.ok(resident() - before < 0.1 * bytes);
  assert.deepEqual([whole.length, part.length, ...shared], [0, 0, 3, 3]);
});
