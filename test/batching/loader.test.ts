import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { buildAliasTable, uniformWeights, unigramWeights } from '../../src/batching/frequency.js';
import { type Batch, type Loader, openLoader } from '../../src/batching/loader.js';
import { defaultMasking } from '../../src/batching/masking.js';
import type { LoaderOptions } from '../../src/batching/options.js';
import { openDataset, readTokenCounts } from '../../src/dataset/dataset.js';
import { GalvaniError } from '../../src/errors.js';
import { keyOfSeed } from '../../src/random/philox.js';
import { heldOutOf, writeSyntheticDataset } from '../dataset/synthetic.js';
import { makeDocuments, planesOf } from './documents.js';
import { cutExamples, makePlanes, type Planes, RowTwin, special, type TwinSettings } from './twin.js';

const scratch = mkdtempSync(path.join(os.tmpdir(), 'galvani-loader-'));
after(() => rmSync(scratch, { recursive: true }));

const documents = makeDocuments(400, 90, 100);
const data = path.join(scratch, 'data');
let table: Uint32Array;
before(async () => {
  await writeSyntheticDataset(
    data,
    documents.map((ids) => [ids]),
    { shardTokens: 5000, batchTokens: 700 },
  );
  table = buildAliasTable(unigramWeights(await readTokenCounts(await openDataset(data)), special));
});

const settings: LoaderOptions = { data, batchSize: 6, sequenceLength: 24, seed: 11, replacement: 'unigram' };

/** What the twin has to know beside `settings`. */
function twinOf(parts: Pick<TwinSettings, 'key'> & Partial<TwinSettings>): TwinSettings {
  const masking = defaultMasking;
  return { B: 6, T: 24, masking, isPass: false, vocabularySize: 100, continues: () => false, ...parts };
}

/** The next batches as data; each is given back before the next is asked for. */
async function take(loader: Loader, count: number): Promise<{ step: number; planes: Planes }[]> {
  const taken: { step: number; planes: Planes }[] = [];
  while (taken.length < count) {
    const batch = await loader.next();
    if (batch === undefined) break;
    taken.push({ step: batch.step, planes: planesOf(batch) });
    batch.release();
  }
  return taken;
}

const opened: Loader[] = [];
afterEach(async () => {
  for (const loader of opened.splice(0)) await loader.close();
});

async function open(options: LoaderOptions): Promise<Loader> {
  const loader = await openLoader(options);
  opened.push(loader);
  return loader;
}

async function takeFrom(options: LoaderOptions, count: number) {
  const loader = await open(options);
  const taken = await take(loader, count);
  await loader.close();
  return taken;
}

test('batches of several epochs are those of the scalar twin, in 16- and 32-bit ids', async () => {
  const examples = cutExamples(documents, 24);
  const steps = Math.ceil((2.2 * examples.length) / 6);
  const twin = twinOf({ key: keyOfSeed(11), table });
  const rows = new RowTwin([{ examples }], twin);
  for (const { step, planes } of await takeFrom(settings, steps)) {
    assert.deepEqual(planes, makePlanes(rows, step, twin), `step ${step}`);
  }

  const wide = path.join(scratch, 'wide');
  const wideDocuments = makeDocuments(40, 300, 70_000);
  await writeSyntheticDataset(
    wide,
    wideDocuments.map((ids) => [ids]),
    { vocabularySize: 70_000 },
  );
  const options: LoaderOptions = {
    ...settings,
    data: wide,
    sequenceLength: 128,
    masking: { maskProb: 0.25 },
    replacement: 'generator',
  };
  const wideTwin = {
    ...twin,
    T: 128,
    vocabularySize: 70_000,
    masking: { ...defaultMasking, maskProb: 0.25 },
    table: undefined,
  };
  const wideRows = new RowTwin([{ examples: cutExamples(wideDocuments, 128) }], wideTwin);
  for (const { step, planes } of await takeFrom(options, 30)) {
    assert.deepEqual(planes, makePlanes(wideRows, step, wideTwin), `step ${step}`);
  }
});

test('every setting of masking and replacement comes through to the batches, and to a pass', async () => {
  const directory = path.join(scratch, 'words');
  const pieceOf = (id: number) => (id % 3 === 0 ? `##${id}` : `w${id}`);
  await writeSyntheticDataset(
    directory,
    documents.map((ids) => [ids]),
    { pieceOf },
  );
  const dataset = await openDataset(directory);
  const weights = uniformWeights(100, special);
  const bert = { maskProb: 0.3, maskReplaceProb: 0.8, randomReplaceProb: 0.1 };
  for (const masking of [
    { ...defaultMasking, ...bert, wholeWordMask: true },
    { ...defaultMasking, ...bert, maskWithReplacement: true },
  ]) {
    const options: LoaderOptions = { ...settings, data: dataset, masking, replacement: 'uniform' };
    const parts = {
      masking,
      weights,
      table: buildAliasTable(weights),
      continues: (id: number) => id > 4 && id % 3 === 0,
    };
    for (const disallowCorrect of [false, true]) {
      const twin = twinOf({ ...parts, key: keyOfSeed(11), disallowCorrect });
      const rows = new RowTwin([{ examples: cutExamples(documents, 24) }], twin);
      for (const { step, planes } of await takeFrom({ ...options, disallowCorrect }, 40)) {
        assert.deepEqual(planes, makePlanes(rows, step, twin), `step ${step}`);
      }
    }
    const held = heldOutOf(documents, 0.25);
    const examples = cutExamples(
      documents.filter((_, document) => held[document] === 1),
      24,
    );
    const pass: LoaderOptions = { ...options, disallowCorrect: true, split: 'validation', validationFraction: 0.25 };
    const twin = twinOf({ ...parts, key: keyOfSeed(0x76616c6964n), isPass: true, disallowCorrect: true });
    const rows = new RowTwin([{ examples }], twin);
    for (const { step, planes } of await takeFrom(pass, 10_000)) {
      assert.deepEqual(planes, makePlanes(rows, step, twin), `step ${step} of the pass`);
    }
  }
});

test('replacements that must differ from an only token are refused when the loader opens', async () => {
  const directory = path.join(scratch, 'only');
  await writeSyntheticDataset(directory, [[[5, 5, 5, 5, 5, 5]]]);
  const options: LoaderOptions = { ...settings, data: directory, batchSize: 1, sequenceLength: 10 };
  await assert.rejects(
    openLoader({ ...options, disallowCorrect: true }),
    /batch: expected two ids to draw replacements from, so that one differs from the original, got 1 \(disallowCorrect/,
  );
  await takeFrom({ ...options, disallowCorrect: true, replacement: 'uniform' }, 3);
});

test('batches are bit-equal for 1, 2 and 4 workers, any number of slots, and from any step', async () => {
  const reference = await takeFrom(settings, 60);
  assert.deepEqual(
    reference.map(({ step }) => step),
    Array.from({ length: 60 }, (_, step) => step),
  );
  for (const workers of [2, 4]) {
    assert.deepEqual(await takeFrom({ ...settings, workers, slots: workers + 1 }, 60), reference, `${workers} workers`);
  }
  for (const startStep of [1, 7, 31, 59]) {
    const workers = 1 + (startStep % 3);
    const resumed = await takeFrom({ ...settings, workers, startStep }, 60 - startStep);
    assert.deepEqual(resumed, reference.slice(startStep), `from step ${startStep}`);
  }
});

test('the seed changes order, masks and replacements', async () => {
  const [one, two] = await Promise.all([takeFrom(settings, 1), takeFrom({ ...settings, seed: 12 }, 1)]);
  for (const plane of ['ids', 'places', 'given'] as const) {
    assert.notDeepEqual(one[0].planes[plane], two[0].planes[plane]);
  }
});

test('validation is one pass over the held-out documents, the same masks at any batch size, for any seed', async () => {
  const held = heldOutOf(documents, 0.25);
  const heldOut = documents.filter((_, document) => held[document] === 1);
  const examples = cutExamples(heldOut, 24);
  assert.ok(examples.length % 6 !== 0, 'the last batch is to be filled up');
  const options: LoaderOptions = { ...settings, validationFraction: 0.25, split: 'validation', workers: 2 };
  const batches = await takeFrom(options, 10_000);
  assert.equal(batches.length, Math.ceil(examples.length / 6));
  const twin = twinOf({ key: keyOfSeed(0x76616c6964n), isPass: true, table });
  const rows = new RowTwin([{ examples }], twin);
  for (const { step, planes } of batches) assert.deepEqual(planes, makePlanes(rows, step, twin));
  assert.deepEqual(await takeFrom({ ...options, seed: 99, workers: 1 }, 10_000), batches);

  const rowsOf = (taken: typeof batches, plane: 'ids' | 'places' | 'seen' | 'given') =>
    taken.flatMap(({ planes }) => planes[plane]!).slice(0, examples.length * (plane === 'ids' ? 24 : 3));
  const larger = await takeFrom({ ...options, batchSize: 35 }, 10_000);
  for (const plane of ['ids', 'places', 'seen', 'given'] as const) {
    assert.deepEqual(rowsOf(larger, plane), rowsOf(batches, plane), plane);
  }
});

test('training never sees a held-out document', async () => {
  // Each document says its own number, over and over.
  const numbered = Array.from({ length: 90 }, (_, document) => Array<number>(20).fill(5 + document));
  const directory = path.join(scratch, 'numbered');
  await writeSyntheticDataset(
    directory,
    numbered.map((ids) => [ids]),
  );
  const held = heldOutOf(numbered, 0.3);
  const options: LoaderOptions = { data: directory, batchSize: 10, sequenceLength: 22, validationFraction: 0.3 };
  const seen = new Set<number>();
  for (const { planes } of await takeFrom(options, 30))
    for (let row = 0; row < 10; row++) seen.add(planes.ids[row * 22 + 1]);
  assert.deepEqual(
    [...seen].sort((a, b) => a - b),
    Array.from({ length: 90 }, (_, document) => 5 + document).filter((id) => held[id - 5] === 0),
  );
});

test('a dataset smaller than a batch repeats, epoch after epoch, and warns', async () => {
  const directory = path.join(scratch, 'few');
  await writeSyntheticDataset(directory, [[[5, 6]], [[7, 8]], [[9]]]);
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
  const [{ planes }] = await takeFrom({ data: directory, batchSize: 7, sequenceLength: 10 }, 1);
  assert.match((await warned).message, /batch: expected at least 7 examples for a batch, got 3/);
  const first = Array.from({ length: 7 }, (_, row) => planes.ids[10 * row + 1]);
  assert.deepEqual(first.slice(0, 3).sort(), [5, 7, 9]);
  assert.deepEqual(first.slice(3, 6).sort(), [5, 7, 9]);
});

test('a row without a token that may be masked is an error that names its first token and the step', async () => {
  const directory = path.join(scratch, 'special');
  await writeSyntheticDataset(directory, [[[5, 6]], [[4, 3, 2]], [[9]]]);
  await assert.rejects(
    takeFrom({ data: directory, batchSize: 3, sequenceLength: 10 }, 1),
    (error: unknown) =>
      error instanceof GalvaniError &&
      error.kind === 'badInput' &&
      /mask: expected a token that may be masked, got only special tokens in row \d \(.*shard-00000.arrow, token 2, step 0\)/.test(
        error.message,
      ),
  );
});

test('settings that cannot be are refused before anything is read', async () => {
  const wrong: [Partial<LoaderOptions>, RegExp][] = [
    [{ batchSize: 0 }, /batchSize/],
    [{ batchSize: 1.5 }, /batchSize/],
    [{ sequenceLength: 2 }, /sequenceLength/],
    [{ sequenceLength: 6 }, /at least one masked place in 6, got 0.15 \(maskProb\)/],
    [{ masking: { maskProb: 0 } }, /maskProb/],
    [{ masking: { maskProb: 1 } }, /maskProb/],
    [{ masking: { maskReplaceProb: 1.1 } }, /a number from 0 to 1, got 1.1 \(maskReplaceProb\)/],
    [{ masking: { randomReplaceProb: -0.1 } }, /a number from 0 to 1, got -0.1 \(randomReplaceProb\)/],
    [{ masking: { randomReplaceProb: 0.2 } }, /of at most 1, got 0.85 \+ 0.2 \(randomReplaceProb\)/],
    [{ masking: { wholeWordMask: true, maskWithReplacement: true } }, /maskWithReplacement/],
    [
      { replacement: 'frequency' as 'unigram' },
      /generator, unigram, uniform, ngram, cached, got frequency \(replacement\)/,
    ],
    [{ replacement: 'generator', disallowCorrect: true }, /disallowCorrect/],
    [{ workers: 0 }, /workers/],
    [{ slots: 1 }, /slots/],
    [{ startStep: -1 }, /startStep/],
    [{ validationFraction: 1 }, /validationFraction/],
    [{ split: 'validation' }, /validationFraction/],
  ];
  for (const [options, message] of wrong) {
    await assert.rejects(openLoader({ ...settings, data: 'nowhere', ...options }), (error: unknown) => {
      assert.ok(error instanceof GalvaniError);
      assert.equal(error.kind, 'wrongUse');
      assert.match(error.message, message);
      return true;
    });
  }
  await assert.rejects(openLoader({ ...settings, batchSize: 2 ** 20, sequenceLength: 2 ** 16 }), /at most 4 GiB/);
});

test('a shard cut short, or with ids that the vocabulary lacks, is an error with file and place', async () => {
  const directory = path.join(scratch, 'damaged');
  const many = makeDocuments(100, 200, 100).map((ids) => [ids]);
  await writeSyntheticDataset(directory, many);
  const dataset = await openDataset(directory);
  const options: LoaderOptions = { ...settings, data: dataset, replacement: 'generator' };

  const small = {
    ...dataset,
    manifest: { ...dataset.manifest, vocabulary: { ...dataset.manifest.vocabulary, size: 50 } },
  };
  await assert.rejects(
    takeFrom({ ...options, data: small }, 1),
    /shard: expected ids below 50, got \d+ \(.*tokens 0 to/,
  );

  truncateSync(path.join(directory, dataset.manifest.shards[0].file), 2000);
  await assert.rejects(takeFrom(options, 1), /shard: expected \d+ bytes at offset \d+, got the end of the file/);
});

test('a batch released twice is an internal error, and does not disturb the ring', async () => {
  const loader = await open({ ...settings, slots: 2 });
  const batch = (await loader.next())!;
  batch.release();
  assert.throws(() => batch.release(), /internal: expected a batch to be released once/);
  assert.deepEqual((await take(loader, 10)).at(-1)?.step, 10);
});

test('a consumer that never gives its batches back gets an error in time, and the workers end', async () => {
  const loader = await open({ ...settings, slots: 3, waitLimitMs: 300 });
  for (let i = 0; i < 3; i++) await loader.next();
  const message =
    /batch: expected step 0 to be given back, got none of its 3 slots in 300 ms \(step 3\)\. Call release/;
  await assert.rejects(loader.next(), message);
  await assert.rejects(loader.next(), message);
});

test('a worker that dies is an error with its cause and step, at once and at every later call', async () => {
  const threads: Worker[] = [];
  const note = (thread: Worker) => threads.push(thread);
  process.on('worker', note);
  const loader = await open({ ...settings, workers: 2, slots: 2 });
  const held = [(await loader.next())!, (await loader.next())!];
  process.off('worker', note);
  assert.deepEqual(
    held.map(({ step }) => step),
    [0, 1],
  );
  assert.equal(threads.length, 2);
  const waiting = assert.rejects(
    loader.next(),
    /batch: expected a worker that makes batches, got .*exit.* \(worker \d, step [23]\)/,
  );
  // Time for the workers to reach the steps whose slots are held.
  await delay(100);
  await threads[0].terminate();
  await waiting;
  await assert.rejects(loader.next(), GalvaniError);
});

test('the loop takes batches in order, can be left and entered again, and ends with close()', async () => {
  const loader = await open(settings);
  const steps: number[] = [];
  for (let round = 0; round < 2; round++) {
    for await (const batch of loader) {
      steps.push(batch.step);
      batch.release();
      if (steps.length % 5 === 0) break;
    }
  }
  assert.deepEqual(steps, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(loader.stall.batches, 10);
  assert.ok(loader.stall.waitedMs > 0);
  const closing = loader.close();
  for await (const _ of loader) assert.fail('a batch after close()');
  await closing;
});

test('waiting for a batch does not block the event loop', async () => {
  const loader = await open({ ...settings, slots: 2, waitLimitMs: 10_000 });
  const held: Batch[] = [(await loader.next())!, (await loader.next())!];
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const waiting = loader.next();
  await delay(50);
  held[0].release();
  assert.equal((await waiting)?.step, 2);
  clearInterval(timer);
  assert.ok(turns > 5, `${turns} timer turns`);
});

test('after close() no thread is left: the process ends by itself', () => {
  const script = path.join(scratch, 'end.mjs');
  const module = new URL('../../src/batching/loader.js', import.meta.url).href;
  writeFileSync(
    script,
    `import { openLoader } from ${JSON.stringify(module)};
     const loader = await openLoader({ data: process.argv[2], batchSize: 6, sequenceLength: 24, workers: 3 });
     (await loader.next()).release();
     await loader.next();
     await loader.close();
     console.log('closed');`,
  );
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, data], { encoding: 'utf8', timeout: 20_000 });
  assert.equal(stdout, 'closed\n', stderr);
  assert.equal(status, 0);
});
