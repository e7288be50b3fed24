/** Thousands of steps take no more memory than some, though blocks of a dataset larger than the cache come and go. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { openLoader } from '../../src/batching/loader.js';
import { examplesPerBlock } from '../../src/dataset/examples/blocks.js';
import { median } from '../../src/median.js';
import { writeSyntheticDataset } from '../dataset/synthetic.js';

const scratch = mkdtempSync(path.join(os.tmpdir(), 'galvani-steady-'));
after(() => rmSync(scratch, { recursive: true }));

setFlagsFromString('--expose-gc');
const openFiles = '/proc/self/fd';
const collectGarbage: () => void = runInNewContext('gc');

test('10,000 steps leave heap, resident memory and open files as they were', async () => {
  const data = path.join(scratch, 'data');
  const T = 16;
  const blocks = 10;
  // Each document makes a hundred examples.
  const line = Array.from({ length: 100 * (T - 2) }, (_, i) => 5 + (i % 90));
  const documents = Array.from({ length: (blocks * examplesPerBlock(T)) / 100 }, () => [line]);
  await writeSyntheticDataset(data, documents, { shardTokens: 1 << 21 });
  // Room for eight blocks, two windows of four.
  const options = { data, batchSize: 64, sequenceLength: T, cacheBytes: 14_000_000, workers: 2 };
  const loader = await openLoader(options);
  const take = async (steps: number) => {
    for (let step = 0; step < steps; step++) (await loader.next())!.release();
  };
  const look = async () => {
    // V8 keeps what a wait needs until its time is over, also where it was woken before: 100 ms at most.
    await delay(300);
    // Code that is not used any more is let go by one of the next collections.
    for (let times = 0; times < 10; times++) collectGarbage();
    const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
    return { heapUsed, arrayBuffers, rss, files: existsSync(openFiles) ? readdirSync(openFiles).length : 0 };
  };
  try {
    // More than an epoch: every slot of the cache has been written, every shard opened, everything compiled.
    await take(7000);
    const before = await look();
    const steps = 10_000;
    const stretches = 5;
    const heaps = [before.heapUsed];
    let now = before;
    for (let stretch = 0; stretch < stretches; stretch++) {
      await take(steps / stretches);
      now = await look();
      heaps.push(now.heapUsed);
    }
    assert.ok(loader.examples < steps * 64);
    // What leaks does so in every stretch; code that is compiled again is there once.
    const growth = median(heaps.slice(1).map((heap, i) => heap - heaps[i]));
    assert.ok(growth < (30 * steps) / stretches, `${heaps} bytes of heap`);
    assert.ok(
      now.arrayBuffers - before.arrayBuffers < steps,
      `${before.arrayBuffers} → ${now.arrayBuffers} of buffers`,
    );
    // The heaps of two other threads breathe in this; the planes of a batch are 5 kB.
    assert.ok(now.rss - before.rss < 4000 * steps, `${before.rss} → ${now.rss} bytes resident`);
    assert.ok(now.files - before.files < 10, `${before.files} → ${now.files} files`);
  } finally {
    await loader.close();
  }
});
