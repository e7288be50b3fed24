/** What the world does to a run of `prepare`: inputs that change or are no files, places that cannot take the output, stops. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { listInputs } from '../../src/corpus/inputs.js';
import { type PrepareSettings, prepare } from '../../src/corpus/prepare.js';
import { planTasks } from '../../src/corpus/ranges.js';
import { TaskReader } from '../../src/corpus/reader.js';
import { compileJsonModule } from '../../src/corpus/readers/jsonLines.js';
import { planStream } from '../../src/corpus/stream.js';
import { TaskTokenizer } from '../../src/corpus/tokenization.js';
import { merge } from '../../src/dataset/merge.js';
import { type ExitKind, GalvaniError } from '../../src/errors.js';
import { compileTextModule, WordPieceEncoder } from '../../src/text/encoder.js';
import { resolveSettings } from '../../src/text/profile.js';
import { compileTables } from '../../src/text/tables.js';
import { Vocabulary } from '../../src/text/vocabulary.js';
import { pieces, vocabularyText } from './words.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-faults-'));
after(() => rmSync(folder, { recursive: true }));
const vocabulary = path.join(folder, 'vocab.txt');
writeFileSync(vocabulary, vocabularyText);
const galvani = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const skip = process.platform === 'win32';

let made = 0;
const fresh = (name: string) => path.join(folder, `${made++}${name}`);

function write(name: string, bytes: string | Uint8Array): string {
  const file = fresh(name);
  writeFileSync(file, bytes);
  return file;
}

const settings = (input: string, more: Partial<PrepareSettings> = {}): PrepareSettings => ({
  inputs: [input],
  vocabulary,
  output: fresh('out'),
  documents: 'blank-line',
  threads: 2,
  shardTokens: 1 << 20,
  ...more,
});

async function assertRefused(running: Promise<unknown>, message: RegExp, kind: ExitKind): Promise<void> {
  await assert.rejects(running, (error) => {
    assert.ok(error instanceof GalvaniError, String(error));
    assert.match(error.message, message);
    assert.equal(error.kind, kind);
    return true;
  });
}

test('a file that is replaced, written to or removed while it is read is named', async () => {
  const text = 'alpha beta\n\n'.repeat(1000);
  for (const [name, bytes] of [
    ['a.txt', text],
    ['a.txt.gz', gzipSync(text)],
    ['a.jsonl', '{"text":"alpha"}\n'],
    ['a.jsonl.gz', gzipSync('{"text":"alpha"}\n')],
  ] as const) {
    for (const skipsErrors of [false, true]) {
      const file = write(name, bytes);
      // Offered once before anything is read.
      const replaced = settings(file, { skipsErrors, onProgress: () => utimesSync(file, 1, 1) });
      const written = /expected \d+ bytes, as when the work was planned, got as many, written 1970-.*a\./;
      await assertRefused(prepare(replaced), written, 'tryAgain');
      const shrunken = settings(file, { skipsErrors, onProgress: () => writeFileSync(file, bytes.slice(0, 9)) });
      await assertRefused(prepare(shrunken), /as when the work was planned, got 9 \(.*a\./, 'tryAgain');
    }
    const file = write(name, bytes);
    const removed = settings(file, { onProgress: () => rmSync(file, { force: true }) });
    await assertRefused(prepare(removed), /expected a file that can be read, got ENOENT \(.*a\./, 'badInput');
  }
});

test('a pipe or a folder under the name of a text is refused, not taken for an empty file', { skip }, async () => {
  const corpus = fresh('in');
  mkdirSync(corpus);
  writeFileSync(path.join(corpus, 'a.txt'), 'alpha');
  execFileSync('mkfifo', [path.join(corpus, 'b.txt')]);
  await assertRefused(prepare(settings(corpus)), /expected a file, got a pipe or a device \(.*b\.txt\)/, 'badInput');
  rmSync(path.join(corpus, 'b.txt'));
  symlinkSync(folder, path.join(corpus, 'b.txt'));
  await assertRefused(prepare(settings(corpus)), /expected a file, got a folder \(.*b\.txt\)/, 'badInput');
});

test('an output that cannot be replaced is refused before the work', { skip }, async () => {
  const input = write('a.txt', 'alpha');
  const dataset = settings(input);
  await prepare(dataset);
  const empty = fresh('empty');
  mkdirSync(empty);
  const link = fresh('link');
  symlinkSync(empty, link);
  const message = /expected a place that may be written, got a file where a folder should be, or a link/;
  let isAtWork = false;
  const onProgress = () => {
    isAtWork = true;
  };
  await assertRefused(prepare(settings(input, { output: link, onProgress })), message, 'failure');
  await assertRefused(merge({ inputs: [dataset.output], output: link, onProgress }), message, 'failure');
  assert.equal(isAtWork, false);
  for (const ending of ['partial', 'merging']) assert.equal(existsSync(`${link}.${ending}`), false);
  await prepare(settings(input, { output: empty }));
  const output = fresh('out');
  for (const ending of ['partial', 'merging']) writeFileSync(`${output}.${ending}`, 'a file');
  await assertRefused(prepare(settings(input, { output })), message, 'failure');
  await assertRefused(merge({ inputs: [dataset.output], output }), message, 'failure');
});

test('what others have put where the work goes is neither used nor removed', async () => {
  const input = write('a.txt', 'alpha');
  const dataset = settings(input);
  await prepare(dataset);
  const output = fresh('out');
  for (const ending of ['partial', 'merging']) {
    mkdirSync(`${output}.${ending}`);
    writeFileSync(path.join(`${output}.${ending}`, 'thesis.tex'), 'mine');
  }
  const message = /got a folder with thesis\.tex in it/;
  await assertRefused(prepare(settings(input, { output })), message, 'badInput');
  await assertRefused(merge({ inputs: [dataset.output], output }), message, 'badInput');
  for (const ending of ['partial', 'merging']) assert.deepEqual(readdirSync(`${output}.${ending}`), ['thesis.tex']);
});

test('a journal that cannot be read, or of another version, does not cost the shards beside it', async () => {
  const input = write('a.txt', 'alpha');
  for (const spoil of [
    (journal: string) => mkdirSync(journal),
    (journal: string) => writeFileSync(journal, '{"arguments":{},"state":{"shards":[]}}'),
    (journal: string) => writeFileSync(journal, 'null'),
  ]) {
    const wanted = settings(input);
    const shard = path.join(`${wanted.output}.partial`, 'dataset', 'shard-00000.arrow');
    mkdirSync(path.dirname(shard), { recursive: true });
    writeFileSync(shard, 'long work');
    spoil(path.join(`${wanted.output}.partial`, 'journal.json'));
    await assertRefused(
      prepare(wanted),
      /got a journal\.json (that cannot be read: EISDIR|of another version)/,
      'badInput',
    );
    assert.ok(existsSync(shard));
  }
});

test('standard input comes in pieces that stay as they are while they wait', async () => {
  const text = Buffer.from(Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join(''));
  const chunks = Array.from({ length: Math.ceil(text.length / 999) }, (_, i) => text.subarray(999 * i, 999 * (i + 1)));
  const { tasks } = planStream(Readable.from(chunks), 'text', 5000, undefined);
  const waiting: Uint8Array[] = [];
  for await (const [{ lines }] of tasks) waiting.push(lines?.bytes ?? assert.fail());
  assert.ok(waiting.length > 10);
  assert.ok(Buffer.concat(waiting).equals(text));
});

test('a signal ends the wait for more of standard input', { skip, timeout: 60_000 }, async () => {
  const output = fresh('out');
  const child = spawn(process.execPath, [
    galvani,
    'prepare',
    '--input',
    '-',
    '--vocab',
    vocabulary,
    '--output',
    output,
  ]);
  let stderr = '';
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  child.stdin.write('alpha\n');
  while (!existsSync(path.join(`${output}.partial`, 'spills'))) await delay(5);
  await delay(100); // into the wait
  child.kill('SIGINT');
  const [code] = await once(child, 'exit');
  assert.match(stderr, /got a signal to stop/);
  assert.equal(code, 75);
  assert.equal(existsSync(`${output}.partial`), false);
});

test('progress counts each byte and token once, and begins before the first', async () => {
  const input = write('a.txt', 'alpha beta\n\n'.repeat(100_000));
  const seen: [number, number][] = [];
  const onProgress = ({ bytesDone, tokens }: { bytesDone: number; tokens: number }) => seen.push([bytesDone, tokens]);
  await prepare(settings(input, { shardTokens: 10_000, rangeBytes: 20_000, onProgress }));
  assert.deepEqual(seen[0], [0, 0]);
  assert.deepEqual(seen.at(-1), [statSync(input).size, 200_000]);
});

test('blocks are bounded where a text has lines and no tokens', async () => {
  const input = write('a.txt.gz', gzipSync(' \n'.repeat(5_000_000), { level: 1 }));
  const tables = compileTables(Vocabulary.fromPieces(pieces), resolveSettings());
  const encoder = new WordPieceEncoder(compileTextModule(), tables, pieces.length);
  const reader = new TaskReader({
    textField: 'text',
    skipsErrors: false,
    jsonModule: compileJsonModule(),
    temporaryFolder: folder,
  });
  const tokenizer = new TaskTokenizer(reader, encoder, { documents: 'line', countsBytes: true, idType: 'uint16' });
  const [task] = planTasks(listInputs([input], []));
  let borders = 0;
  const blocks = tokenizer.tokenize(task);
  let next = await blocks.next();
  for (; !next.done; next = await blocks.next()) {
    assert.ok(next.value.borders.length < 5_000_000, `${next.value.borders.length}`);
    borders += next.value.borders.length;
  }
  // One before the first line of the file, and one behind each.
  assert.equal(borders + next.value.block.borders.length, 5_000_001);
});
