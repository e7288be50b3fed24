/** `inspect` of a dataset: its counts against plain lists, its histogram and samples as they are shown. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { binLengths, LengthCounts, lengthAt } from '../../src/dataset/lengths.js';
import { summarizeDataset } from '../../src/dataset/summary.js';
import { randomInts } from '../random.js';
import { writeSyntheticDataset } from './synthetic.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-summary-'));
after(() => rmSync(folder, { recursive: true }));
const galvani = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const inspect = (...args: string[]) =>
  spawnSync(process.execPath, [galvani, 'inspect', ...args], { encoding: 'utf8' }).stdout;

test('lengths of any size are counted exactly', () => {
  const lengths = [...randomInts(3000, 1, 300), ...randomInts(50, 2, 2 ** 30), 65_535, 65_536, 65_536].map(
    (n) => n + 1,
  );
  const counts = new LengthCounts();
  for (const length of lengths) counts.add(length);
  const list = counts.list();
  lengths.sort((a, b) => a - b);
  for (const rank of [0, 1, 17, 1500, 2999, 3030, lengths.length - 1])
    assert.equal(lengthAt(list, rank), lengths[rank]);
  const bins = binLengths(list);
  for (const { from, to, documents } of bins) {
    assert.equal(documents, lengths.filter((length) => from <= length && length <= to).length);
    assert.equal(to, 2 * from - 1);
  }
  assert.deepEqual(
    bins.map(({ from }) => from),
    Array.from({ length: bins.length }, (_, i) => 2 ** i),
  );
  assert.equal(
    bins.reduce((sum, { documents }) => sum + documents, 0),
    lengths.length,
  );
  assert.deepEqual(binLengths([]), []);
});

const documents = Array.from({ length: 41 }, (_, i) => [Array.from({ length: 1 + i }, (_, j) => 5 + ((i + j) % 95))]);

test('the samples are spread over all shards, with the first pieces of each', async () => {
  const directory = path.join(folder, 'samples');
  for (const vocabularySize of [100, 70_000]) {
    await writeSyntheticDataset(directory, documents, { vocabularySize, shardTokens: 60, batchTokens: 25 });
    const { samples, tokensPerDocument } = await summarizeDataset(directory);
    assert.deepEqual(
      samples,
      [6, 20, 34].map((document) => ({
        document,
        tokens: document + 1,
        pieces: documents[document][0].slice(0, 24).map((id) => `w${id}`),
      })),
    );
    assert.deepEqual(tokensPerDocument, { least: 1, median: 21, mean: 21, most: 41 });
    rmSync(directory, { recursive: true });
  }
});

test('the command draws the histogram and shows where pieces end', async () => {
  const directory = path.join(folder, 'drawn');
  await writeSyntheticDataset(directory, documents, { part: { index: 2, count: 3 } });
  const text = inspect(directory);
  const histogram = [
    'tokens  documents  share',
    '     1          1   2.4%  ###',
    '   2-3          2   4.9%  #####',
    '   4-7          4   9.8%  ##########',
    '  8-15          8  19.5%  ####################',
    ' 16-31         16  39.0%  ########################################',
    ' 32-63         10  24.4%  #########################',
  ];
  assert.ok(text.includes(`\n${histogram.join('\n')}\n`), text);
  assert.match(text, /^part +2 of 3 of these inputs$/m);
  assert.match(text, /^document 6 \(7 tokens\): w11 w12 w13 w14 w15 w16 w17$/m);
  assert.match(text, /^document 34 \(35 tokens\): w39 w40 (w\d+ ){22}…$/m);
  const { lengths, samples } = JSON.parse(inspect(directory, '--json'));
  assert.deepEqual(lengths[1], { from: 2, to: 3, documents: 2 });
  assert.equal(samples[0].pieces[0], 'w11');
});

test('a dataset of one document, and a part without any, are shown', async () => {
  const [one, none] = [path.join(folder, 'one'), path.join(folder, 'none')];
  await writeSyntheticDataset(one, [[[7]]]);
  assert.deepEqual((await summarizeDataset(one)).samples, [{ document: 0, tokens: 1, pieces: ['w7'] }]);
  await writeSyntheticDataset(none, [], { part: { index: 1, count: 2 } });
  const { samples, lengths, tokensPerDocument } = await summarizeDataset(none);
  assert.deepEqual([samples, lengths], [[], []]);
  assert.deepEqual(tokensPerDocument, { least: 0, median: 0, mean: 0, most: 0 });
  assert.match(inspect(none), /^documents +0$/m);
});
