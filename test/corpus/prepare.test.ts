/** `prepare` against an oracle that splits strings: no token lost or doubled, and the same bytes however it was run. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type PrepareSettings, prepare } from '../../src/corpus/prepare.js';
import { planTasks } from '../../src/corpus/ranges.js';
import { TaskReader } from '../../src/corpus/reader.js';
import { compileJsonModule } from '../../src/corpus/readers/jsonLines.js';
import { TaskTokenizer } from '../../src/corpus/tokenization.js';
import { readTokenCounts } from '../../src/dataset/dataset.js';
import type { Manifest } from '../../src/dataset/manifest.js';
import { verifyDataset } from '../../src/dataset/verification.js';
import { DatasetWriter } from '../../src/dataset/writer.js';
import { exitCodes } from '../../src/errors.js';
import { runInOrder } from '../../src/pool.js';
import { compileTextModule, WordPieceEncoder } from '../../src/text/encoder.js';
import { resolveSettings } from '../../src/text/profile.js';
import { compileTables } from '../../src/text/tables.js';
import { Vocabulary } from '../../src/text/vocabulary.js';
import { randomFloats } from '../random.js';
import {
  assertDocuments,
  expectDocuments,
  pieces,
  type Rule,
  readDocuments,
  vocabularyText,
  writeText,
} from './words.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-corpus-'));
after(() => rmSync(folder, { recursive: true }));
const vocabulary = path.join(folder, 'vocab.txt');
writeFileSync(vocabulary, vocabularyText);
const galvani = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const rules: Rule[] = ['line', 'blank-line', 'file'];

let made = 0;
const fresh = (name = 'd') => path.join(folder, `${name}${made++}`);

function settings(inputs: string[], more: Partial<PrepareSettings> = {}): PrepareSettings {
  return {
    inputs,
    vocabulary,
    output: fresh('out'),
    profile: 'huggingface',
    lowercase: true,
    documents: 'blank-line',
    threads: 2,
    shardTokens: 1 << 20,
    ...more,
  };
}

/** Write texts into a new folder, as 0.txt, 1.txt, … */
function writeTexts(...texts: (string | Uint8Array)[]): string {
  const directory = fresh('in');
  mkdirSync(directory);
  for (const [i, text] of texts.entries()) writeFileSync(path.join(directory, `${i}.txt`), text);
  return directory;
}

function assertSameFiles(actual: string, expected: string, message: string): void {
  assert.deepEqual(readdirSync(actual).sort(), readdirSync(expected).sort(), message);
  for (const file of readdirSync(expected)) {
    assert.ok(
      readFileSync(path.join(actual, file)).equals(readFileSync(path.join(expected, file))),
      `${file}, ${message}`,
    );
  }
}

/** Blank lines at the start, in a row, and of white space only; CRLF; characters of 2 and 3 bytes; no final newline. */
const tricky =
  '\n\nalpha beta\r\n gamma ø\n\r\n \t \n\n中 unheardof\nw\nw w\n\nDELTA word7 word299\n\nlast one of them';

for (const rule of rules) {
  test(`no token is lost or doubled at any cut of a small file (${rule})`, async () => {
    const directory = writeTexts(tricky, '', tricky.slice(3), '\n');
    const expected = [tricky, tricky.slice(3)].flatMap((text) => expectDocuments(text, rule));
    const files = [0, 1, 2, 3].map((i) => {
      const name = `${i}.txt`;
      const { size: bytes, mtimeMs: modified } = statSync(path.join(directory, name));
      return { path: path.join(directory, name), name, bytes, modified, format: 'text' as const };
    });
    const tables = compileTables(Vocabulary.fromPieces(pieces), resolveSettings());
    const encoder = new WordPieceEncoder(compileTextModule(), tables, pieces.length);
    const options = {
      vocabulary: { bytes: Buffer.from(vocabularyText), size: pieces.length, unknownId: 1 },
      description: {
        tokenizer: { ...resolveSettings(), unicodeVersion: '8.0.0' },
        settings: { documents: rule, textField: 'text', shardTokens: 7 },
        inputs: [],
      },
      batchTokens: 5,
    };
    const rules = { documents: rule, countsBytes: false, idType: 'uint16' } as const;
    for (let rangeBytes = 1; rangeBytes <= files[0].bytes + 1; rangeBytes++) {
      const output = fresh();
      mkdirSync(output);
      const reader = new TaskReader({
        textField: 'text',
        skipsErrors: false,
        jsonModule: compileJsonModule(),
        temporaryFolder: folder,
      });
      const tokenizer = new TaskTokenizer(reader, encoder, rules);
      const writer = new DatasetWriter(output, options);
      for (const task of planTasks(files, rangeBytes)) {
        const blocks = tokenizer.tokenize(task);
        let next = await blocks.next();
        for (; !next.done; next = await blocks.next()) await writer.append(next.value);
        await writer.append(next.value.block);
        writer.addCounts(next.value.counts);
      }
      const manifest = await writer.finish();
      assertDocuments(readDocuments(output), expected, `ranges of ${rangeBytes} bytes`);
      assert.equal(manifest.counts.unknownTokens, expected.flat(2).filter((id) => id === 1).length);
      const counts = new Float64Array(pieces.length);
      for (const id of expected.flat(2)) counts[id]++;
      assert.deepEqual(await readTokenCounts({ directory: output, manifest }), counts);
      rmSync(output, { recursive: true });
    }
  });

  test(`the bytes are the same for 1, 2, 3 and 7 threads and any size of ranges (${rule})`, async () => {
    const directory = fresh('in');
    mkdirSync(directory);
    for (const [i, bytes] of [300_000, 1, 70_000, 500_000].entries()) {
      writeText(path.join(directory, `${i}.txt`), bytes, i);
    }
    const shardTokens = 60_000;
    const first = settings([directory], { documents: rule, shardTokens, threads: 1 });
    await prepare(first);
    const texts = [0, 1, 2, 3].map((i) => readFileSync(path.join(directory, `${i}.txt`), 'utf8'));
    const expected = texts.flatMap((text) => expectDocuments(text, rule));
    assertDocuments(readDocuments(first.output), expected, rule);
    for (const [threads, rangeBytes] of [
      [2, 10_000],
      [3, 100_001],
      [7, 33_333],
    ]) {
      const next = settings([directory], { documents: rule, shardTokens, threads, rangeBytes });
      await prepare(next);
      assertSameFiles(next.output, first.output, `${threads} threads, ranges of ${rangeBytes} bytes`);
    }
  });
}

test('invalid UTF-8 is dropped and counted, across a cut too', async () => {
  const bytes = Buffer.concat([
    Buffer.from('alpha'),
    Buffer.from([0xff]),
    Buffer.from(' beta '),
    Buffer.from([0xe4, 0xbd]),
    Buffer.from('\ngamma'),
    Buffer.from([0xed, 0xa0, 0x80]),
  ]);
  for (const rangeBytes of [1, 7, 1000]) {
    const wanted = settings([writeTexts(bytes)], { rangeBytes });
    const { manifest } = await prepare(wanted);
    assert.deepEqual(readDocuments(wanted.output), expectDocuments('alpha beta\ngamma', 'blank-line'));
    assert.equal(manifest.counts.droppedBytes, 6);
  }
});

test('files of a folder are read in code unit order of their names, others are left out', async () => {
  const directory = fresh('in');
  mkdirSync(path.join(directory, 'b'), { recursive: true });
  const texts = { 'B.txt': 'alpha', 'a.txt': 'beta', 'b/z.txt': 'gamma', 'é.txt': 'delta', 'note.md': 'w' };
  for (const [name, text] of Object.entries(texts)) writeFileSync(path.join(directory, name), text);
  // `--input . --vocab vocab.txt --output tokens`: neither the vocabulary nor what lies in the output is text, now or later.
  const inside = path.join(directory, 'vocab.txt');
  writeFileSync(inside, vocabularyText);
  const wanted = settings([directory], { vocabulary: inside, output: path.join(directory, 'tokens') });
  const { manifest } = await prepare(wanted);
  assert.deepEqual(
    manifest.inputs.map((input) => input.name),
    ['B.txt', 'a.txt', 'b/z.txt', 'é.txt'],
  );
  assert.deepEqual(readDocuments(wanted.output), expectDocuments('alpha\n\nbeta\n\ngamma\n\ndelta', 'blank-line'));
  assert.equal((await prepare(wanted)).wasThere, true);
});

test('a finished dataset is found again; another one, or a foreign folder, is refused', async () => {
  const directory = writeTexts('alpha');
  const wanted = settings([directory]);
  assert.equal((await prepare(wanted)).wasThere, false);
  assert.equal((await prepare(wanted)).wasThere, true);
  await assert.rejects(
    prepare({ ...wanted, documents: 'line' }),
    /another dataset: settings.documents is "blank-line" there, "line"/,
  );
  await assert.rejects(
    prepare({ ...wanted, lowercase: false }),
    /another dataset: tokenizer.lowercase is true there, false here/,
  );
  writeFileSync(path.join(directory, '0.txt'), 'alpha beta');
  await assert.rejects(prepare(wanted), /another dataset: inputs.0.bytes is 5 there, 10 here/);
  await assert.rejects(prepare({ ...wanted, output: writeTexts('alpha') }), /got a folder with 0.txt in it/);
  await assert.rejects(prepare({ ...wanted, output: vocabulary }), /got a file/);
});

test('a corpus without a token, a missing input and a missing vocabulary are bad input', async () => {
  const cases: [PrepareSettings, RegExp][] = [
    [settings([writeTexts('', ' \n\n', '\u200b')]), /at least one token, got 3 files of 6 bytes/],
    [settings([writeTexts()]), /expected files that end in \.txt, .*, got none/],
    [settings([path.join(folder, 'nowhere')]), /nothing there \(.*nowhere\)/],
    [
      settings([writeTexts('alpha')], { vocabulary: path.join(folder, 'no.txt') }),
      /vocab\.txt, got ENOENT \(.*no\.txt\)/,
    ],
  ];
  for (const [wanted, message] of cases) {
    await assert.rejects(prepare(wanted), (error: Error & { exitCode: number }) => {
      assert.match(error.message, message);
      assert.equal(error.exitCode, exitCodes.badInput);
      return true;
    });
    assert.equal(existsSync(wanted.output), false);
    assert.deepEqual(leftovers(wanted.output), []);
  }
});

function leftovers(output: string): string[] {
  return readdirSync(path.dirname(output)).filter((name) => name.startsWith(`${path.basename(output)}.`));
}

test('a file that shrinks while it is read is named', async () => {
  const directory = writeTexts('alpha beta\n'.repeat(1_000_000));
  const file = path.join(directory, '0.txt');
  const wanted = settings([directory], { threads: 1, rangeBytes: 1000, onProgress: () => truncateSync(file, 10) });
  await assert.rejects(prepare(wanted), /expected 11000000 bytes, as when the work was planned, got 10 \(.*0\.txt\)/);
  assert.equal(existsSync(wanted.output), false);
});

test('a worker that dies is an error that names its range, not a hang', { timeout: 60_000 }, async () => {
  const worker = new URL('./mortal.js', import.meta.url);
  const seen: number[] = [];
  const run = async () => {
    for await (const answer of runInOrder<number, number>([1, 2, 3, 4, 5, 6], (n) => `task ${n}`, {
      stage: 'prepare',
      worker,
      workerData: { dieAt: 4 },
      threads: 2,
    })) {
      seen.push(answer);
    }
  };
  await assert.rejects(
    run(),
    /expected a worker that finishes its range, got .*code: 3 \((task \d or )?task 4( or task \d)?\)\./,
  );
  assert.deepEqual(seen, [10, 20, 30].slice(0, seen.length));
});

test('a worker that cannot start is an error, not a hang', { timeout: 60_000 }, async () => {
  const worker = new URL('./mortal.js', import.meta.url);
  const pool = { stage: 'prepare', worker, workerData: { dieAt: 'start' }, threads: 2 };
  const tasks = runInOrder<number, number>([1], String, pool);
  await assert.rejects(tasks.next(), /expected a worker that finishes its range, got no start/);
});

test('results wait for their turn, and no more than three times the threads are under way', async () => {
  let started = 0;
  function* tasks(): Generator<number> {
    for (started = 0; started < 50; ) yield ++started;
  }
  const worker = new URL('./mortal.js', import.meta.url);
  const results: number[] = [];
  const pool = { stage: 'prepare', worker, workerData: {}, threads: 3 };
  for await (const result of runInOrder<number, number>(tasks(), String, pool)) {
    results.push(result);
    assert.ok(started - results.length <= 9);
    await delay(1);
  }
  assert.deepEqual(
    results,
    Array.from({ length: 50 }, (_, i) => 10 * (i + 1)),
  );
});

/** Text that takes a second or so, and what comes of it undisturbed. */
function largeCorpus(): { input: string; args(output: string): string[] } {
  const input = path.join(folder, 'large.txt');
  if (!existsSync(input)) writeText(input, 60_000_000, 7);
  const flags = ['--vocab', vocabulary, '--shard-tokens', '1M', '--threads', '2'];
  return { input, args: (output) => [galvani, 'prepare', '--input', input, ...flags, '--output', output] };
}

test('killed at 20 random moments and started again, it goes on and ends in the same bytes', async () => {
  const { args } = largeCorpus();
  const whole = fresh('out');
  const start = performance.now();
  execFileSync(process.execPath, args(whole));
  const wholeMs = performance.now() - start;
  const moments = randomFloats(200, 20).map((value) => (value + 1) / 2);
  let attempt = 0;
  let output = fresh('out');
  // The first shard's file, as it was when a run that had finished it was killed.
  let firstShard: number | undefined;
  let goneOn = 0;
  for (let kills = 0; kills < 20; ) {
    const child = spawn(process.execPath, args(output), { stdio: 'ignore' });
    const exit = once(child, 'exit');
    await Promise.race([exit, delay(wholeMs * (0.1 + 0.8 * moments[attempt++]))]);
    child.kill('SIGKILL');
    const [, signal] = await exit;
    if (signal === 'SIGKILL') kills++;
    // Either nothing under the final name, or all of it.
    if (existsSync(output)) {
      assertSameFiles(output, whole, `after ${kills} kills`);
      if (fileNumber(output) === firstShard) goneOn++;
      output = fresh('out');
    } else if (existsSync(path.join(`${output}.partial`, 'journal.json'))) {
      firstShard = fileNumber(path.join(`${output}.partial`, 'dataset'));
    }
  }
  execFileSync(process.execPath, args(output));
  assertSameFiles(output, whole, 'after all kills');
  if (fileNumber(output) === firstShard) goneOn++;
  assert.ok(goneOn > 0, 'no run went on behind a shard of the one before');
  assert.deepEqual(leftovers(output), []);
});

const fileNumber = (directory: string) => statSync(path.join(directory, 'shard-00000.arrow')).ino;

test('work that was stopped is gone on with by the same arguments only', async () => {
  const { input, args } = largeCorpus();
  const output = fresh('out');
  const made = new Date(1.1e12);
  utimesSync(input, made, made);
  const stop = new AbortController();
  const wanted = settings([input], { output, shardTokens: 1 << 20, signal: stop.signal });
  const journal = path.join(`${output}.partial`, 'journal.json');
  const stopped = prepare(wanted);
  stopped.catch(() => {});
  while (!existsSync(journal)) await delay(5);
  // While it works, nobody else may.
  await assert.rejects(prepare({ ...wanted, signal: undefined }), /got process \d+ at work/);
  stop.abort();
  await assert.rejects(stopped, /got a signal to stop/);
  const again = { ...wanted, signal: undefined };
  await assert.rejects(
    prepare({ ...again, documents: 'line' }),
    /settings\.documents is "blank-line" there, "line" here/,
  );
  await assert.rejects(prepare({ ...again, minTokens: 3 }), /settings\.minTokens is absent there, 3 here/);
  const touched = new Date(1e12);
  utimesSync(input, touched, touched);
  await assert.rejects(prepare(again), /inputs\.0\.modified is 1100000000000 there, 1000000000000 here/);
  utimesSync(input, made, made);
  const other = path.join(folder, 'other.txt');
  writeFileSync(other, `${vocabularyText}more\n`);
  await assert.rejects(prepare({ ...again, vocabulary: other }), /vocabulary\.sha256 is/);
  const shard = path.join(`${output}.partial`, 'dataset', 'shard-00000.arrow');
  const bytes = readFileSync(shard);
  truncateSync(shard, 100);
  await assert.rejects(prepare(again), /shard-00000\.arrow of 100 bytes where \d+ were written/);
  writeFileSync(shard, bytes);
  // As a killed run leaves it: shards and spills that the journal does not know.
  writeFileSync(path.join(`${output}.partial`, 'dataset', 'shard-00099.arrow'), 'half');
  writeFileSync(path.join(`${output}.partial`, 'spills', 'spill-1-0'), 'half');
  assert.ok((await prepare(again)).shardsBefore > 0);
  const whole = fresh('out');
  execFileSync(process.execPath, args(whole));
  assert.deepEqual(leftovers(output), []);
  const sums = (directory: string) => readFileSync(path.join(directory, 'SHA256SUMS'), 'utf8').match(/.*shard.*/g);
  assert.equal(sums(output)?.length, sums(whole)?.length);
});

for (const rule of rules) {
  test(`any number of parts holds each document once, in order, and counts add up (${rule})`, async () => {
    const directory = writeTexts(tricky, '', tricky.slice(3), '\n', `${tricky}\n\nalpha\xff`, 'w\n'.repeat(30));
    const json = [tricky, 'alpha', ' ', tricky].map((text) => JSON.stringify({ text })).join('\n');
    writeFileSync(path.join(directory, '6.jsonl'), json);
    for (const rangeBytes of [5, 70]) {
      const wanted = settings([directory], { documents: rule, rangeBytes, threads: 1 });
      const whole = (await prepare(wanted)).manifest;
      const documents = readDocuments(wanted.output);
      for (const count of rangeBytes === 5 ? [3, 20] : [2]) {
        const outputs = Array.from({ length: count }, () => fresh('out'));
        const manifests: Manifest[] = [];
        for (const [i, output] of outputs.entries()) {
          const part = { index: i + 1, count };
          manifests.push((await prepare({ ...wanted, output, part })).manifest);
          await verifyDataset(output);
        }
        assertDocuments(outputs.flatMap(readDocuments), documents, `${count} parts, ranges of ${rangeBytes}`);
        for (const name of Object.keys(whole.counts) as (keyof Manifest['counts'])[]) {
          const sum = manifests.reduce((total, { counts }) => total + counts[name], 0);
          assert.equal(sum, whole.counts[name], `${name}, ${count} parts, ranges of ${rangeBytes}`);
        }
      }
    }
  });
}

test('Ctrl-C stops cleanly with exit code 75', async () => {
  const { args } = largeCorpus();
  const output = fresh('out');
  const child = spawn(process.execPath, args(output), { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  const exit = once(child, 'exit');
  while (leftovers(output).length === 0) await delay(5);
  child.kill('SIGINT'); // before the first shard
  const [code] = await exit;
  assert.equal(code, exitCodes.tryAgain, stderr);
  assert.match(stderr, /got a signal to stop/);
  assert.equal(existsSync(output), false);
  assert.deepEqual(leftovers(output), []);
});

test('a full disk is an error that says so, and leaves nothing', { skip: process.platform === 'win32' }, () => {
  const { args } = largeCorpus();
  const output = fresh('out');
  // The limit on file sizes, in blocks of 1024 bytes, fails as a full disk does: in the middle of a write.
  const command = `ulimit -f 2000; exec "$0" "$@"`;
  const { status, stderr } = spawnSync('bash', ['-c', command, process.execPath, ...args(output)], {
    encoding: 'utf8',
  });
  assert.match(stderr, /write: expected room for the whole file, got the limit on file sizes .*shard-00000\.arrow/);
  assert.equal(status, exitCodes.failure);
  assert.equal(existsSync(output), false);
  assert.deepEqual(leftovers(output), []);
});
