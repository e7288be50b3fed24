/** What goes wrong is an error that says so, in time; and nothing is left behind, however a loader ends. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { openLoader } from '../../src/batching/loader.js';
import type { LoaderOptions } from '../../src/batching/options.js';
import { layOutMemory } from '../../src/batching/plan.js';
import { planBatches } from '../../src/batching/planning.js';
import { openDataset, type TokenDataset } from '../../src/dataset/dataset.js';
import { openExamples } from '../../src/dataset/examples/examples.js';
import { exampleKinds } from '../../src/dataset/examples/kinds.js';
import { type ExitKind, GalvaniError } from '../../src/errors.js';
import { writeSyntheticDataset } from '../dataset/synthetic.js';
import { makeDocuments } from './documents.js';

const scratch = mkdtempSync(path.join(os.tmpdir(), 'galvani-robust-'));
after(() => rmSync(scratch, { recursive: true }));

let made = 0;
async function writeDataset(documents: number[][], settings = {}): Promise<string> {
  const directory = path.join(scratch, `d${made++}`);
  await writeSyntheticDataset(
    directory,
    documents.map((ids) => [ids]),
    settings,
  );
  return directory;
}

const documents = makeDocuments(300, 60, 100).map((ids) => ids.map((id) => (id < 5 ? 5 : id)));
let data: string;
before(async () => {
  data = await writeDataset(documents);
});

const settings = { batchSize: 8, sequenceLength: 24, waitLimitMs: 5000 };

/** Opens a loader and takes batches until one fails. */
async function takeAll(options: LoaderOptions): Promise<void> {
  const loader = await openLoader(options);
  try {
    for (let i = 0; i < 500; i++) (await loader.next())?.release();
  } finally {
    await loader.close();
  }
}

/** `stage: expected …, got … (where). What to do`, of a kind. */
async function rejects(run: Promise<unknown>, kind: ExitKind, message: RegExp): Promise<void> {
  await assert.rejects(run, (error: unknown) => {
    assert.ok(error instanceof GalvaniError, String(error));
    assert.match(error.message, message);
    assert.match(error.message, /^[a-z]+: expected [\s\S]+, got [\s\S]+ \(.+\)\. [A-Z].+\.$/);
    assert.equal(error.kind, kind);
    return true;
  });
}

/** With its index in blocks of three examples, so that a small dataset has many. */
async function openInBlocks(
  directory: string,
): Promise<{ dataset: TokenDataset; file: string; offsets: Float64Array }> {
  const dataset = await openDataset(directory);
  const options = { kind: 'documents', sequenceLength: 24, split: 'train', validationFraction: 0 } as const;
  const { file, table } = await openExamples(dataset, options, 3);
  return { dataset, file, offsets: table.offsets };
}

test('a shard that is missing or cut short is named, when the dataset is opened and while batches are made', async () => {
  for (const [spoil, atOpen, running] of [
    [
      rmSync,
      /dataset: expected a shard, got no such file \(.*shard-00001/,
      /shard: expected \d+ bytes .*ENOENT.*shard-00001/,
    ],
    [
      (file: string) => truncateSync(file, 900),
      /dataset: expected \d+ bytes, got 900 \(.*shard-00001/,
      /got the end of the file after \d+ \(.*shard-00001/,
    ],
  ] as const) {
    const directory = await writeDataset(documents, { shardTokens: 3000 });
    const { dataset } = await openInBlocks(directory);
    spoil(path.join(directory, 'shard-00001.arrow'));
    await rejects(openLoader({ ...settings, data: directory }), 'badInput', atOpen);
    for (const workers of [1, 3]) await rejects(takeAll({ ...settings, data: dataset, workers }), 'badInput', running);
  }
});

test('a block of the index that is damaged is found when it is read, by whichever worker', async () => {
  const { dataset, file, offsets } = await openInBlocks(await writeDataset(documents));
  const bytes = readFileSync(file);
  bytes[offsets[70] + 9] ^= 4;
  writeFileSync(file, bytes);
  for (const workers of [1, 3]) {
    await rejects(
      takeAll({ ...settings, data: dataset, workers }),
      'badInput',
      /examples: expected the bytes of block 70 that were written, got others \(.*\.index\)\. Remove the file/,
    );
  }
});

test('datasets that do not go together, and settings that are too small, are refused', async () => {
  const other = await writeDataset(documents, { vocabularySize: 101 });
  const one = { data, weight: 1 };
  const wrong: [Partial<LoaderOptions>, ExitKind, RegExp][] = [
    [
      { data: [one, { data: other, weight: 1 }] },
      'badInput',
      /batch: expected datasets of one vocabulary .*, got others/,
    ],
    [{ data: [] }, 'wrongUse', /batch: expected a dataset, got none \(data\)/],
    ...[0, -1, Number.NaN, 1e-9].map((weight): [Partial<LoaderOptions>, ExitKind, RegExp] => [
      { data: [one, { data, weight }] },
      'wrongUse',
      /\(weight of a dataset\)/,
    ]),
    [
      { sequenceLength: 4, masking: { maskProb: 0.5 }, examples: 'official' },
      'badInput',
      /at least 5 places for official examples, got 4/,
    ],
    [{ sequenceLength: 2 }, 'wrongUse', /from 3 to 65536, got 2 \(sequenceLength\)/],
    [{ stepStride: 0 }, 'wrongUse', /\(stepStride\)/],
    [{ stepStride: 1.5 }, 'wrongUse', /\(stepStride\)/],
    [
      { validationFraction: 1e-9, split: 'validation' },
      'badInput',
      /examples: expected documents with tokens for validation/,
    ],
  ];
  for (const [options, kind, message] of wrong)
    await rejects(openLoader({ ...settings, data, ...options }), kind, message);
});

test('a cache that is too small is refused with what would be enough, for one dataset and for several', async () => {
  const { dataset } = await openInBlocks(await writeDataset(documents));
  for (const datasets of [1, 3]) {
    const options = { ...settings, data: Array.from({ length: datasets }, () => ({ data: dataset, weight: 1 })) };
    const error = await openLoader({ ...options, cacheBytes: 1000 }).catch((error) => error);
    assert.match(
      error.message,
      /batch: expected at least \d+ bytes of cache for batches of 8, got 1000 \(.*\.index\)\. Raise/,
    );
    const enough = Number(/at least (\d+)/.exec(error.message)![1]);
    await assert.rejects(openLoader({ ...options, cacheBytes: enough - 1 }), /bytes of cache/);
    await takeAll({ ...options, cacheBytes: enough, workers: 2 });
  }
});

test('a row of special tokens only is an error in all kinds of examples', async () => {
  const directory = await writeDataset([...documents.slice(0, 20), Array(60).fill(4), ...documents.slice(20)]);
  for (const examples of exampleKinds) {
    for (const wholeWordMask of [false, true]) {
      await rejects(
        takeAll({ ...settings, data: directory, examples, masking: { wholeWordMask } }),
        'badInput',
        /mask: expected a token that may be masked, got only special tokens in row \d \(.*shard-00000.arrow, token \d+, step/,
      );
    }
  }
});

test('a disk that does not answer is an error in time', async () => {
  // Whoever opens a pipe waits until another comes who writes.
  const directory = await writeDataset(documents);
  const { dataset } = await openInBlocks(directory);
  const shard = path.join(directory, 'shard-00000.arrow');
  renameSync(shard, `${shard}.real`);
  execFileSync('mkfifo', [shard]);
  const loader = await openLoader({ ...settings, data: dataset, workers: 3, waitLimitMs: 700 });
  await rejects(loader.next(), 'tryAgain', /batch: expected a batch within 700 ms, got none \(step 0\)\. Is the disk/);
  closeSync(openSync(shard, 'w'));
  await loader.close();
});

test('workers that wait for a block whose reader died wait no longer than the loader lives', async () => {
  const options = { ...settings, data, workers: 3 };
  const { plan } = await planBatches(options);
  const { states } = layOutMemory(plan).sources[0];
  assert.equal(plan.sources[0].cachedBlocks, 1);
  const claimed = async () => {
    const loader = await openLoader(options);
    // Before a worker has begun: the only block is being read, by nobody.
    Atomics.store(new Int32Array(loader.memory.buffer), states / 4, 2);
    return loader;
  };
  const threads: Worker[] = [];
  const note = (thread: Worker) => threads.push(thread);
  process.on('worker', note);
  const loader = await claimed();
  const waiting = rejects(
    loader.next(),
    'failure',
    /batch: expected a worker that makes batches, got worker exited.* \(worker \d, step [0-2]\)/,
  );
  await delay(200);
  process.off('worker', note);
  await threads[1].terminate();
  await waiting;
  await loader.close();

  const closed = await claimed();
  const next = closed.next();
  await delay(200);
  await closed.close();
  assert.equal(await next, undefined);
});

test('a worker that runs out of memory is an error with its cause, and the loader ends', () => {
  const script = path.join(scratch, 'memory.mjs');
  writeFileSync(
    script,
    `import { createRequire } from 'node:module';
     const threads = createRequire(import.meta.url)('node:worker_threads');
     const { Worker } = threads;
     threads.Worker = class extends Worker {
       constructor(file, options) {
         super(file, { ...options, resourceLimits: { maxOldGenerationSizeMb: 3, maxYoungGenerationSizeMb: 1 } });
       }
     };
     const { openLoader } = await import(${JSON.stringify(new URL('../../src/batching/loader.js', import.meta.url))});
     const loader = await openLoader({ data: process.argv[2], batchSize: 8, sequenceLength: 24, workers: 2, waitLimitMs: 9000 });
     try {
       for (;;) (await loader.next()).release();
     } catch (error) {
       console.log(error.constructor.name, error.kind, error.message);
     }
     await loader.close();`,
  );
  const { stdout, stderr, status } = spawnSync(process.execPath, [script, data], { encoding: 'utf8', timeout: 20_000 });
  assert.match(
    stdout,
    /^GalvaniError failure batch: expected a worker that makes batches, got .*memory.* \(.*\)\. Run/,
    stderr,
  );
  assert.equal(status, 0);
});

/** What a process holds: threads, descriptors, and what keeps its event loop alive. */
function held() {
  const count = (directory: string) => readdirSync(directory).length;
  const [threads, descriptors] =
    process.platform === 'linux' ? ['/proc/self/task', '/proc/self/fd'].map(count) : [0, 0];
  return { threads, descriptors, resources: process.getActiveResourcesInfo().sort() };
}

test('nothing is left of a loader: after close(), an error, or a consumer that throws', async () => {
  const special = await writeDataset([
    [5, 6, 7],
    [4, 4],
  ]);
  const endings: (() => Promise<void>)[] = [
    async () => {
      const loader = await openLoader({ ...settings, data, workers: 3 });
      (await loader.next())!.release();
      await loader.next();
      const waiting = [loader.next(), loader.next()];
      await loader.close();
      await Promise.all(waiting);
      assert.equal(await loader.next(), undefined);
    },
    async () => {
      // Closed before its workers have begun.
      await (await openLoader({ ...settings, data, workers: 2 })).close();
    },
    async () => {
      const loader = await openLoader({ ...settings, data: special, workers: 2 });
      await assert.rejects(loader.next(), /special tokens/);
      await loader.close();
    },
    async () => {
      const threads: Worker[] = [];
      const note = (thread: Worker) => threads.push(thread);
      process.on('worker', note);
      const loader = await openLoader({ ...settings, data, workers: 3 });
      (await loader.next())!.release();
      process.off('worker', note);
      await threads[2].terminate();
      await assert.rejects(async () => {
        for (;;) (await loader.next())!.release();
      }, /a worker that makes batches/);
      await loader.close();
    },
    async () => {
      const loader = await openLoader({ ...settings, data, slots: 2, waitLimitMs: 1000 });
      for (let i = 0; i < 2; i++) await loader.next();
      await assert.rejects(loader.next(), /given back/);
      await loader.close();
    },
    async () => {
      const consume = async () => {
        await using loader = await openLoader({ ...settings, data, workers: 2 });
        for await (const batch of loader) {
          if (batch.step === 3) throw new Error('the consumer');
          batch.release();
        }
      };
      await assert.rejects(consume(), /the consumer/);
    },
    async () => {
      // A pass: its workers are done before it is closed.
      const loader = await openLoader({ ...settings, data, split: 'validation', validationFraction: 0.2, workers: 2 });
      for await (const batch of loader) batch.release();
      await loader.close();
    },
  ];
  await endings[0]();
  await delay(50);
  const before = held();
  for (const [i, end] of endings.entries()) {
    await end();
    await delay(20);
    assert.deepEqual(held(), before, `ending ${i}`);
  }
});

test('the memory of loaders that are closed is given back: 50 in a row take what a few do', () => {
  const script = `
    const { openLoader } = await import(${JSON.stringify(new URL('../../src/batching/loader.js', import.meta.url))});
    const rss = [];
    let bytes = 0;
    for (let i = 0; i < 50; i++) {
      const loader = await openLoader({ data: process.argv[1], batchSize: 256, sequenceLength: 512, slots: 16 });
      for (let k = 0; k < 16; k++) (await loader.next()).release();
      bytes = loader.memory.buffer.byteLength;
      await loader.close();
      rss.push(process.memoryUsage().rss);
    }
    console.log(JSON.stringify({ rss, bytes }));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script, data], {
    encoding: 'utf8',
  });
  assert.equal(stderr.replace(/.*(GalvaniWarning|trace-warnings).*\n/g, ''), '');
  const { rss, bytes }: { rss: number[]; bytes: number } = JSON.parse(stdout);
  // Left lying until V8 collects by itself, they were 30 at a time.
  const most = rss[0] + 16 * bytes;
  assert.ok(Math.max(...rss) < most, `${rss.map((one) => Math.round(one / 2 ** 20))} MiB, ${bytes} bytes each`);
});
