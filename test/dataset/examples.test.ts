import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { Shard, TokenDataset } from '../../src/dataset/dataset.js';
import { openDataset } from '../../src/dataset/dataset.js';
import { type ExampleIndex, indexExamples, listRuns, locateExample } from '../../src/dataset/examples.js';
import { markHeldOut } from '../../src/dataset/split.js';
import { TokenReader } from '../../src/dataset/tokens.js';
import { GalvaniError } from '../../src/errors.js';
import { writeSyntheticDataset } from './synthetic.js';

const scratch = mkdtempSync(path.join(os.tmpdir(), 'galvani-examples-'));
after(() => rmSync(scratch, { recursive: true }));

/** A dataset without files: documents of the given lengths, a list a shard. */
function datasetOf(shards: number[][]): TokenDataset {
  const places: Shard[] = shards.map((lengths, i) => {
    const rowOffsets = Uint32Array.from([0, ...lengths]);
    for (let row = 1; row < rowOffsets.length; row++) rowOffsets[row] += rowOffsets[row - 1];
    const tokens = rowOffsets[lengths.length];
    return { path: `shard-${i}`, rows: lengths.length, tokens, rowOffsets, pieces: [] };
  });
  return { directory: 'memory', shards: places, idBytes: 2 } as unknown as TokenDataset;
}

/** The plain rule: cut every wanted document into windows. */
function cutDocuments(shards: number[][], windowTokens: number, isWanted: (document: number) => boolean) {
  const examples: { shard: number; row: number; startToken: number; tokens: number }[] = [];
  let document = 0;
  for (const [shard, lengths] of shards.entries()) {
    let first = 0;
    for (const [row, length] of lengths.entries()) {
      for (let at = 0; isWanted(document) && at < length; at += windowTokens) {
        examples.push({ shard, row, startToken: first + at, tokens: Math.min(windowTokens, length - at) });
      }
      first += length;
      document++;
    }
  }
  return examples;
}

const someShards = fc.array(fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 12 }), {
  minLength: 1,
  maxLength: 5,
});

test('examples are the windows of each document in order, whatever the shards, T and split', () => {
  fc.assert(
    fc.property(someShards, fc.integer({ min: 3, max: 20 }), fc.constantFrom(0, 0.3), (shards, T, fraction) => {
      const held = markHeldOut(0, shards.flat().length, fraction);
      const expected = cutDocuments(shards, T - 2, (document) => held[document] === 0);
      if (expected.length === 0) {
        assert.throws(() => indexExamples(datasetOf(shards), T, 'train', fraction), GalvaniError);
        return;
      }
      const index = indexExamples(datasetOf(shards), T, 'train', fraction);
      assert.equal(index.examples, expected.length);
      assert.equal(
        index.tokens,
        expected.reduce((sum, example) => sum + example.tokens, 0),
      );
      for (const [number, example] of expected.entries()) assert.deepEqual(locateExample(index, number), example);
    }),
    { seed: 1, numRuns: 1000 },
  );
});

/** The shard tokens of consecutive examples, one by one. */
function tokensOfExamples(index: ExampleIndex, first: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => locateExample(index, first + i)).flatMap(
    ({ shard, startToken, tokens }) => Array.from({ length: tokens }, (_, t) => `${shard}:${startToken + t}`),
  );
}

test('runs hold the tokens of consecutive examples, in order and as few as can be', () => {
  fc.assert(
    fc.property(someShards, fc.integer({ min: 3, max: 20 }), fc.nat(), fc.nat(), (shards, T, a, b) => {
      if (shards.flat().every((length) => length === 0)) return;
      const index = indexExamples(datasetOf(shards), T, 'train', 0);
      const first = a % index.examples;
      const count = 1 + (b % (index.examples - first));
      const starts = new Int32Array(count + 1);
      const runs = listRuns(index, first, count, starts);
      const tokens = runs.flatMap((run) =>
        Array.from({ length: run.tokens }, (_, t) => `${run.shard}:${run.startToken + t}`),
      );
      assert.deepEqual(tokens, tokensOfExamples(index, first, count));
      for (let i = 0; i < count; i++) {
        assert.equal(starts[i + 1] - starts[i], locateExample(index, first + i).tokens);
      }
      assert.ok(runs.length <= new Set(runs.map((run) => run.shard)).size);
    }),
    { seed: 2, numRuns: 1000 },
  );
});

test('no token of the corpus is lost: the ids of all examples are the ids of all documents', async () => {
  const documents = Array.from({ length: 300 }, (_, document) => [
    Array.from({ length: 1 + ((document * 37) % 61) }, (_, i) => 5 + ((document * 7 + i) % 90)),
  ]);
  const directory = path.join(scratch, 'whole');
  // Small shards and record batches: runs that end and begin inside pieces.
  await writeSyntheticDataset(directory, documents, { shardTokens: 2000, batchTokens: 300 });
  const dataset = await openDataset(directory);
  assert.ok(dataset.shards.length > 3);
  const index = indexExamples(dataset, 16, 'train', 0);
  const reader = new TokenReader(index.shards, index.idBytes);
  const ids = new Uint16Array(index.tokens);
  let at = 0;
  for (const run of listRuns(index, 0, index.examples, new Int32Array(index.examples + 1))) {
    at = reader.read(run, new Uint8Array(ids.buffer), at);
  }
  reader.close();
  assert.deepEqual(Array.from(ids), documents.flat(2));
});

test('the two sides of the split share no document and lose none, whatever the fraction', () => {
  const shards = [Array(700).fill(9), Array(800).fill(11)];
  for (const fraction of [0.01, 0.2, 0.9]) {
    const documentsOf = (index: ExampleIndex) =>
      Array.from({ length: index.examples }, (_, i) => locateExample(index, i)).map(
        ({ shard, row }) => `${shard}:${row}`,
      );
    const train = documentsOf(indexExamples(datasetOf(shards), 32, 'train', fraction));
    const validation = documentsOf(indexExamples(datasetOf(shards), 32, 'validation', fraction));
    assert.equal(new Set([...train, ...validation]).size, 1500);
    assert.equal(train.length + validation.length, 1500);
    // Binomial: four standard deviations.
    const spread = 4 * Math.sqrt(1500 * fraction * (1 - fraction));
    assert.ok(Math.abs(validation.length - 1500 * fraction) < spread, `${validation.length} at ${fraction}`);
  }
});

test('a document held out at one fraction is held out at every larger one', () => {
  const few = markHeldOut(5, 10_000, 0.02);
  const more = markHeldOut(5, 10_000, 0.05);
  assert.ok(few.every((held, document) => held <= more[document]));
  assert.deepEqual(markHeldOut(0, 10_005, 0.02).subarray(5), few);
});

test('a file that ends early is named with the offset', async () => {
  const directory = path.join(scratch, 'short');
  await writeSyntheticDataset(directory, [[[5, 6, 7, 8, 9, 10]]]);
  const [shard] = (await openDataset(directory)).shards;
  const pieces = [{ firstToken: 0, tokens: 1e6, fileOffset: shard.pieces[0].fileOffset }];
  const reader = new TokenReader([{ path: shard.path, pieces }], 2);
  const run = { shard: 0, startToken: 0, tokens: 1e5 };
  assert.throws(() => reader.read(run, new Uint8Array(2e5), 0), /shard: expected 200000 bytes of ids at offset \d+/);
  reader.close();
});
