/** The index of examples, read back by another reader; and its file: kept, found again, mended, put elsewhere. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { openDataset } from '../../src/dataset/dataset.js';
import { BlockBuilder } from '../../src/dataset/examples/blocks.js';
import type { Opening } from '../../src/dataset/examples/cutter.js';
import { type ExampleOptions, openExamples } from '../../src/dataset/examples/examples.js';
import { FileReader } from '../../src/dataset/fileReader.js';
import { verifyDataset } from '../../src/dataset/verification.js';
import { GalvaniError } from '../../src/errors.js';
import { readExamples } from './indexedExamples.js';
import { heldOutOf, writeSyntheticDataset } from './synthetic.js';

const scratch = mkdtempSync(path.join(os.tmpdir(), 'galvani-examples-'));
after(() => rmSync(scratch, { recursive: true }));
let made = 0;
const fresh = () => path.join(scratch, `d${made++}`);

const options: ExampleOptions = { kind: 'documents', sequenceLength: 16, split: 'train', validationFraction: 0 };

/** Documents of one line each, with lengths that follow no pattern of windows. */
const documents = Array.from({ length: 300 }, (_, document) =>
  Array.from({ length: 1 + ((document * 37) % 61) }, (_, i) => 5 + ((document * 7 + i) % 90)),
);

/** The plain rule. */
const cut = (ids: number[], T: number) =>
  Array.from({ length: Math.ceil(ids.length / (T - 2)) }, (_, i) => ids.slice(i * (T - 2), (i + 1) * (T - 2)));

async function writeDocuments(list: number[][], settings = {}): Promise<string> {
  const directory = fresh();
  await writeSyntheticDataset(
    directory,
    list.map((ids) => [ids]),
    settings,
  );
  return directory;
}

test('examples are the windows of each document in order, whatever the shards, T, split and width of ids', async () => {
  const settings = fc.record({
    shardTokens: fc.integer({ min: 40, max: 400 }),
    batchTokens: fc.integer({ min: 20, max: 200 }),
    vocabularySize: fc.constantFrom(100, 70_000),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.integer({ min: 5, max: 99 }), { minLength: 1, maxLength: 40 }), {
        minLength: 1,
        maxLength: 40,
      }),
      settings,
      fc.integer({ min: 3, max: 20 }),
      fc.constantFrom(0, 0.3),
      fc.constantFrom('train' as const, 'validation' as const),
      async (list, settings, sequenceLength, validationFraction, split) => {
        const dataset = await openDataset(await writeDocuments(list, settings));
        const held = heldOutOf(list, validationFraction, settings.vocabularySize);
        const wanted = list.filter((_, document) => held[document] === (split === 'validation' ? 1 : 0));
        const open = openExamples(dataset, { kind: 'documents', sequenceLength, split, validationFraction });
        if (wanted.length === 0) {
          await assert.rejects(open, /examples: expected documents with tokens for (training|validation)/);
          return;
        }
        const index = await open;
        const expected = wanted.flatMap((ids) => cut(ids, sequenceLength)).map((ids) => [{ opening: 0, ids }]);
        assert.deepEqual(readExamples(index), expected);
        const { examples, tokens, documents: count, documentTokens, segments } = index;
        const total = wanted.flat().length;
        assert.deepEqual(
          [examples, tokens, count, documentTokens, segments],
          [expected.length, total, wanted.length, total, 1],
        );
      },
    ),
    { seed: 1, numRuns: 60 },
  );
});

test('pieces that come in any order, with gaps between them, are found among few runs', () => {
  const gap = fc.constantFrom(0, 0, 3, 512, 513);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), gap, fc.nat()), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 3 }),
      (pieces, shards) => {
        // Two record batches a shard; every piece lies in one of them.
        const builder = new BlockBuilder(pieces.length, 2);
        const border = 20_000;
        const fileOffsets = [64, 100_000];
        for (let shard = 0; shard < shards; shard++) {
          builder.addShard(
            fileOffsets.map((fileOffset, i) => ({ firstToken: border * i, tokens: border, fileOffset })),
          );
        }
        const ends = Array.from({ length: 2 * shards }, () => 0);
        const placed = pieces.map(([tokens, before, random]) => {
          const batch = random % (2 * shards);
          const start = ends[batch] + before;
          ends[batch] = start + tokens;
          return { shard: batch >> 1, start: border * (batch & 1) + start, tokens, random };
        });
        placed.sort((a, b) => a.random - b.random);
        for (const [i, { shard, start, tokens }] of placed.entries()) {
          builder.piece(shard, start, tokens, (i % 3) as Opening);
          builder.end();
        }
        builder.finish();
        const [block, ...others] = builder.take();
        assert.deepEqual(others, []);
        const [examples, runs, count, total] = block;
        assert.deepEqual([examples, count], [pieces.length, pieces.length]);
        // (shard, byte) of every token of the runs, in order.
        const bytes = Array.from({ length: runs }, (_, run) => {
          const [shard, first, tokens, low, high] = block.subarray(4 + 5 * run, 9 + 5 * run);
          assert.equal(high, 0);
          assert.equal(low, fileOffsets[first < border ? 0 : 1] + 2 * (first % border));
          return Array.from({ length: tokens }, (_, t) => [shard, low + 2 * t].join());
        }).flat();
        assert.equal(bytes.length, total);
        for (const [i, { shard, start, tokens }] of placed.entries()) {
          const at = 4 + 5 * runs + examples + 1 + 2 * i;
          assert.equal(block[at + 1], tokens + 2 ** 30 * (i % 3));
          const first = fileOffsets[start < border ? 0 : 1] + 2 * (start % border);
          for (let t = 0; t < tokens; t++) assert.equal(bytes[block[at] + t], [shard, first + 2 * t].join());
        }
        const apart = pieces.filter(([, before]) => before > 512).length;
        assert.ok(runs <= 2 * shards + apart, 'only a wide gap or another batch begins a run');
      },
    ),
    { seed: 2, numRuns: 500 },
  );
});

test('the file is made once and found again; another T, split or kind has another one', async () => {
  const directory = await writeDocuments(documents);
  const dataset = await openDataset(directory);
  const { file } = await openExamples(dataset, options);
  const bytes = readFileSync(file);
  const { mtimeMs, ino } = statSync(file);
  assert.equal(path.dirname(file), directory);
  assert.deepEqual(await openExamples(dataset, options), await openExamples(await openDataset(directory), options));
  assert.deepEqual([statSync(file).mtimeMs, statSync(file).ino], [mtimeMs, ino]);
  const others = [
    { ...options, sequenceLength: 17 },
    { ...options, validationFraction: 0.1 },
    { ...options, validationFraction: 0.1, split: 'validation' as const },
  ];
  const files = [file, ...(await Promise.all(others.map(async (other) => (await openExamples(dataset, other)).file)))];
  assert.equal(new Set(files).size, 4);
  assert.deepEqual(readFileSync(file), bytes);
  assert.equal(readdirSync(directory).filter((name) => name.includes('.tmp')).length, 0);
  await verifyDataset(directory);
});

test('several may build one index at once, in a process or in two: all find the same', async () => {
  const directory = await writeDocuments(documents, { shardTokens: 300 });
  const dataset = await openDataset(directory);
  const module = (name: string) => JSON.stringify(new URL(`../../src/dataset/${name}`, import.meta.url));
  const script = `
    import { openDataset } from ${module('dataset.js')};
    import { openExamples } from ${module('examples/examples.js')};
    const { examples, table } = await openExamples(await openDataset(process.argv[1]), ${JSON.stringify(options)});
    console.log(examples, table.crcs.join());`;
  const other = spawn(process.execPath, ['--input-type=module', '-e', script, directory]);
  let printed = '';
  other.stdout.on('data', (text) => {
    printed += text;
  });
  const ended = once(other, 'close');
  const indices = await Promise.all(Array.from({ length: 4 }, () => openExamples(dataset, options)));
  await ended;
  for (const { examples, table } of indices) assert.equal(printed, `${examples} ${table.crcs.join()}\n`);
  assert.equal(readExamples(indices[0]).length, indices[0].examples);
  assert.equal(readdirSync(directory).filter((name) => name.includes('.tmp')).length, 0);
});

test('a process that was killed while it built the index leaves the next one nothing to trip over', async () => {
  const directory = await writeDocuments(documents);
  const dataset = await openDataset(directory);
  const { file } = await openExamples(dataset, options);
  const bytes = readFileSync(file);
  rmSync(file);
  writeFileSync(`${file}.tmp-123`, bytes.subarray(0, 1000));
  await openExamples(dataset, options);
  assert.deepEqual(readFileSync(file), bytes);
  await verifyDataset(directory);
});

test('an index that another dataset left, or that is damaged, is made again with the same bytes', async () => {
  const directory = await writeDocuments(documents);
  const dataset = await openDataset(directory);
  const { file, table } = await openExamples(dataset, options);
  const bytes = readFileSync(file);
  const blocksEnd = table.offsets[table.offsets.length - 1] + 4 * table.words[table.words.length - 1];
  for (const at of [...Array(bytes.length - blocksEnd).keys()].filter((i) => i % 3 === 0).map((i) => blocksEnd + i)) {
    const damaged = Buffer.from(bytes);
    damaged[at] ^= 1 << (at % 8);
    writeFileSync(file, damaged);
    await openExamples(dataset, options);
    assert.deepEqual(readFileSync(file), bytes, `byte ${at} of ${bytes.length}`);
  }
  for (const length of [0, 1, 23, 24, bytes.length - 1]) {
    writeFileSync(file, bytes.subarray(0, length));
    await openExamples(dataset, options);
    assert.deepEqual(readFileSync(file), bytes, `cut to ${length}`);
  }
  const other = await openDataset(await writeDocuments(documents.slice(1)));
  writeFileSync(path.join(other.directory, path.basename(file)), bytes);
  assert.equal((await openExamples(other, options)).documents, 299);
});

/** Opens the index twice, in a process that may read and write what all may. It prints both files, or the error. */
function openAsNobody(directory: string, cache: string) {
  const module = (name: string) => JSON.stringify(new URL(`../../src/dataset/${name}`, import.meta.url));
  const script = `
    const { openDataset } = await import(${module('dataset.js')});
    const { openExamples } = await import(${module('examples/examples.js')});
    const open = async () => openExamples(await openDataset(${JSON.stringify(directory)}), ${JSON.stringify(options)});
    try {
      const [first, second] = [await open(), await open()];
      console.log(JSON.stringify([first.file, second.file, second.examples]));
    } catch (error) {
      console.log(error.message);
    }`;
  // Root may do anything.
  const user = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  return spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    ...user,
    encoding: 'utf8',
    cwd: '/',
    env: { ...process.env, XDG_CACHE_HOME: cache },
  });
}

test('what a killed process left of an index goes when one is built, unless it may be at work still', async () => {
  const directory = await writeDocuments(documents);
  const dataset = await openDataset(directory);
  const { file } = await openExamples(dataset, options);
  rmSync(file);
  for (const [name, hours] of [
    ['tmp-1', 2],
    ['tmp-2', 0],
  ] as const) {
    writeFileSync(`${file}.${name}`, 'half');
    const then = Date.now() / 1000 - 3600 * hours;
    utimesSync(`${file}.${name}`, then, then);
  }
  await openExamples(dataset, options);
  const names = readdirSync(directory).filter((name) => name.startsWith(path.basename(file)));
  assert.deepEqual(names.sort(), [path.basename(file), `${path.basename(file)}.tmp-2`]);
});

test('where the folder of the dataset cannot be written to, the index is in the cache of the user', async () => {
  const directory = await writeDocuments(documents);
  const cache = path.join(scratch, 'cache');
  mkdirSync(cache);
  chmodSync(scratch, 0o755);
  chmodSync(cache, 0o777);
  chmodSync(directory, 0o555);
  const { stdout, stderr } = openAsNobody(directory, cache);
  const [first, second, examples] = JSON.parse(stdout || `["${stderr}"]`);
  assert.ok(first.startsWith(path.join(cache, 'galvani', 'examples')), first);
  assert.equal(second, first);
  assert.equal(examples, (await openExamples(await openDataset(directory), options)).examples);
});

test('a shard that may not be read is named, and is no reason to build in the cache', async () => {
  const directory = await writeDocuments(documents);
  chmodSync(scratch, 0o755);
  chmodSync(directory, 0o777);
  chmodSync(path.join(directory, 'shard-00000.arrow'), 0o000);
  const cache = path.join(scratch, 'unused');
  const { stdout } = openAsNobody(directory, cache);
  assert.match(stdout, /dataset: expected a shard that can be read, got EACCES \(.*shard-00000.arrow\)/);
  assert.ok(!existsSync(cache));
});

test('where neither may be written to, that is said', async () => {
  const directory = await writeDocuments(documents);
  chmodSync(directory, 0o555);
  const cache = path.join(scratch, 'closed');
  mkdirSync(cache, 0o555);
  const { stdout } = openAsNobody(directory, cache);
  assert.match(stdout, /write: expected a place that may be written, got no permission \(.*closed/);
});

test('the two sides of the split share no document and lose none, whatever the fraction', async () => {
  const list = Array.from({ length: 1500 }, (_, document) => [5 + (document % 90), 5 + Math.floor(document / 90)]);
  const dataset = await openDataset(await writeDocuments(list, { shardTokens: 900 }));
  for (const validationFraction of [0.01, 0.2, 0.9]) {
    const [train, validation] = await Promise.all(
      (['train', 'validation'] as const).map(async (split) =>
        readExamples(await openExamples(dataset, { ...options, split, validationFraction })).map(([{ ids }]) =>
          ids.join(),
        ),
      ),
    );
    assert.deepEqual([...train, ...validation].sort(), list.map((ids) => ids.join()).sort());
    // Binomial: four standard deviations.
    const spread = 4 * Math.sqrt(1500 * validationFraction * (1 - validationFraction));
    assert.ok(Math.abs(validation.length - 1500 * validationFraction) < spread, `${validation.length}`);
  }
});

test('a document held out at one fraction is held out at every larger one', () => {
  const list = Array.from({ length: 10_000 }, (_, document) => [5 + (document % 90), 5 + Math.floor(document / 90)]);
  const few = heldOutOf(list, 0.02);
  const more = heldOutOf(list, 0.05);
  assert.ok(few.every((held, document) => held <= more[document]));
  assert.ok(few.includes(1) && more.reduce((sum, one) => sum + one, 0) > few.reduce((sum, one) => sum + one, 0));
});

test('of equal documents all are held out or none, in any dataset', async () => {
  const distinct = Array.from({ length: 200 }, (_, document) => [
    5 + (document % 90),
    7,
    5 + Math.floor(document / 90),
  ]);
  const sides = async (list: number[][]) => {
    const dataset = await openDataset(await writeDocuments(list, { shardTokens: 150 }));
    const of = async (split: 'train' | 'validation') =>
      new Set(
        readExamples(await openExamples(dataset, { ...options, split, validationFraction: 0.3 })).map(([{ ids }]) =>
          ids.join(),
        ),
      );
    return { train: await of('train'), validation: await of('validation') };
  };
  const once = await sides(distinct);
  const twice = await sides([...distinct.slice(50), ...distinct]);
  assert.deepEqual([...twice.train].sort(), [...once.train].sort());
  assert.deepEqual([...twice.validation].sort(), [...once.validation].sort());
  assert.ok([...twice.train].every((ids) => !twice.validation.has(ids)));
});

test('however many files are read, few stay open; one that was closed is read again', () => {
  const files = Array.from({ length: 100 }, (_, i) => path.join(scratch, `file-${i}`));
  for (const [i, file] of files.entries()) writeFileSync(file, Buffer.from([i]));
  const openFiles = () => readdirSync('/dev/fd').length;
  const before = openFiles();
  const reader = new FileReader();
  for (const order of [files, files.toReversed(), files]) {
    for (const file of order) {
      const byte = new Uint8Array(1);
      reader.read(file, 0, 1, byte, 0);
      assert.equal(byte[0], files.indexOf(file));
    }
    assert.equal(openFiles(), before + 32);
  }
  reader.close();
  assert.equal(openFiles(), before);
});

test('a file that ends early is named with the offset', () => {
  const file = path.join(scratch, 'short');
  writeFileSync(file, 'short');
  const reader = new FileReader();
  assert.throws(
    () => reader.read(file, 2, 20, new Uint8Array(20), 0),
    (error: unknown) => {
      assert.ok(error instanceof GalvaniError && error.kind === 'badInput');
      assert.match(error.message, /shard: expected 20 bytes at offset 2, got the end of the file after 3 \(.*short\)/);
      return true;
    },
  );
  reader.close();
});
