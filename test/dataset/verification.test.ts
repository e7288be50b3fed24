/** `verify` finds damage to any byte, and counts that do not agree though every checksum does. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { verifyDataset } from '../../src/dataset/verification.js';
import { exitCodes } from '../../src/errors.js';
import { randomInts } from '../random.js';
import { writeSyntheticDataset } from './synthetic.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-verify-'));
after(() => rmSync(folder, { recursive: true }));
const whole = path.join(folder, 'whole');
const documents = Array.from({ length: 40 }, (_, i) => [
  [5 + (i % 90), 7, 8],
  [9, 10 + (i % 50)],
]);
const manifest = await writeSyntheticDataset(whole, documents, { shardTokens: 70, batchTokens: 20 });
const files = readdirSync(whole);
const galvani = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

let copies = 0;
function copy(): string {
  const directory = path.join(folder, `copy${copies++}`);
  cpSync(whole, directory, { recursive: true });
  return directory;
}

test('a whole dataset passes, with its counts, and what others keep in its folder is left alone', async () => {
  const directory = copy();
  writeFileSync(path.join(directory, 'examples-128.index'), 'an index');
  assert.deepEqual(await verifyDataset(directory), {
    files: files.length,
    bytes: manifest.shards.reduce((sum, shard) => sum + shard.bytes, 0),
    documents: 40,
    lines: 80,
    tokens: 200,
  });
  assert.equal(manifest.shards.length, 3);
});

for (const file of files) {
  test(`a flipped bit, a missing byte and a missing file are found: ${file}`, async () => {
    const directory = copy();
    const name = path.join(directory, file);
    const bytes = readFileSync(name);
    // A damaged list of checksums may accuse the file whose line was damaged.
    const named = file === 'SHA256SUMS' ? /./ : new RegExp(file.replaceAll('.', '\\.'));
    const isNamed = (error: Error & { exitCode?: number }) => {
      assert.match(error.message, named);
      assert.equal(error.exitCode, exitCodes.badInput, error.stack);
      return true;
    };
    // Every byte of short files; longer ones in steps that meet every kind of place.
    const step = Math.max(1, Math.floor(bytes.length / 30));
    for (let at = 0; at < bytes.length; at += step) {
      const damagedBytes = Buffer.from(bytes);
      damagedBytes[at] ^= 1 << (at % 8);
      writeFileSync(name, damagedBytes);
      await assert.rejects(verifyDataset(directory), isNamed, `byte ${at}`);
    }
    writeFileSync(name, bytes.subarray(0, -1));
    await assert.rejects(verifyDataset(directory), isNamed);
    unlinkSync(name);
    await assert.rejects(verifyDataset(directory), isNamed);
  });
}

test('any flip of any byte of any file is found', async () => {
  const directory = copy();
  const contents = new Map(files.map((file) => [file, readFileSync(path.join(directory, file))]));
  const total = [...contents.values()].reduce((sum, { length }) => sum + length, 0);
  const places = randomInts(1000, 7, total);
  const flips = randomInts(1000, 8, 255);
  for (let i = 0; i < 1000; i++) {
    let at = places[i];
    let file = '';
    for (const [name, { length }] of contents) {
      file = name;
      if (at < length) break;
      at -= length;
    }
    const bytes = contents.get(file)!;
    const flipped = Buffer.from(bytes);
    flipped[at] ^= flips[i] + 1;
    writeFileSync(path.join(directory, file), flipped);
    await assert.rejects(verifyDataset(directory), { exitCode: exitCodes.badInput }, `${file}, byte ${at}`);
    writeFileSync(path.join(directory, file), bytes);
  }
  await verifyDataset(directory);
});

/** Change a file and make its checksum agree again: what a faulty writer would leave. */
function rewrite(directory: string, file: string, change: (bytes: Buffer) => Buffer): void {
  const sums = path.join(directory, 'SHA256SUMS');
  const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  const before = readFileSync(path.join(directory, file));
  const after = change(Buffer.from(before));
  writeFileSync(path.join(directory, file), after);
  writeFileSync(sums, readFileSync(sums, 'utf8').replace(hash(before), hash(after)));
}

/** Put `after` for the first `before` of 16-bit numbers. */
function replaceIds(bytes: Buffer, before: number[], after: number[]): Buffer {
  const at = bytes.indexOf(Buffer.from(Uint16Array.from(before).buffer));
  assert.ok(at > 0);
  Buffer.from(Uint16Array.from(after).buffer).copy(bytes, at);
  return bytes;
}

test('ids beyond the vocabulary, and counts that do not add up, are found behind right checksums', async () => {
  const shard = 'shard-00001.arrow';
  const cases: [string, (bytes: Buffer) => Buffer, RegExp][] = [
    [shard, (b) => replaceIds(b, [7, 8, 9], [7, 100, 9]), /shard-00001\.arrow \(id 100 beyond the vocabulary\)/],
    [shard, (b) => replaceIds(b, [7, 8, 9], [7, 99, 9]), /token-counts\.arrow \(41 times id 8, the shards hold 40\)/],
    [
      'manifest.json',
      (b) => Buffer.from(b.toString().replace('"lines": 80', '"lines": 81')),
      /manifest\.json \(81 lines, the shards hold 80\)/,
    ],
    [
      'manifest.json',
      (b) => Buffer.from(b.toString().replace('"rows": 14', '"rows": 15')),
      /shard-00000\.arrow \(14 rows and 70 tokens, not 15 and 70\)/,
    ],
    [
      'manifest.json',
      (b) => Buffer.from(b.toString().replace('shard-00001.arrow', '../whole/shard-00001.arrow')),
      /manifest of token shards.*got shards: names other than shard-00000\.arrow, shard-00001\.arrow, …/,
    ],
    [
      'shard-00001.hashes',
      (b) => b.fill(b.readUInt8(3) + 1, 3, 4),
      /shard-00001\.hashes \(hashes that its documents do not have\)/,
    ],
    ['shard-00001.hashes', (b) => Buffer.concat([b, b]), /shard-00001\.hashes \(more hashes than documents\)/],
    ['shard-00001.hashes', (b) => b.subarray(16), /shard-00001\.hashes \(hashes that its documents do not have\)/],
  ];
  for (const [file, change, message] of cases) {
    const directory = copy();
    rewrite(directory, file, change);
    await assert.rejects(verifyDataset(directory), message);
  }
});

test('a list of checksums that says the same otherwise is no list as it was written', async () => {
  const directory = copy();
  const name = path.join(directory, 'SHA256SUMS');
  const lines = readFileSync(name, 'utf8').split('\n').slice(0, -1);
  for (const others of [lines.toReversed(), [...lines, lines[0]]]) {
    writeFileSync(name, others.map((line) => `${line}\n`).join(''));
    await assert.rejects(verifyDataset(directory), /SHA256SUMS \(not as it was written\)/);
  }
});

test('all damaged files are named at once', async () => {
  const directory = copy();
  for (const file of ['shard-00000.arrow', 'shard-00002.arrow']) writeFileSync(path.join(directory, file), 'x');
  await assert.rejects(verifyDataset(directory), /shard-00000\.arrow \(checksum\), shard-00002\.arrow \(checksum\)/);
});

test('the command says so in words, in JSON, and by its exit code', () => {
  const run = (...args: string[]) => spawnSync(process.execPath, [galvani, ...args], { encoding: 'utf8' });
  assert.match(run('verify', whole).stdout, /is whole: 10 files, .* 40 documents, 200 tokens\.\n$/);
  assert.equal(JSON.parse(run('verify', whole, '--json').stdout).tokens, 200);
  const directory = copy();
  writeFileSync(path.join(directory, 'shard-00001.arrow'), 'x');
  const { status, stderr } = run('verify', directory);
  assert.equal(status, exitCodes.badInput);
  assert.match(stderr, /^verify: expected files as they were written, got damage in shard-00001\.arrow/);
});

test('SHA256SUMS is what sha256sum checks', { skip: process.platform !== 'linux' }, () => {
  const stdout = execFileSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: whole, encoding: 'utf8' });
  assert.equal(stdout.match(/: OK\n/g)?.length, files.length - 1);
});

test('inspect shows a dataset as a table and as JSON, and refuses what it does not know', () => {
  const run = (...args: string[]) => spawnSync(process.execPath, [galvani, 'inspect', ...args], { encoding: 'utf8' });
  const { stdout } = run(whole);
  assert.match(stdout, /^tokens a document {2}5 to 5, median 5, mean 5\.0$/m);
  assert.match(stdout, /^shard-00000\.arrow +14 +70 +[\d,]+$/m);
  const json = JSON.parse(run(whole, '--json').stdout);
  assert.equal(json.kind, 'dataset');
  assert.deepEqual(json.tokensPerDocument, { least: 5, median: 5, mean: 5, most: 5 });
  const refused = run(folder);
  assert.match(refused.stderr, /expected a dataset \(with manifest\.json\).*, got none of these/);
  assert.equal(refused.status, exitCodes.badInput);
});
