/**
 * A run that was killed behind any of its shards ends in the bytes of one that never was, whatever there is to count: documents
 * that filters leave out, records that cannot be read, blocks that went by a file, the ends of parts.
 */
import assert from 'node:assert/strict';
import { linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Journal } from '../../src/corpus/journal.js';
import { type PrepareSettings, prepare } from '../../src/corpus/prepare.js';
import type { Manifest } from '../../src/dataset/manifest.js';
import { verifyDataset } from '../../src/dataset/verification.js';
import type { WriterState } from '../../src/dataset/writer.js';
import { randomInts } from '../random.js';
import { vocabularyText, writeText } from './words.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-stops-'));
after(() => rmSync(folder, { recursive: true }));
const vocabulary = path.join(folder, 'vocab.txt');
writeFileSync(vocabulary, vocabularyText);
const corpus = path.join(folder, 'corpus');
mkdirSync(corpus);
writeText(path.join(corpus, 'a.txt'), 200_000, 1);
const broken = ['{"text":"alpha"}', '{"text":"bro', '{"body":"beta"}', '{"text":"gamma w w w"}', '{"text":"q q q w"}'];
writeFileSync(path.join(corpus, 'b.jsonl'), `${broken.join('\n')}\n`.repeat(2000));
writeFileSync(path.join(corpus, 'c.txt.gz'), gzipSync(manyTokens(5_000_000), { level: 1 }).subarray(0, -20));
writeText(path.join(corpus, 'd.txt'), 200_000, 2);
writeFileSync(path.join(corpus, 'e.txt'), `alpha\n\n${'w w\n'.repeat(60_000)}w\n\nbeta w w\n`);

/** More than two blocks: documents of up to 100,000 tokens, some of words that are no pieces. */
function manyTokens(tokens: number): string {
  const lengths = randomInts(1000, 5, 100_000);
  const documents: string[] = [];
  for (let i = 0, made = 0; made < tokens; made += lengths[i++ % 1000] % (i % 3 ? 50 : 100_000)) {
    const words = lengths[i % 1000] % (i % 3 ? 50 : 100_000);
    documents.push((i % 5 ? 'w w\n' : 'q w\n').repeat(words / 2));
  }
  return documents.join('\n');
}

const settings = (output: string, more: Partial<PrepareSettings>): PrepareSettings => ({
  inputs: [corpus],
  vocabulary,
  output,
  documents: 'blank-line',
  threads: 2,
  shardTokens: 400_000,
  rangeBytes: 50_000,
  minTokens: 2,
  maxUnknownFraction: 0.3,
  maxDocumentBytes: 150_000,
  skipsErrors: true,
  ...more,
});

/** What lies beside `output` when a run is killed behind a shard, as what lies beside another output. */
function copyWork(output: string, other: string): void {
  const [from, to] = [`${output}.partial`, `${other}.partial`];
  mkdirSync(path.join(to, 'dataset'), { recursive: true });
  const files = ['journal.json', ...readdirSync(path.join(from, 'dataset')).map((name) => path.join('dataset', name))];
  // Nothing is written into a file twice, but for what the journal does not know.
  for (const file of files) linkSync(path.join(from, file), path.join(to, file));
}

/** Go on behind every shard of a run. @returns the run's manifest, and how many shards that were. */
async function checkStops(
  context: TestContext,
  name: string,
  more: Partial<PrepareSettings>,
): Promise<{ manifest: Manifest; stops: number }> {
  const output = path.join(folder, name);
  const killed: string[] = [];
  const save = Journal.prototype.save;
  context.mock.method(Journal.prototype, 'save', async function (this: Journal, state: WriterState): Promise<void> {
    await save.call(this, state);
    killed.push(`${output}-${killed.length}`);
    copyWork(output, killed[killed.length - 1]);
  });
  const { manifest } = await prepare(settings(output, { ...more, threads: 1 }));
  context.mock.restoreAll();
  await verifyDataset(output);
  for (const [index, other] of killed.entries()) {
    const { shardsBefore } = await prepare(settings(other, { ...more, threads: 1 + (index % 2) }));
    assert.equal(shardsBefore, index + 1);
    for (const file of readdirSync(output)) {
      const bytes = readFileSync(path.join(output, file));
      assert.ok(bytes.equals(readFileSync(path.join(other, file))), `${file}, behind shard ${index}`);
    }
    rmSync(other, { recursive: true });
  }
  return { manifest, stops: killed.length };
}

test('a run gone on with behind any of its shards ends in the same bytes', async (context) => {
  const { manifest, stops } = await checkStops(context, 'whole', {});
  const { maxDocumentBytes, minTokens, maxUnknownFraction, errors } = manifest.leftOut;
  assert.ok(Math.min(maxDocumentBytes, minTokens, maxUnknownFraction, errors) > 0);
  assert.ok(stops > 8, `${stops}`);
});

test('so does any part, also where a document goes over its ends', async (context) => {
  const inputs = ['a.txt', 'e.txt', 'd.txt'].map((name) => path.join(corpus, name));
  for (const index of [1, 2, 3, 4]) {
    const more = {
      inputs,
      part: { index, count: 4 },
      rangeBytes: 20_000,
      shardTokens: 4000,
      maxDocumentBytes: 200_000,
    };
    const { stops } = await checkStops(context, `part-${index}`, more);
    assert.ok(stops > 0);
  }
});
