/** docs/randomness.md is enough to draw the same only if what it says is so: its list of streams, and its example. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { type Batch, openLoader } from '../../src/batching/loader.js';
import { keyedPermutation, permute } from '../../src/random/permutation.js';
import { drawWord, integerOfWord, keyOfSeed, uniformOfWord } from '../../src/random/philox.js';
import { streams } from '../../src/random/streams.js';
import { writeSyntheticDataset } from '../dataset/synthetic.js';

const text = readFileSync(new URL('../../../docs/randomness.md', import.meta.url), 'utf8');
const example = text.slice(text.indexOf('## An example')).split('\n');
const scratch = mkdtempSync(path.join(os.tmpdir(), 'galvani-randomness-'));
after(() => rmSync(scratch, { recursive: true }));

const seed = 4886718345;
const key = keyOfSeed(seed);
const hex = (word: number) => `0x${word.toString(16).padStart(8, '0')}`;

/** What stands behind a name in the page's example. */
function stated(name: string): string[] {
  const line = example.find((line) => line.startsWith(`${name}  `));
  assert.ok(line, name);
  return line.slice(name.length).trim().split(' ');
}

test('every stream stands in the table, under its number', () => {
  const rows = [...text.matchAll(/^\| `(\w+)` \| (\d+)/gm)].map(([, name, number]) => [name, Number(number)]);
  assert.deepEqual(Object.fromEntries(rows), streams);
});

test('the words, integers and floats of the example are those that are drawn', () => {
  const words = Array.from({ length: 8 }, (_, index) => drawWord(key, streams.masks, 7, index));
  assert.deepEqual(stated('key'), [hex(key.low), hex(key.high)]);
  assert.deepEqual(stated('stream masks, step 7, index 0 … 7'), words.map(hex));
  assert.deepEqual(
    stated('integers in [0, 126) of these').map(Number),
    words.map((word) => integerOfWord(word, 126)),
  );
  assert.deepEqual(stated('floats of these').map(Number), words.map(uniformOfWord));
});

test('the permutation of the example is the one that is made, and the page’s recipe makes it too', () => {
  const permutation = keyedPermutation(10, key, streams.exampleOrder, 0);
  const images = stated('permutation of [0, 10) with these').map(Number);
  assert.deepEqual(stated('keys of exampleOrder, epoch 0, window 0'), Array.from(permutation.roundKeys, hex));
  assert.deepEqual(
    images,
    Array.from({ length: 10 }, (_, i) => permute(permutation, i)),
  );
  assert.deepEqual(
    images,
    Array.from({ length: 10 }, (_, i) => permuteByThePage(i, 10, [...permutation.roundKeys])),
  );
});

/** As the page has it, in integers of any size. */
function permuteByThePage(index: number, n: number, keys: number[]): number {
  const a = BigInt(Math.ceil(Math.sqrt(n)));
  const b = (BigInt(n) + a - 1n) / a;
  const mix = (w: bigint) => {
    w ^= w >> 16n;
    w = (w * 0x85ebca6bn) % 2n ** 32n;
    w ^= w >> 13n;
    w = (w * 0xc2b2ae35n) % 2n ** 32n;
    return w ^ (w >> 16n);
  };
  let x = BigInt(index);
  do {
    let [left, right] = [x % a, x / a];
    for (const [round, key] of keys.entries()) {
      const m = round % 2 === 0 ? a : b;
      [left, right] = [right, (left + ((mix(right ^ BigInt(key)) * m) >> 32n)) % m];
    }
    x = left + a * right;
  } while (x >= BigInt(n));
  return Number(x);
}

test('the rows and masked places of the example are those of batches as the loader makes them', async () => {
  const data = path.join(scratch, 'data');
  const documents = Array.from({ length: 10 }, (_, number) => [Array<number>(18).fill(10 + number)]);
  await writeSyntheticDataset(data, documents);
  const readBatch = async <T>(startStep: number, read: (batch: Batch) => T): Promise<T> => {
    const loader = await openLoader({ data, batchSize: 10, sequenceLength: 32, seed, startStep });
    try {
      return read((await loader.next())!);
    } finally {
      await loader.close();
    }
  };
  const firstIds = await readBatch(0, ({ ids }) => Array.from({ length: 10 }, (_, row) => ids[32 * row + 1] - 10));
  assert.deepEqual(stated('documents of the rows of step 0').map(Number), firstIds);

  const { places, shown } = await readBatch(7, (batch) => {
    const at = 5 * batch.N;
    assert.deepEqual([batch.N, batch.lengths[5], batch.counts[5]], [4, 20, 3]);
    const places = Array.from(batch.places.subarray(at, at + 3));
    return { places, shown: places.filter((_, j) => batch.seen[at + j] === 4) };
  });
  assert.deepEqual(stated('masked places of row 5 at step 7').map(Number), places);
  assert.deepEqual(stated('those seen as [MASK]').map(Number), shown);
});
