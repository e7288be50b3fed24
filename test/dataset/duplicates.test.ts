/** Duplicates by partitions on the disk against a set of strings. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { findDuplicates } from '../../src/dataset/duplicates.js';
import { randomInts } from '../random.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-duplicates-'));
after(() => rmSync(folder, { recursive: true }));
const temporary = path.join(folder, 'partitions.tmp');

/** Hashes of documents, drawn with repetition from `kinds` different ones; every third is the same where `isSkewed`. */
function drawHashes(documents: number, kinds: number, seed: number, isSkewed = false): Buffer {
  const words = randomInts(4 * kinds, seed, 2 ** 32);
  const hashes = new Int32Array(4 * documents);
  randomInts(documents, seed + 1, kinds).forEach((kind, i) => {
    const from = 4 * (isSkewed && i % 3 === 0 ? 0 : kind);
    hashes.set(words.subarray(from, from + 4), 4 * i);
  });
  return Buffer.from(hashes.buffer);
}

/** documents, different ones, hashes a partition, files, skewed */
const cases: [number, number, number, number, boolean][] = [
  [0, 1, 16, 2, false],
  [1, 1, 16, 3, false],
  [1000, 1, 16, 3, false],
  [1000, 400, 7, 1, false],
  [1000, 1_000_000, 1000, 5, false],
  // Several chunks for each of four partitions.
  [40_000, 20_000, 10_000, 2, false],
  // One partition is far larger than the others.
  [40_000, 30_000, 2_000, 3, true],
  // The table grows.
  [140_000, 200_000, 1 << 21, 1, false],
];
for (const [documents, kinds, partitionHashes, count, isSkewed] of cases) {
  const partitions = Math.ceil(documents / partitionHashes);
  test(`${documents} documents of ${kinds} kinds in ${count} files and ${partitions} partitions`, async () => {
    const hashes = drawHashes(documents, kinds, documents + kinds, isSkewed);
    const cuts = [...randomInts(count - 1, 5, documents + 1)].sort((a, b) => a - b);
    const files = Array.from({ length: count }, (_, i) => {
      const [start, end] = [cuts[i - 1] ?? 0, cuts[i] ?? documents];
      const file = path.join(folder, `${i}.hashes`);
      writeFileSync(file, hashes.subarray(16 * start, 16 * end));
      return { file, documents: end - start };
    });
    const marks = await findDuplicates(files, { temporary, partitionHashes });
    const seen = new Set<string>();
    let duplicates = 0;
    for (let i = 0; i < documents; i++) {
      const hash = hashes.toString('hex', 16 * i, 16 * i + 16);
      assert.equal(marks.has(i), seen.has(hash), `document ${i}`);
      if (seen.has(hash)) duplicates++;
      seen.add(hash);
    }
    assert.equal(marks.count, duplicates);
    assert.ok(!readdirSync(folder).includes(path.basename(temporary)));
  });
}

test('a file with other than 16 bytes a document is refused, and nothing is left', async () => {
  const file = path.join(folder, '0.hashes');
  writeFileSync(file, Buffer.alloc(47));
  await assert.rejects(findDuplicates([{ file, documents: 3 }], { temporary }), /expected 48 bytes, got 47 \(/);
  assert.ok(!readdirSync(folder).includes(path.basename(temporary)));
});
