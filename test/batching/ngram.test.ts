/** The n-gram model: counted as a plain map counts, for any division of the work; drawn as it says; kept in a file. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { buildAliasTable, markDrawable } from '../../src/batching/frequency.js';
import { countNgrams, type NgramLimits, openNgramTable } from '../../src/batching/ngram/ngram.js';
import { openDataset } from '../../src/dataset/dataset.js';
import { verifyDataset } from '../../src/dataset/verification.js';
import { drawWords, keyOfSeed } from '../../src/random/philox.js';
import { streams } from '../../src/random/streams.js';
import { assertExpected } from '../chiSquare.js';
import { heldOutOf, writeSyntheticDataset } from '../dataset/synthetic.js';
import { randomInts } from '../random.js';
import { makeDocuments } from './documents.js';
import { kernels, memory, words } from './kernelMemory.js';
import { any, contextName, countPlainly, drawPlainly, type Model, probabilities, tableOf } from './ngramTwin.js';
import { special } from './twin.js';

const scratch = mkdtempSync(path.join(os.tmpdir(), 'galvani-ngram-'));
after(() => rmSync(scratch, { recursive: true }));

let made = 0;
async function write(documents: number[][], vocabularySize: number, sizes = { shardTokens: 9000, batchTokens: 700 }) {
  const directory = path.join(scratch, `data-${made++}`);
  await writeSyntheticDataset(
    directory,
    documents.map((ids) =>
      Array.from({ length: Math.ceil(ids.length / 10_000) }, (_, i) => ids.slice(10_000 * i, 10_000 * (i + 1))),
    ),
    { vocabularySize, ...sizes },
  );
  return openDataset(directory);
}

const options = { special, validationFraction: 0, threads: 1 };

test('the table is that of a plain count, for any partitions, room and threads, and both widths of ids', async () => {
  // Ids near 2¹⁶ and 2²⁰ too, a document of one token, and special tokens inside documents.
  for (const vocabularySize of [40, 2 ** 20]) {
    const documents = makeDocuments(300, 90, 40).map((ids, i) =>
      ids.map((id) =>
        id > 30 && vocabularySize > 40 ? vocabularySize - id : id + (i % 2 && id > 4 && id < 20 ? 1 : 0),
      ),
    );
    documents.push([9], [vocabularySize - 1, 1, vocabularySize - 1, 1, vocabularySize - 1]);
    const dataset = await write(documents, vocabularySize);
    const divisions: (NgramLimits & { threads?: number })[] = [
      { leastCount: 1, prefixBits: 0, slotBits: 12 },
      { leastCount: 2 },
      { leastCount: 2, prefixBits: 2, threads: 2 },
      { leastCount: 4, prefixBits: 3, slotBits: 11, threads: 3 },
    ];
    for (const { threads = 1, ...limits } of divisions) {
      const { leastCount = 0 } = limits;
      const expected = tableOf(countPlainly(documents, leastCount), leastCount);
      assert.ok(expected[1] > 100, 'contexts');
      const table = await countNgrams(dataset, { ...options, threads }, limits);
      assert.ok(Buffer.from(table.buffer).equals(Buffer.from(expected.buffer)), JSON.stringify(limits));
    }
  }
});

test('documents held out are not counted', async () => {
  const documents = makeDocuments(300, 40, 40);
  const held = heldOutOf(documents, 0.3);
  const dataset = await write(documents, 40, { shardTokens: 2000, batchTokens: 700 });
  assert.ok(dataset.manifest.shards.length > 2);
  const table = await countNgrams(dataset, { ...options, validationFraction: 0.3 });
  const trained = documents.filter((_, i) => held[i] === 0);
  assert.ok(trained.length < 250);
  assert.deepEqual(table, tableOf(countPlainly(trained, 2), 2));
});

test('documents longer than a stretch are counted as one, and of a large corpus stretches spread over it', async () => {
  const ids = Array.from(randomInts(2 ** 18 * 5 + 1000, 5, 12), (id) => id + 4);
  const documents = [ids.slice(0, 2 ** 18 + 77), ids.slice(2 ** 18 + 77, 2 ** 18 * 4 + 3), ids.slice(2 ** 18 * 4 + 3)];
  const dataset = await write(documents, 40, { shardTokens: 2 ** 18, batchTokens: 2 ** 18 });
  assert.equal(dataset.manifest.shards.length, 3);
  assert.deepEqual(await countNgrams(dataset, options), tableOf(countPlainly(documents, 2), 2));
  // Shards of 2, 3 and 2 stretches, of which two may be counted: ⌊2 i / 7⌋ rises behind the fourth and behind the last.
  const some = await countNgrams(dataset, options, { mostTokens: 2 ** 19 + 5 });
  const firsts = [0, 2 ** 18 + 77, 2 ** 18 * 4 + 3];
  const isTaken = (token: number, document: number) =>
    document > 0 && Math.floor((token - firsts[document]) / 2 ** 18) === 1;
  assert.deepEqual(some, tableOf(countPlainly(documents, 2, isTaken), 2));
});

test('the lowest count is the least that fits, for any division', async () => {
  const documents = makeDocuments(600, 90, 40);
  const dataset = await write(documents, 40);
  const tables = [1, 2, 3, 4, 5, 6, 7, 8].map((leastCount) => tableOf(countPlainly(documents, leastCount), leastCount));
  for (const wanted of [3, 5, 8]) {
    for (const prefixBits of [0, 4]) {
      const mostWords = tables[wanted - 1].length;
      const table = await countNgrams(dataset, options, { leastCount: 1, prefixBits, mostWords });
      assert.deepEqual(table, tables[wanted - 1]);
    }
  }
});

test('an id beyond the vocabulary is a damaged shard', async () => {
  const dataset = await write(makeDocuments(10, 40, 40), 40);
  const { manifest } = dataset;
  const smaller = { ...manifest, vocabulary: { ...manifest.vocabulary, size: 20 } };
  await assert.rejects(
    countNgrams({ ...dataset, manifest: smaller }, options),
    /dataset: expected ids of documents, got id \d+ of a vocabulary of 20 pieces/,
  );
  const larger = { ...manifest, vocabulary: { ...manifest.vocabulary, size: 2 ** 20 + 1 } };
  await assert.rejects(
    openNgramTable({ ...dataset, manifest: larger }, options),
    /batch: expected a vocabulary of at most 1048576/,
  );
});

// Drawing.

const at = {
  scratch: 0x400,
  drawable: 0xfe000,
  ids: 0x1000,
  places: 0x10000,
  counts: 0x20000,
  given: 0x30000,
  draws: 0x40000,
  tables: 0xff000,
  aliases: 0x100000,
  table: 0x200000,
};
const key = keyOfSeed(77);

/** Rows of T places, all of whose places but the first and the last are masked. */
function drawRows(rows: number[][], table: Uint32Array, aliases: Uint32Array, step: number, disallowCorrect: boolean) {
  const B = rows.length;
  const T = rows[0].length;
  const N = T;
  words.set(rows.flat(), at.ids / 4);
  // All places, the last first; in every third row one less.
  words.set(
    rows.flatMap((_, row) => Array.from({ length: N }, (_, j) => (row % 3 === 2 && j === N - 1 ? 0 : N - 1 - j))),
    at.places / 4,
  );
  words.set(
    rows.map((_, row) => (row % 3 === 2 ? N - 1 : N)),
    at.counts / 4,
  );
  words.set(aliases, at.aliases / 4);
  words.set(table, at.table / 4);
  words.fill(at.table, at.tables / 4, at.tables / 4 + B);
  const draws = kernels.drawWords(at.draws, 0n, 5 * B * N, key.low, key.high, step, streams.ngram);
  kernels.drawNgrams(
    at.ids,
    at.places,
    at.counts,
    at.given,
    draws,
    at.tables,
    at.aliases,
    B,
    T,
    N,
    aliases.length / 2,
    disallowCorrect,
  );
  return Array.from(words.subarray(at.given / 4, at.given / 4 + B * N));
}

test('the kernel draws what the rules draw from plain maps: every level, absent contexts, row ends, without the original', () => {
  const levels = { both: 0, one: 0, none: 0, excluded: 0 };
  for (const vocabularySize of [40, 70_000, 2 ** 20]) {
    const widen = (id: number) => (id > 20 && vocabularySize > 40 ? vocabularySize - 40 + id : id);
    const documents = makeDocuments(60, 60, 40).map((ids) => ids.map(widen));
    const weights = new Float64Array(Math.min(vocabularySize, 100_000)).fill(1);
    const aliases = buildAliasTable(weights);
    for (const leastCount of [1, 3]) {
      const model = countPlainly(documents, leastCount);
      const table = tableOf(model, leastCount);
      for (let step = 0; step < 12; step++) {
        const T = 11;
        const rows = Array.from({ length: 24 }, (_, row) => {
          const seen = documents[(step * 24 + row) % documents.length];
          const strange = Array.from(randomInts(T, 100 * step + row, 40), widen);
          return Array.from({ length: T }, (_, i) => (row % 2 ? (seen[i] ?? special.sep) : strange[i]));
        });
        for (const disallowCorrect of [false, true]) {
          const given = drawRows(rows, table, aliases, step, disallowCorrect);
          const drawn = new Uint32Array(5 * 24 * T);
          drawWords(drawn, key, streams.ngram, step);
          for (const [row, ids] of rows.entries()) {
            for (let j = 0; j < T; j++) {
              const place = T - 1 - j;
              const which = row * T + j;
              if (row % 3 === 2 && j === T - 1) {
                assert.equal(given[which], ids[0], 'beyond the count');
                continue;
              }
              const left = ids[place - 1] ?? any;
              const right = ids[place + 1] ?? any;
              const five = drawn.subarray(5 * which, 5 * which + 5);
              const excluded = disallowCorrect ? ids[place] : undefined;
              assert.equal(given[which], drawPlainly(model, aliases, left, right, five, excluded));
              const context = model.get(contextName(left, right));
              if (context?.counts.has(given[which])) levels.both++;
              else if (model.has(contextName(left, any)) || model.has(contextName(any, right))) levels.one++;
              else levels.none++;
              if (context?.counts.has(ids[place]) && disallowCorrect) levels.excluded++;
            }
          }
        }
      }
    }
  }
  for (const [level, cases] of Object.entries(levels)) assert.ok(cases > 200, `${level}: ${cases}`);
});

test('pieces come as often as the model says (chi-square, p > 0.001), with the original and without; specials never', () => {
  const documents = makeDocuments(400, 40, 40);
  const model = countPlainly(documents, 2);
  const table = tableOf(model, 2);
  const counts = new Float64Array(40);
  for (const id of documents.flat()) if (id === 1 || id > 4) counts[id]++;
  const aliases = buildAliasTable(counts);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const unigram = Array.from(counts, (count) => count / total);
  const [left, original, right] = documents.find((ids) => model.get(contextName(ids[0], ids[2]))?.counts.has(ids[1]))!;
  for (const row of [
    [left, original, right],
    [special.cls, 7, 39],
    [4, 30, 4],
  ]) {
    for (const disallowCorrect of [false, true]) {
      const hits = new Array<number>(40).fill(0);
      // A row of three: the middle one is the second that is drawn.
      for (let step = 0; step < 100; step++) {
        const given = drawRows(Array<number[]>(300).fill(row), table, aliases, step, disallowCorrect);
        for (let i = 1; i < given.length; i += 3) hits[given[i]]++;
      }
      const expected = probabilities(model, unigram, row[0], row[2], disallowCorrect ? row[1] : undefined);
      for (const id of Object.values(special)) assert.equal(hits[id], 0);
      assertShares(hits, expected);
    }
  }
});

/** Pearson's test, with the rarest pieces counted as one. */
function assertShares(hits: number[], shares: number[]): void {
  const total = hits.reduce((sum, count) => sum + count, 0);
  assert.ok(Math.abs(shares.reduce((sum, share) => sum + share, 0) - 1) < 1e-9);
  const ids = [...shares.keys()].sort((a, b) => shares[b] - shares[a]);
  const often = ids.filter((id) => total * shares[id] >= 20);
  const rare = ids.filter((id) => total * shares[id] < 20);
  for (const id of rare) if (shares[id] === 0) assert.equal(hits[id], 0, `id ${id} cannot come`);
  const sum = (values: number[]) => rare.reduce((all, id) => all + values[id], 0);
  const hasRare = total * sum(shares) >= 5;
  assertExpected(
    [...often.map((id) => hits[id]), ...(hasRare ? [sum(hits)] : [])],
    [...often.map((id) => total * shares[id]), ...(hasRare ? [total * sum(shares)] : [])],
  );
}

test('a context is known by all 42 bits of its code', () => {
  const model: Model = new Map([[contextName(7, 9), { counts: new Map([[8, 1000]]), weight: 1001 }]]);
  const [, , , , start, end, low, high, ...rest] = tableOf(model, 1);
  // Before it in its bucket another that differs in one bit, and holds another piece.
  for (const [bitLow, bitHigh] of [...Array(32).keys()]
    .map((bit) => [1 << bit, 0])
    .concat([...Array(10).keys()].map((bit) => [0, 1 << bit]))) {
    const other = [(low ^ bitLow) >>> 0, high ^ bitHigh, 1001, 5, 1000];
    const table = Uint32Array.of(1, 2, 2, 1, start, end + 5, ...other, low, high, ...rest);
    const given = drawRows([[7, 8, 9]], table, buildAliasTable(new Float64Array(40).fill(1)), 0, false);
    assert.equal(given[1], 8);
  }
});

test('with redraws behind it, no replacement equals the original', () => {
  const documents = makeDocuments(60, 60, 40);
  const model = countPlainly(documents, 2);
  const table = tableOf(model, 2);
  // Two ids of very different weights: a replacement from the lowest level is often the original at first.
  const weights = new Float64Array(40);
  weights.set([1000, 1], 5);
  const aliases = buildAliasTable(weights);
  new Uint8Array(memory.buffer).set(markDrawable(weights), at.drawable);
  const rows = documents.filter((ids) => ids.length >= 11).map((ids) => ids.slice(0, 11));
  const T = 11;
  let equal = 0;
  for (let step = 0; step < 20; step++) {
    const given = drawRows(rows, table, aliases, step, true);
    const isOriginal = (id: number, i: number) => {
      const row = Math.floor(i / T);
      return (i % T < T - 1 || row % 3 < 2) && id === rows[row][T - 1 - (i % T)];
    };
    equal += given.filter(isOriginal).length;
    const { low, high } = key;
    const { ids, places, counts, given: out, drawable, scratch } = at;
    const stream = streams.replacementAgain;
    kernels.redrawCorrect(
      ids,
      places,
      counts,
      out,
      at.aliases,
      drawable,
      scratch,
      0n,
      low,
      high,
      step,
      stream,
      rows.length,
      T,
      T,
      40,
    );
    const redrawn = Array.from(words.subarray(out / 4, out / 4 + given.length));
    assert.equal(redrawn.filter(isOriginal).length, 0);
    for (const [i, id] of redrawn.entries()) if (!isOriginal(given[i], i)) assert.equal(id, given[i]);
  }
  assert.ok(equal > 20, `${equal}`);
});

// The file.

test('the table is kept beside the shards; one that is damaged or of another dataset is counted anew, with a warning', async () => {
  const documents = makeDocuments(50, 40, 40);
  const dataset = await write(documents, 40);
  const expected = tableOf(countPlainly(documents, 2), 2);
  const counted: number[] = [];
  const open = (fraction = 0, of = dataset) =>
    openNgramTable(of, { ...options, validationFraction: fraction, onProgress: (done) => counted.push(done) });
  const warnings: string[] = [];
  const listen = (warning: Error) => warnings.push(warning.message);
  process.on('warning', listen);

  assert.deepEqual(await open(), expected);
  assert.deepEqual(counted.splice(0), [0, 1]);
  const file = path.join(dataset.directory, 'ngram-0.bin');
  const bytes = readFileSync(file);
  assert.deepEqual(await open(), expected);
  assert.deepEqual(counted, [], 'read, not counted');
  await verifyDataset(dataset.directory);
  rmSync(file);
  await open();
  assert.ok(readFileSync(file).equals(bytes), 'equal bytes twice');
  counted.length = 0;

  const places = [0, 9, 40, 100, bytes.length - 1];
  for (const place of places) {
    const damaged = Buffer.from(bytes);
    damaged[place] ^= 4;
    writeFileSync(file, damaged);
    assert.deepEqual(await open(), expected);
    assert.deepEqual(counted.splice(0), [0, 1], `byte ${place}`);
    assert.ok(readFileSync(file).equals(bytes), `byte ${place}`);
  }
  for (const length of [0, 96]) {
    writeFileSync(file, bytes.subarray(0, length));
    assert.deepEqual(await open(), expected);
    assert.ok(readFileSync(file).equals(bytes));
  }
  // Another fraction has a file of its own; the file of another dataset is refused.
  await open(0.25);
  assert.ok(!readFileSync(path.join(dataset.directory, 'ngram-0.25.bin')).equals(bytes));
  const other = await write(documents.slice(1), 40);
  writeFileSync(path.join(other.directory, 'ngram-0.bin'), bytes);
  assert.deepEqual(await open(0, other), tableOf(countPlainly(documents.slice(1), 2), 2));
  assert.ok(readdirSync(dataset.directory).every((name) => !name.includes('tmp')));

  await new Promise(setImmediate);
  process.off('warning', listen);
  assert.equal(warnings.length, places.length + 2 + 1);
  assert.match(
    warnings[0],
    /batch: expected bytes that have their checksum, got others \(.*ngram-0\.bin\)\. The n-grams are counted anew\./,
  );
  assert.match(warnings.at(-1)!, /expected the n-grams of this dataset, got those of another/);
});

test('where the file cannot be written, the table is counted all the same', async () => {
  const documents = makeDocuments(50, 40, 40);
  const dataset = await write(documents, 40);
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
  // A user who may write anywhere is hindered by a folder of that name alone.
  mkdirSync(path.join(dataset.directory, 'ngram-0.bin', 'x'), { recursive: true });
  assert.deepEqual(await openNgramTable(dataset, options), tableOf(countPlainly(documents, 2), 2));
  assert.match((await warned).message, /ngram-0\.bin/);
});
