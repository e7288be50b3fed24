/** A corpus prepared in parts and merged is the corpus prepared at once, also where equal documents are left out. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { prepare } from '../../src/corpus/prepare.js';
import type { Manifest } from '../../src/dataset/manifest.js';
import { merge } from '../../src/dataset/merge.js';
import { verifyDataset } from '../../src/dataset/verification.js';
import { assertDocuments, readDocuments, vocabularyText, writeText } from './words.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-parts-'));
after(() => rmSync(folder, { recursive: true }));
const vocabulary = path.join(folder, 'vocab.txt');
writeFileSync(vocabulary, vocabularyText);
const texts = path.join(folder, 'texts');
mkdirSync(texts);
writeText(path.join(texts, 'a.txt'), 300_000, 1);
writeText(path.join(texts, 'b.txt'), 70_000, 2);
writeFileSync(path.join(texts, 'c.txt'), 'alpha\n\nbeta \xff gamma\n\nalpha\n\nalpha beta', 'latin1');
writeText(path.join(texts, 'd.txt'), 70_000, 2);
writeFileSync(path.join(texts, 'e.jsonl'), '{"text":"alpha"}\n{"text":"delta"}\n'.repeat(30));

let made = 0;
const fresh = () => path.join(folder, `d${made++}`);

async function run(part?: Manifest['part'], output = fresh()): Promise<string> {
  await prepare({
    inputs: [texts],
    vocabulary,
    output,
    profile: 'huggingface',
    lowercase: true,
    documents: 'blank-line',
    threads: 1,
    shardTokens: 9000,
    rangeBytes: 100_000,
    minTokens: 2,
    part,
  });
  return output;
}

function bytesOf(directory: string): Record<string, string> {
  const read = (file: string) => readFileSync(path.join(directory, file), 'latin1');
  return Object.fromEntries(readdirSync(directory).map((file) => [file, read(file)]));
}

test('any number of parts merges to the whole', async () => {
  const whole = await run();
  const documents = readDocuments(whole);
  const { manifest } = await merge({ inputs: [whole], output: fresh() });
  const firsts = fresh();
  const { leftOut } = (await merge({ inputs: [whole], output: firsts, deduplicate: true })).manifest;
  await assert.rejects(run(undefined, firsts), /got a dataset without its duplicates/);
  assert.ok(leftOut.duplicates > 100 && leftOut.minTokens > 10 && manifest.counts.droppedBytes === 1);
  const unique = new Map(
    documents.map((lines) => [lines.flat().join(' '), lines]).toReversed() as [string, number[][]][],
  );
  assert.equal(documents.length - unique.size, leftOut.duplicates);

  for (const count of [2, 8]) {
    const parts: string[] = [];
    for (let index = 1; index <= count; index++) parts.push(await run({ index, count }));
    const [joined, deduplicated] = [fresh(), fresh()];
    const parted = (await merge({ inputs: parts, output: joined })).manifest;
    assert.ok(count < 8 || parts.some((part) => readDocuments(part).length === 0));
    assertDocuments(readDocuments(joined), documents, `${count} parts`);
    assert.deepEqual({ ...parted, shards: [] }, { ...manifest, shards: [] });
    await verifyDataset(joined);
    await merge({ inputs: parts, output: deduplicated, deduplicate: true });
    assert.deepEqual(bytesOf(deduplicated), bytesOf(firsts));
  }
});
