/** Who makes a batch changes nothing: workers, processes and where they begin, with blocks that come and go meanwhile. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { openLoader } from '../../src/batching/loader.js';
import type { LoaderOptions } from '../../src/batching/options.js';
import { blockExtents, countBlocks, layOutMemory } from '../../src/batching/plan.js';
import { planBatches } from '../../src/batching/planning.js';
import { openDataset } from '../../src/dataset/dataset.js';
import { openExamples } from '../../src/dataset/examples/examples.js';
import { exampleKinds } from '../../src/dataset/examples/kinds.js';
import { writeSyntheticDataset } from '../dataset/synthetic.js';
import { makeDocuments } from './documents.js';
import { hashBatches } from './hashes.js';

const scratch = mkdtempSync(path.join(os.tmpdir(), 'galvani-sharing-'));
after(() => rmSync(scratch, { recursive: true }));

const T = 24;
const blockExamples = 4;
/** For each dataset. */
const cacheBytes = 14_000;
const corpora = [path.join(scratch, 'a'), path.join(scratch, 'b')];
before(async () => {
  for (const [i, directory] of corpora.entries()) {
    const documents = makeDocuments(300 - 100 * i, 60, 100, i).map((ids) => {
      const text = ids.map((id) => (id < 5 ? 5 : id));
      return Array.from({ length: Math.ceil(text.length / 9) }, (_, line) => text.slice(9 * line, 9 * line + 9));
    });
    await writeSyntheticDataset(directory, documents, {
      pieceOf: (id) => (id % 3 === 0 ? `##${id}` : `w${id}`),
      shardTokens: 2000,
    });
    const dataset = await openDataset(directory);
    for (const kind of exampleKinds) {
      const options = { kind, sequenceLength: T, split: 'train' as const, validationFraction: 0 };
      const index = await openExamples(dataset, options, blockExamples);
      assert.ok(countBlocks(index) * blockExtents(index).blockBytes > cacheBytes, 'blocks come and go');
    }
  }
});

const mixed: LoaderOptions = {
  data: [
    { data: corpora[0], weight: 0.7 },
    { data: corpora[1], weight: 0.3 },
  ],
  batchSize: 10,
  sequenceLength: T,
  cacheBytes: 2 * cacheBytes,
  bucket: true,
  masking: { wholeWordMask: true, randomReplaceProb: 0.1 },
  replacement: 'unigram',
  seed: 5,
};

test('batches are bit-equal for 1, 2 and 4 workers and from any step, in all kinds of examples', async () => {
  for (const examples of exampleKinds) {
    const options: LoaderOptions = { ...mixed, examples };
    const one = await hashBatches(options, 120);
    assert.equal(new Set(one.map((line) => line.split(' ')[2])).size, 120);
    for (const workers of [2, 4]) {
      const slots = workers + 1;
      assert.deepEqual(await hashBatches({ ...options, workers, slots }, 120), one, `${examples}, ${workers} workers`);
    }
    for (const startStep of [1, 40, 83]) {
      const workers = 1 + (startStep % 3);
      assert.deepEqual(await hashBatches({ ...options, workers, startStep }, 20), one.slice(startStep, startStep + 20));
    }
  }
});

test('two processes that take every second step each have together the batches of one', async () => {
  const script = `
    const { hashBatches } = await import(${JSON.stringify(new URL('./hashes.js', import.meta.url))});
    const [options, count] = JSON.parse(process.argv[1]);
    console.log((await hashBatches(options, count)).join('\\n'));`;
  const one = await hashBatches(mixed, 60);
  const halves = await Promise.all(
    [0, 1].map(async (startStep) => {
      const options = { ...mixed, startStep, stepStride: 2, workers: 1 + startStep, slots: 3 };
      const child = spawn(process.execPath, ['--input-type=module', '-e', script, JSON.stringify([options, 30])], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const lines: string[] = [];
      for await (const text of child.stdout.setEncoding('utf8')) lines.push(text);
      return lines.join('').trim().split('\n');
    }),
  );
  assert.deepEqual(
    halves[0].flatMap((line, i) => [line, halves[1][i]]),
    one,
  );
});

test('every example comes exactly once an epoch, in each dataset of a mixture', async () => {
  // Documents of two tokens, no two alike; the first token says which dataset.
  const sizes = [900, 330];
  const directories = await Promise.all(
    sizes.map(async (size, d) => {
      const directory = path.join(scratch, `pairs-${d}`);
      const documents = Array.from({ length: size }, (_, i) => [[5 + 45 * d + (i % 45), 5 + Math.floor(i / 45)]]);
      await writeSyntheticDataset(directory, documents);
      const options = { kind: 'documents', sequenceLength: T, split: 'train', validationFraction: 0 } as const;
      await openExamples(await openDataset(directory), options, blockExamples);
      return directory;
    }),
  );
  const loader = await openLoader({
    data: directories.map((data, d) => ({ data, weight: [2, 1][d] })),
    batchSize: 11,
    sequenceLength: T,
    cacheBytes: 2 * 20 * 192,
    workers: 2,
  });
  const seen: string[][] = [[], []];
  try {
    while (seen[0].length < 2 * sizes[0] || seen[1].length < 2 * sizes[1]) {
      const batch = (await loader.next())!;
      for (let row = 0; row < 11; row++) {
        const [first, second] = batch.ids.subarray(T * row + 1, T * row + 3);
        seen[first < 50 ? 0 : 1].push(`${first} ${second}`);
      }
      batch.release();
    }
  } finally {
    await loader.close();
  }
  for (const [d, size] of sizes.entries()) {
    const epochs = [seen[d].slice(0, size), seen[d].slice(size, 2 * size)];
    for (const epoch of epochs) assert.equal(new Set(epoch).size, size);
    assert.notDeepEqual(epochs[0], epochs[1]);
  }
});

test('where everything lies in 4 GiB changes nothing', async () => {
  // A pass of few batches, so that only the first of the slots are ever written.
  const options: LoaderOptions = {
    ...mixed,
    batchSize: 16,
    sequenceLength: 48_000,
    disallowCorrect: true,
    validationFraction: 0.2,
    split: 'validation',
    workers: 2,
  };
  const [low, high] = [2, 900].map((slots) => ({ ...options, slots }));
  const { bytes, sources } = layOutMemory((await planBatches(high)).plan);
  assert.ok(sources[0].blocks > 2 ** 31 && bytes > 3.5 * 2 ** 30, `${sources[0].blocks} and ${bytes} bytes`);
  assert.deepEqual(await hashBatches(high, 6), await hashBatches(low, 6));
});
