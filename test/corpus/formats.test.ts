/** `prepare` on every kind of input: the same documents whatever they were read from, and what is wrong in them is told. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { type PrepareSettings, prepare } from '../../src/corpus/prepare.js';
import type { Manifest } from '../../src/dataset/manifest.js';
import { verifyDataset } from '../../src/dataset/verification.js';
import { exitCodes } from '../../src/errors.js';
import type { Documents } from '../dataset/synthetic.js';
import { needPython } from '../python.js';
import { assertDocuments, expectDocuments, readDocuments, vocabularyText } from './words.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-formats-'));
after(() => rmSync(folder, { recursive: true }));
const vocabulary = path.join(folder, 'vocab.txt');
writeFileSync(vocabulary, vocabularyText);
const galvani = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

const { python, skip } = needPython('pyarrow');

let made = 0;
const fresh = (name = 'd') => path.join(folder, `${name}${made++}`);

/** Write files into a new folder. */
function writeFiles(files: Record<string, string | Uint8Array>): string {
  const directory = fresh('in');
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
    writeFileSync(path.join(directory, name), bytes);
  }
  return directory;
}

async function run(
  inputs: string | string[],
  more: Partial<PrepareSettings> = {},
): Promise<{ documents: Documents; manifest: Manifest; output: string }> {
  const output = fresh('out');
  const { manifest } = await prepare({
    inputs: [inputs].flat(),
    vocabulary,
    output,
    documents: 'blank-line',
    threads: 2,
    shardTokens: 1 << 20,
    ...more,
  });
  await verifyDataset(output);
  return { documents: readDocuments(output), manifest, output };
}

const texts = ['alpha beta\ngamma', 'w', 'word1 " quoted " \\ ø\n\n中 unheardof\r\n', ' ', 'word299 𝒳 delta'];
const expected = texts.flatMap((text) => expectDocuments(text, 'file'));
const records = texts.map((text, id) => ({ id, meta: { text, source: 'x' }, text }));

test('a record is a document, its lines are lines: JSON Lines, nested or not, escaped or not', async () => {
  const plain = records.map((record) => JSON.stringify(record)).join('\n');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
  const ascii = plain.replace(/[^\x00-\x7f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const files = {
    'a.jsonl': plain,
    'b.ndjson': `${ascii}\r\n`,
    'c.jsonl.gz': gzipSync(plain),
    'd.jsonl': `\ufeff${plain}\n\n`,
  };
  const directory = writeFiles(files);
  const wanted = [...expected, ...expected, ...expected, ...expected];
  for (const rangeBytes of [7, 100, 1 << 20]) {
    assertDocuments((await run(directory, { rangeBytes })).documents, wanted, `${rangeBytes}`);
  }
  const nested = await run(directory, { textField: 'meta.text' });
  assertDocuments(nested.documents, wanted, 'nested');
  assert.equal(nested.manifest.settings.textField, 'meta.text');
});

test('a compressed file, also of several members, is the text that was compressed', async () => {
  const text = 'alpha beta\n\n'.repeat(300_000) + texts.join('\n\n');
  const half = Math.floor(text.length / 2);
  const directory = writeFiles({
    'a.txt': text,
    'b.txt.gz': Buffer.concat([gzipSync(text.slice(0, half)), gzipSync(text.slice(half))]),
  });
  const { documents, manifest } = await run(directory);
  const one = expectDocuments(text, 'blank-line');
  assertDocuments(documents, [...one, ...one], 'twice');
  assert.deepEqual(
    manifest.inputs.map(({ name }) => name),
    ['a.txt', 'b.txt.gz'],
  );
});

test('more blocks than should wait in memory go by a file, and leave none', async () => {
  const text = 'alpha beta gamma\n'.repeat(1_600_000);
  const { documents, output } = await run(writeFiles({ 'a.txt.gz': gzipSync(text, { level: 1 }) }), {
    documents: 'line',
  });
  assert.equal(documents.length, 1_600_000);
  assertDocuments(documents.slice(-1), [[[5, 6, 7]]], 'the last');
  assert.ok(!readdirSync(path.dirname(output)).some((name) => name.startsWith(path.basename(output) + '.')));
  await assert.rejects(run(writeFiles({ 'a.txt.gz': 'no gzip' })), /a\.txt\.gz, byte 0\)/);
});

test('rows of Arrow and Parquet files are documents, compressed or not, for any cut', { skip }, async () => {
  const directory = writeFiles({ 'records.json': JSON.stringify(records) });
  const script = `
import json, sys, pyarrow as pa, pyarrow.parquet as pq
rows = json.load(open(sys.argv[1] + '/records.json')) * 3
table = pa.Table.from_pylist(rows)
pq.write_table(table, sys.argv[1] + '/a.parquet', row_group_size=4)
with pa.ipc.new_file(sys.argv[1] + '/b.arrow', table.schema) as writer: writer.write_table(table, max_chunksize=4)
with pa.ipc.new_stream(sys.argv[1] + '/c.arrow', table.schema) as writer: writer.write_table(table, max_chunksize=4)
with pa.CompressedOutputStream(sys.argv[1] + '/d.parquet.zst', 'zstd') as sink: pq.write_table(table, sink)`;
  execFileSync(python, ['-c', script, directory]);
  const wanted = Array.from({ length: 12 }, () => expected).flat();
  for (const [textField, rangeBytes] of [
    ['text', 1 << 20],
    ['meta.text', 300],
  ] as const) {
    assertDocuments((await run(directory, { textField, rangeBytes })).documents, wanted, textField);
  }
  await assert.rejects(run(directory, { textField: 'body' }), /a\.parquet/);
  const whole = readFileSync(path.join(directory, 'd.parquet.zst'));
  writeFileSync(path.join(directory, 'd.parquet.zst'), whole.subarray(0, whole.length - 9));
  await assert.rejects(run(directory), /d\.parquet\.zst, byte \d+\)/);
  const { documents, manifest } = await run(directory, { skipsErrors: true });
  assertDocuments(documents, wanted.slice(expected.length * 3), 'what is whole');
  assert.equal(manifest.skipped[0].input, 'd.parquet.zst');
});

test('globs, files in their order, and what is no text', async () => {
  const directory = writeFiles({
    'x/b.txt': 'beta',
    'x/a.txt': 'alpha',
    'y/c.jsonl': '{"text":"gamma"}',
    'x/d.csv': 'w',
  });
  const names = async (...inputs: string[]) => (await run(inputs)).manifest.inputs.map(({ name }) => name);
  assert.deepEqual(await names(directory), ['x/a.txt', 'x/b.txt', 'y/c.jsonl']);
  assert.deepEqual(await names(`${directory}/*/*.{txt,jsonl}`), ['x/a.txt', 'x/b.txt', 'y/c.jsonl']);
  assert.deepEqual(await names(`${directory}/x/[b]*`), ['b.txt']);
  assert.deepEqual(await names(`${directory}/x/b.txt`, `${directory}/x/a.txt`), ['b.txt', 'a.txt']);
  await assert.rejects(run(`${directory}/*/*.zip`), /expected files that end in .*, got none/);
  await assert.rejects(run(`${directory}/x/d.csv`), /expected text, got a file named \.csv/);
});

test('broken records stop the run with their place, or are left out, counted and listed', async () => {
  const lines = ['{"text":"alpha"}', '{"text":"bro', '{"body":"beta"}', '{"text":7}', '[]', '{"text":"gamma"}'];
  const directory = writeFiles({ 'a.jsonl': lines.join('\n') });
  await assert.rejects(run(directory), (error: Error & { exitCode: number }) => {
    assert.match(error.message, /expected JSON on one line, got .* \(.*a\.jsonl, byte 17\)\. .*--on-error skip/);
    assert.equal(error.exitCode, exitCodes.badInput);
    return true;
  });
  for (const threads of [1, 3]) {
    const { documents, manifest } = await run(directory, { skipsErrors: true, threads, rangeBytes: 20 });
    assertDocuments(documents, [[[5]], [[7]]], 'the good ones');
    assert.equal(manifest.leftOut.errors, 4);
    assert.deepEqual(
      manifest.skipped.map(({ input, at }) => [input, at]),
      [17, 30, 46, 57].map((byte) => ['a.jsonl', `byte ${byte}`]),
    );
    assert.match(manifest.skipped[1].reason, /^expected a string in "text", got an object with "body"$/);
  }
});

test('of a truncated member all that is good is kept where errors are skipped', async () => {
  const text = Array.from({ length: 200_000 }, (_, i) => `word${(i * 7919) % 300}`).join('\n');
  const bytes = gzipSync(text);
  const directory = writeFiles({ 'a.txt.gz': bytes.subarray(0, bytes.length - 1000), 'b.txt': 'w' });
  await assert.rejects(run(directory), /a\.txt\.gz, byte \d+\)/);
  const { documents, manifest } = await run(directory, { skipsErrors: true, documents: 'line' });
  assert.ok(documents.length > 150_000, `${documents.length}`);
  assertDocuments(documents.slice(-1), [[[11]]], 'the next file');
  assertDocuments(documents.slice(0, 150_000), expectDocuments(text, 'line').slice(0, 150_000), 'what is good');
  assert.equal(manifest.skipped[0].input, 'a.txt.gz');
});

test('filters are exact, whatever the cuts, and counted', async () => {
  const documents = [
    'alpha',
    'alpha beta',
    'alpha unheardof',
    `alpha ${'b'.repeat(60)}`,
    'w w w w\nw w w w',
    `${'x'.repeat(500)}`,
    'unheardof unheardof beta gamma',
    `w\n${'y '.repeat(100)}\nw`,
  ];
  const bytesOf = (text: string) => Buffer.byteLength(text.replaceAll('\n', ''));
  const directory = writeFiles({
    'a.txt': documents.join('\n\n'),
    'b.jsonl': documents.map((text) => JSON.stringify({ text })).join('\n'),
  });
  for (const filters of [
    { minTokens: 2 },
    { maxUnknownFraction: 0.4 },
    { maxUnknownFraction: 0.5 },
    { maxDocumentBytes: 15 },
    { maxDocumentBytes: 66 },
    { minTokens: 3, maxUnknownFraction: 0, maxDocumentBytes: 100 },
  ]) {
    const { minTokens = 0, maxUnknownFraction = 1, maxDocumentBytes = 1e9 } = filters;
    const leftOut = { maxDocumentBytes: 0, minTokens: 0, maxUnknownFraction: 0, errors: 0, duplicates: 0 };
    const kept = documents.flatMap((text) => {
      const [document] = expectDocuments(text, 'file');
      const ids = document.flat();
      if (bytesOf(text) > maxDocumentBytes) leftOut.maxDocumentBytes += 2;
      else if (ids.length < minTokens) leftOut.minTokens += 2;
      else if (ids.filter((id) => id === 1).length > maxUnknownFraction * ids.length) leftOut.maxUnknownFraction += 2;
      else return [document];
      return [];
    });
    for (const rangeBytes of [1, 2, 3, 10, 64, 1000]) {
      const found = await run(directory, { ...filters, rangeBytes });
      assertDocuments(found.documents, [...kept, ...kept], `${JSON.stringify(filters)}, ${rangeBytes}`);
      assert.deepEqual(found.manifest.leftOut, leftOut);
      assert.equal(found.manifest.counts.unknownTokens, 2 * kept.flat(2).filter((id) => id === 1).length);
    }
  }
});

test('a line longer than the limit is passed over without being held', async () => {
  const long = Buffer.alloc(40 << 20, 'word1 ');
  const text = Buffer.concat([Buffer.from('alpha\n'), long, Buffer.from('\nbeta\n\ngamma')]);
  for (const [name, bytes] of [
    ['a.txt', text],
    ['a.txt.gz', gzipSync(text, { level: 1 })],
  ] as const) {
    const directory = writeFiles({ [name]: bytes });
    const byLine = await run(directory, { documents: 'line', maxDocumentBytes: 1 << 20 });
    assertDocuments(byLine.documents, [[[5]], [[6]], [[7]]], name);
    assert.equal(byLine.manifest.leftOut.maxDocumentBytes, 1);
    const byBlank = await run(directory, { maxDocumentBytes: 1 << 20, rangeBytes: 1 << 16 });
    assertDocuments(byBlank.documents, [[[7]]], name);
    assert.equal(byBlank.manifest.counts.lines, 1);
  }
});

test('standard input is text, or JSON Lines where a field is named', async () => {
  const pipe = (input: string, ...flags: string[]) => {
    const output = fresh('out');
    const args = [galvani, 'prepare', '--input', '-', '--vocab', vocabulary, '--output', output, ...flags];
    const { status, stderr } = spawnSync(process.execPath, args, { input, encoding: 'utf8' });
    return { status, stderr, output };
  };
  const text = texts.join('\n\n');
  const plain = pipe(text);
  assert.equal(plain.status, 0, plain.stderr);
  assertDocuments(readDocuments(plain.output), expectDocuments(text, 'blank-line'), 'text');
  assert.match(readFileSync(path.join(plain.output, 'manifest.json'), 'utf8'), /"name": "-",\s+"bytes": \d\d/);
  const json = pipe(records.map((record) => JSON.stringify(record)).join('\n'), '--text-field', 'text');
  assertDocuments(readDocuments(json.output), expected, 'JSON Lines');
  assert.equal(pipe(text, '--part', '1/2').status, exitCodes.wrongUse);
  await verifyDataset(json.output);
});
