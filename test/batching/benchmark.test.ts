import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { measureBatches } from '../../src/batching/benchmark.js';
import { SimulatedDevice } from '../../src/batching/device.js';
import { openLoader } from '../../src/batching/loader.js';
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

test('a device of 5 ms a batch is never short of batches, and reads every value of every plane', async () => {
  const data = path.join(scratch, 'more');
  await writeSyntheticDataset(
    data,
    Array.from({ length: 64 }, (_, document) => [Array<number>(18).fill(5 + document)]),
  );
  const settings = { data, batchSize: 8, sequenceLength: 40, workers: 2 };
  const figures = await measureBatches({ ...settings, deviceMs: 5, steps: 40 });
  assert.equal(figures.batches, 40);
  // Two batches are in flight, so the consumer comes for a third when the first is done.
  assert.ok(figures.seconds >= 0.005 * 40, `${figures.seconds} s`);
  assert.ok(figures.ringFill > 0.25 && figures.ringFill <= (figures.slots - 1) / figures.slots, `${figures.ringFill}`);
  assert.equal(figures.busyFractions.length, 2);
  for (const busy of figures.busyFractions) assert.ok(busy > 0 && busy < 0.5, `${busy}`);
  assert.ok(figures.longestStallMs <= figures.stalledMs && figures.stalledMs <= 1000 * figures.seconds);

  const loader = await openLoader(settings);
  const device = await SimulatedDevice.open(loader.memory, 0);
  let expected = 0;
  for (let step = 0; step < 40; step++) {
    const batch = (await loader.next())!;
    const { ids, lengths, seconds, places, seen, counts } = batch;
    for (const plane of [ids, lengths, seconds, places, seen, counts]) for (const value of plane) expected += value;
    await device.submit(batch);
  }
  assert.equal(await device.settle(), expected);
  await Promise.all([loader.close(), device.close()]);
});

test('with two slots both are in flight, and the batches go on', async () => {
  const data = path.join(scratch, 'two');
  await writeSyntheticDataset(data, [[[5, 6, 7]], [[8, 9]]]);
  const figures = await measureBatches({ data, batchSize: 2, sequenceLength: 10, slots: 2, deviceMs: 1, steps: 50 });
  assert.equal(figures.batches, 50);
});
