import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { measureBatches } from '../../src/batching/benchmark.js';
import { writeSyntheticDataset } from '../dataset/synthetic.js';

const scratch = mkdtempSync(path.join(os.tmpdir(), 'galvani-benchmark-'));
after(() => rmSync(scratch, { recursive: true }));

test('the figures of a measurement agree with each other and count real tokens alone', async () => {
  const data = path.join(scratch, 'data');
  // Every row is 20 of 40 places.
  await writeSyntheticDataset(
    data,
    Array.from({ length: 64 }, () => [Array<number>(18).fill(7)]),
  );
  const figures = await measureBatches({ data, batchSize: 8, sequenceLength: 40, seconds: 0.2 });
  assert.equal(figures.filledFraction, 0.5);
  assert.equal(figures.maskedPerRow, 6);
  assert.equal(figures.batchesPerSecond, figures.batches / figures.seconds);
  assert.ok(Math.abs(figures.tokensPerSecond / (figures.batchesPerSecond * 160) - 1) < 1e-12);
  assert.ok(figures.stallFraction >= 0 && figures.stallFraction <= 1);
});
