/** Documents hash as the reference implementation does: known answers of MurmurHash3_x86_128, and Python's mmh3 on any ids. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import type { TokenIds } from '../../src/dataset/block.js';
import { hashIds } from '../../src/dataset/hash.js';
import { HashesWriter, hashesFileOf } from '../../src/dataset/hashes.js';
import { needPython } from '../python.js';
import { randomInts } from '../random.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-hash-'));
after(() => rmSync(folder, { recursive: true }));

function hex(ids: TokenIds, start = 0, end = ids.length): string {
  const words = new Uint32Array(4);
  hashIds(ids, start, end, words, 0);
  return Buffer.from(words.buffer).toString('hex');
}

/** As mmh3 5.3.1 has them, which gives SMHasher's verification value of MurmurHash3_x86_128, 0xb3ece62a. */
const knownAnswers: [number[], string][] = [
  [[], '00000000000000000000000000000000'],
  [[1], 'ca200fcfb1709c51b1709c51b1709c51'],
  [[1, 2], '4857e8405e1e32a4564eee7f564eee7f'],
  [[1, 2, 3], '167204856f16aa702fe68573fbed0492'],
  [[1, 2, 3, 4], '17eed6379d424a3d179cbb3d1db8645b'],
  [[1, 2, 3, 4, 5], '0787ca0dedc72819f9ef9752b7058ed5'],
  [[0xffffffff, 0x80000000, 0x7fffffff], '84bcbd5f1828086e56340f41cc3f9d30'],
];

test('known answers, wherever the ids lie in the array', () => {
  for (const [ids, answer] of knownAnswers) {
    assert.equal(hex(Uint32Array.from(ids)), answer);
    const padded = Uint32Array.from([9, 8, 7, ...ids, 6, 5]);
    assert.equal(hex(padded, 3, 3 + ids.length), answer);
  }
});

test('ids of 16 bits are hashed as the bytes that they are, from any place', () => {
  const ids = Uint16Array.from(randomInts(1000, 1, 65536));
  for (let n = 0; n < 40; n += 2) {
    const words = new Uint32Array(ids.slice(n, 3 * n).buffer);
    assert.equal(hex(ids, n, 3 * n), hex(words));
  }
});

const { python, skip } = needPython('mmh3');
test('mmh3 hashes any ids to the same bytes', { skip }, () => {
  const script = `
import json, mmh3, struct, sys
for i, ids in enumerate(json.load(sys.stdin)):
    print(mmh3.hash_bytes(struct.pack('<%d%s' % (len(ids), 'HI'[i % 2]), *ids), 0, x64arch=False).hex())`;
  const documents = Array.from({ length: 300 }, (_, i) =>
    Array.from(randomInts(i, i, i % 2 === 0 ? 65_536 : 2 ** 32 - 1), (id) => id >>> 0),
  );
  const input = JSON.stringify(documents);
  const stdout = execFileSync(python, ['-c', script], { encoding: 'utf8', input });
  assert.deepEqual(
    stdout.trim().split('\n'),
    documents.map((ids, i) => hex(i % 2 === 0 ? Uint16Array.from(ids) : Uint32Array.from(ids))),
  );
});

test('a file of hashes holds 16 bytes a document in order, over any batches, and gives its SHA-256', async () => {
  const file = path.join(folder, hashesFileOf('shard-00012.arrow'));
  assert.equal(path.basename(file), 'shard-00012.hashes');
  const writer = await HashesWriter.create(file);
  const expected: string[] = [];
  for (const documents of [3, 0, 9000, 4096]) {
    const ids = Uint16Array.from(randomInts(3 * documents, documents, 50_000));
    const offsets = Int32Array.from(
      { length: documents + 1 },
      (_, i) => 3 * i - (i % 2 === 1 && i < documents ? 1 : 0),
    );
    await writer.write(ids, offsets);
    for (let i = 0; i < documents; i++) expected.push(hex(ids, offsets[i], offsets[i + 1]));
  }
  const { sum, synced } = writer.close();
  await synced;
  const bytes = readFileSync(file);
  assert.equal(bytes.toString('hex'), expected.join(''));
  assert.equal(sum, createHash('sha256').update(bytes).digest('hex'));
  await assert.rejects(HashesWriter.create(file), /EEXIST/);
});
