/** Merging against plain lists of documents, and against sets of strings where equal ones are left out. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { tableFromIPC } from 'apache-arrow';
import { readTokenCounts } from '../../src/dataset/dataset.js';
import { type Manifest, parseManifest } from '../../src/dataset/manifest.js';
import { merge } from '../../src/dataset/merge.js';
import { verifyDataset } from '../../src/dataset/verification.js';
import { exitCodes } from '../../src/errors.js';
import { lockFolder } from '../../src/lock.js';
import { needPython } from '../python.js';
import { randomInts } from '../random.js';
import { type Documents, type SyntheticSettings, writeSyntheticDataset } from './synthetic.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-merge-'));
after(() => rmSync(folder, { recursive: true }));
const galvani = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
let made = 0;
const fresh = () => path.join(folder, `d${made++}`);
const inputs = [{ name: 'a.txt', bytes: 100 }];

/** Documents of one to three lines, one to seven ids each, of `kinds` different ones. */
function randomDocuments(count: number, seed: number, kinds = 95): Documents {
  const draws = randomInts(8 * count, seed, kinds);
  return Array.from({ length: count }, (_, i) => {
    const [lines, ...ids] = draws.subarray(8 * i, 8 * i + 8);
    return Array.from({ length: 1 + (lines % 3) }, (_, j) =>
      ids.slice(2 * j, 2 * j + 1 + (lines % 2)).map((id) => 5 + id),
    );
  });
}

/** Cut into `count` parts at borders drawn from `seed`; some may be empty. Written in that order. */
async function writeParts(
  documents: Documents,
  count: number,
  seed: number,
  settings: SyntheticSettings = {},
): Promise<string[]> {
  const cuts = [...randomInts(count - 1, seed, documents.length + 1)].sort((a, b) => a - b);
  const folders: string[] = [];
  for (let i = 0; i < count; i++) {
    const directory = fresh();
    const part = { index: i + 1, count };
    await writeSyntheticDataset(directory, documents.slice(cuts[i - 1] ?? 0, cuts[i]), { inputs, ...settings, part });
    folders.push(directory);
  }
  return folders;
}

function readByArrow(directory: string): Documents {
  const { shards } = readManifestOf(directory);
  return shards.flatMap(({ file }) =>
    tableFromIPC(readFileSync(path.join(directory, file)))
      .toArray()
      .map((row) => {
        const ids = [...row.input_ids] as number[];
        const ends = [...row.line_ends] as number[];
        return ends.map((end, i) => ids.slice(i === 0 ? 0 : ends[i - 1], end));
      }),
  );
}

function readManifestOf(directory: string): Manifest {
  return parseManifest(readFileSync(path.join(directory, 'manifest.json'), 'utf8'), directory);
}

async function assertCounts(directory: string, documents: Documents): Promise<void> {
  const manifest = readManifestOf(directory);
  const ids = documents.flat(2);
  const counts = new Array(manifest.vocabulary.size).fill(0);
  for (const id of ids) counts[id]++;
  assert.deepEqual([...(await readTokenCounts({ directory, manifest }))], counts);
  assert.equal(manifest.counts.documents, documents.length);
  assert.equal(manifest.counts.lines, documents.flat().length);
  assert.equal(manifest.counts.tokens, ids.length);
  assert.equal(manifest.counts.unknownTokens, counts[1]);
  await verifyDataset(directory);
}

/** File name → bytes, the whole folder. */
function bytesOf(directory: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(directory).map((file) => [file, readFileSync(path.join(directory, file), 'hex')]),
  );
}

test('the parts of a corpus make one dataset, in whatever order they are given, and no byte of a shard is written', async () => {
  const documents = randomDocuments(200, 1);
  const parts = await writeParts(documents, 4, 2, { shardTokens: 60, batchTokens: 20 });
  const output = fresh();
  const { manifest, linked, copied } = await merge({ inputs: [2, 0, 3, 1].map((i) => parts[i]), output });
  assert.deepEqual(readByArrow(output), documents);
  await assertCounts(output, documents);
  assert.equal(manifest.part, undefined);
  assert.deepEqual(manifest.inputs, inputs);
  assert.ok(manifest.shards.length > 8);
  assert.equal(linked, 2 * manifest.shards.length);
  assert.equal(copied, 0);
  const first = statSync(path.join(parts[0], 'shard-00000.arrow'));
  assert.equal(statSync(path.join(output, 'shard-00000.arrow')).ino, first.ino);
  assert.deepEqual(
    readdirSync(path.dirname(output)).filter((name) => name.includes('.merging')),
    [],
  );
});

test('parts of any number equal the corpus in one piece, empty parts too', async () => {
  const documents = randomDocuments(30, 3);
  const whole = fresh();
  const { counts } = await writeSyntheticDataset(whole, documents, { inputs });
  for (const count of [1, 2, 5, 40]) {
    const output = fresh();
    const { manifest } = await merge({ inputs: await writeParts(documents, count, count), output });
    assert.deepEqual(readByArrow(output), readByArrow(whole));
    assert.deepEqual(manifest.counts, counts);
  }
});

test('whole datasets are joined in the order given, and what they make may be merged again', async () => {
  const [a, b] = [randomDocuments(20, 4), randomDocuments(9, 5)];
  const [x, y, once, twice] = [fresh(), fresh(), fresh(), fresh()];
  await writeSyntheticDataset(x, a, { inputs });
  await writeSyntheticDataset(y, b, { inputs: [{ name: 'b.txt', bytes: 7 }] });
  await merge({ inputs: [y, x], output: once });
  await assertCounts(once, [...b, ...a]);
  const { manifest } = await merge({ inputs: [once, x], output: twice });
  assert.deepEqual(readByArrow(twice), [...b, ...a, ...a]);
  assert.deepEqual(
    manifest.inputs.map(({ name }) => name),
    ['b.txt', 'a.txt', 'a.txt'],
  );
});

test('what was found in the text and left out of it is added up, whether deduplicated or not', async () => {
  const documents = randomDocuments(20, 21);
  const skipped = ['x', 'y', 'z'].map((input) => ({ input, at: 'line 1', reason: 'no JSON' }));
  const [x, y, once] = [fresh(), fresh(), fresh()];
  await writeSyntheticDataset(x, documents, { found: { droppedBytes: 3, errors: 2, skipped: skipped.slice(0, 2) } });
  await writeSyntheticDataset(y, documents, { found: { droppedBytes: 4, errors: 5, skipped: skipped.slice(2) } });
  const { duplicates } = (await merge({ inputs: [x, y], output: once, deduplicate: true })).manifest.leftOut;
  assert.ok(duplicates >= 20);
  const twice = await merge({ inputs: [once, y], output: fresh() });
  assert.equal(twice.manifest.counts.droppedBytes, 11);
  assert.deepEqual(twice.manifest.skipped, [...skipped, skipped[2]]);
  const none = { maxDocumentBytes: 0, minTokens: 0, maxUnknownFraction: 0 };
  assert.deepEqual(twice.manifest.leftOut, { ...none, errors: 12, duplicates });
  const again = await merge({ inputs: [once, once], output: fresh(), deduplicate: true });
  assert.equal(again.manifest.leftOut.duplicates, 2 * duplicates + 40 - duplicates);
});

for (const vocabularySize of [100, 70_000]) {
  test(`of equal documents the first stays, for any split into parts (${vocabularySize} pieces)`, async () => {
    // Lines do not tell documents apart: ids do.
    const documents = randomDocuments(10_000, 6, 12);
    const seen = new Set<string>();
    const firsts = documents.filter((lines) => {
      const key = lines.flat().join(' ');
      return !seen.has(key) && seen.add(key);
    });
    assert.ok(firsts.length > 1000 && firsts.length < 9000, String(firsts.length));
    let expected: Record<string, string> | undefined;
    for (const count of [1, 2, 3, 4, 5]) {
      const parts = await writeParts(documents, count, 10 + count, {
        vocabularySize,
        shardTokens: 5000,
        batchTokens: 700,
      });
      const output = fresh();
      const { manifest } = await merge({ inputs: parts.toReversed(), output, deduplicate: true });
      assert.deepEqual(readByArrow(output), firsts);
      assert.equal(manifest.leftOut.duplicates, documents.length - firsts.length);
      await assertCounts(output, firsts);
      assert.ok(!existsSync(path.join(output, 'partitions.tmp')));
      expected ??= bytesOf(output);
      assert.deepEqual(bytesOf(output), expected);
    }
  });
}

test('what does not go together is refused, and told apart', async () => {
  const documents = randomDocuments(12, 7);
  const parts = await writeParts(documents, 3, 8);
  const two = await writeParts(documents, 2, 9);
  const others = await writeParts(documents, 3, 8, { inputs: [{ name: 'a.txt', bytes: 101 }] });
  const short = await writeParts(documents, 3, 8, { shardTokens: 9 });
  const [whole, large, empty] = [fresh(), fresh(), fresh()];
  await writeSyntheticDataset(whole, documents);
  await writeSyntheticDataset(large, documents, { vocabularySize: 101 });
  await writeSyntheticDataset(empty, []);
  const cases: [string[], RegExp][] = [
    [[parts[0], parts[2]], /^merge: expected each of the 3 parts once, got no part 2\./],
    [[parts[1], parts[2], parts[1]], new RegExp(`got no part 1, part 2 in ${parts[1]} and ${parts[1]}\\.`)],
    [[parts[0], whole], new RegExp(`got part 1 of 3 \\(${parts[0]}\\) and a whole dataset \\(${whole}\\)`)],
    [[two[0], parts[0]], /got part 1 of 2 \(.*\) and part 1 of 3 \(/],
    [
      [parts[0], others[1], parts[2]],
      /expected parts of one corpus, got others: inputs\.0\.bytes is 100 in .*, 101 in /,
    ],
    [[parts[0], short[1], parts[2]], /got others: settings\.shardTokens is 1048576 in .*, 9 in /],
    [[whole, large], /expected datasets of one vocabulary, .* got others: vocabulary\.sha256 is "/],
    [[empty, empty], /expected at least one document, got 2 datasets without any/],
    [[path.join(folder, 'absent')], /expected a folder made by "galvani prepare"/],
  ];
  for (const [given, message] of cases) {
    const output = fresh();
    const isSo = (error: Error & { exitCode?: number }) => {
      assert.match(error.message, message);
      assert.equal(error.exitCode, exitCodes.badInput);
      return true;
    };
    await assert.rejects(merge({ inputs: given, output }), isSo);
    assert.ok(!existsSync(output));
  }
});

test('an output that is an input, inside one, or not empty is refused', async () => {
  const input = fresh();
  await writeSyntheticDataset(input, randomDocuments(5, 11));
  const full = fresh();
  mkdirSync(full);
  writeFileSync(path.join(full, 'note.txt'), 'x');
  const cases: [string, RegExp][] = [
    [input, /expected an output folder that is new or empty, got an input/],
    [path.join(input, 'inner', 'merged'), /got a folder inside the input/],
    [full, /got a folder with note\.txt in it/],
    [path.join(full, 'note.txt'), /got a file/],
  ];
  for (const [output, message] of cases) await assert.rejects(merge({ inputs: [input], output }), message);
  const empty = fresh();
  mkdirSync(empty);
  await merge({ inputs: [input], output: empty });
  await verifyDataset(empty);
});

test('a file that is missing or of another size is found before anything is made, with its name', async () => {
  const input = fresh();
  await writeSyntheticDataset(input, randomDocuments(50, 12), { shardTokens: 40, batchTokens: 20 });
  for (const file of ['shard-00001.arrow', 'shard-00001.hashes']) {
    const damaged = fresh();
    cpSync(input, damaged, { recursive: true });
    writeFileSync(path.join(damaged, file), readFileSync(path.join(input, file)).subarray(1));
    await assert.rejects(merge({ inputs: [damaged], output: fresh() }), new RegExp(`bytes, got \\d+ \\(.*${file}\\)`));
    rmSync(path.join(damaged, file));
    await assert.rejects(
      merge({ inputs: [damaged], output: fresh() }),
      new RegExp(`bytes, got ENOENT \\(.*${file}\\)`),
    );
  }
});

test('what a killed run left is made anew, and what a running one does is let alone', async () => {
  const input = fresh();
  const documents = randomDocuments(50, 22);
  await writeSyntheticDataset(input, documents);
  const output = fresh();
  const left = path.join(`${output}.merging`, 'dataset');
  mkdirSync(left, { recursive: true });
  writeFileSync(path.join(left, 'shard-00000.arrow'), 'half');
  const unlock = await lockFolder(path.dirname(left), 'test');
  await assert.rejects(merge({ inputs: [input], output }), { kind: 'tryAgain' });
  assert.deepEqual(readdirSync(left), ['shard-00000.arrow']);
  await unlock();
  await merge({ inputs: [input], output });
  await assertCounts(output, documents);
  assert.ok(!existsSync(`${output}.merging`));
});

test('a signal stops it and leaves nothing', async () => {
  const input = fresh();
  await writeSyntheticDataset(input, randomDocuments(50, 13));
  for (const deduplicate of [false, true]) {
    const output = fresh();
    const signal = AbortSignal.abort();
    await assert.rejects(merge({ inputs: [input], output, deduplicate, signal }), /got a signal to stop/);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith(path.basename(output))),
      [],
    );
  }
});

test('where there are no links, files are copied', async () => {
  // /dev/shm is another file system than that of the temporary folder, where both are there.
  const elsewhere =
    existsSync('/dev/shm') && statSync('/dev/shm').dev !== statSync(folder).dev ? '/dev/shm' : undefined;
  if (elsewhere === undefined) return;
  const input = fresh();
  const documents = randomDocuments(50, 14);
  await writeSyntheticDataset(input, documents, { shardTokens: 40 });
  const parent = mkdtempSync(path.join(elsewhere, 'galvani-merge-'));
  try {
    const output = path.join(parent, 'merged');
    const { manifest, linked, copied } = await merge({ inputs: [input], output });
    assert.deepEqual([linked, copied], [0, 2 * manifest.shards.length]);
    await assertCounts(output, documents);
  } finally {
    rmSync(parent, { recursive: true });
  }
});

const { python, skip } = needPython('pyarrow');
test('pyarrow reads the rows of a merged dataset in order', { skip }, async () => {
  const documents = randomDocuments(100, 15);
  const output = fresh();
  await merge({ inputs: await writeParts(documents, 3, 16, { shardTokens: 50, batchTokens: 20 }), output });
  const script = `
import glob, json, os, sys
import pyarrow as pa
files = sorted(glob.glob(os.path.join(sys.argv[1], 'shard-*.arrow')))
tables = [pa.ipc.open_file(file).read_all() for file in files]
print(json.dumps([row for table in tables for row in table.column('input_ids').to_pylist()]))`;
  const stdout = execFileSync(python, ['-c', script, output], { encoding: 'utf8' });
  assert.deepEqual(
    JSON.parse(stdout),
    documents.map((lines) => lines.flat()),
  );
});

test('the command tells what it did, in words and in JSON', async () => {
  const parts = await writeParts([...randomDocuments(20, 17), ...randomDocuments(20, 17)], 2, 18);
  const run = (...args: string[]) => spawnSync(process.execPath, [galvani, 'merge', ...args], { encoding: 'utf8' });
  const output = fresh();
  const { stdout } = run(...parts, '--output', output);
  assert.match(
    stdout,
    /^2 folders → 40 documents, \d+ tokens in 2 shards\nnothing rewritten: 4 files linked; the sizes were checked\n/,
  );
  const json = JSON.parse(run(output, '--deduplicate', '--json', '--output', fresh()).stdout);
  assert.equal(json.documents + json.duplicates, 40);
  assert.ok(json.duplicates >= 20);
  const refused = run(parts[1], '--output', fresh());
  assert.equal(refused.status, exitCodes.badInput);
  assert.match(refused.stderr, /^merge: expected each of the 2 parts once, got no part 1\./);
});
