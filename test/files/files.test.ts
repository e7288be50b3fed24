/** Files are whole or absent, whatever happens in between. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { makePlaceFor, publishFolder, sha256File, writeFileDurably } from '../../src/files.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-files-'));
after(() => rmSync(folder, { recursive: true }));

test('a file is replaced as a whole and nothing stays beside it', async () => {
  const file = path.join(folder, 'a.bin');
  writeFileSync(file, 'old');
  await writeFileDurably(file, [Uint8Array.of(1, 2), Uint8Array.of(3)]);
  assert.deepEqual([...readFileSync(file)], [1, 2, 3]);
  assert.deepEqual(readdirSync(folder), ['a.bin']);
});

test('a write that fails leaves the old file as it was', async () => {
  const file = path.join(folder, 'b.txt');
  writeFileSync(file, 'old');
  function* broken(): Generator<Uint8Array> {
    yield Uint8Array.of(1);
    throw new Error('no more');
  }
  await assert.rejects(writeFileDurably(file, broken()), /no more/);
  assert.equal(readFileSync(file, 'utf8'), 'old');
  assert.deepEqual(readdirSync(folder).sort(), ['a.bin', 'b.txt']);
});

test('a place that cannot be written is told from a bug, before the work where that is asked for', async () => {
  const file = path.join(folder, 'b.txt');
  const cases: [string, RegExp][] = [
    [path.join(folder, 'absent', 'c.txt'), /^write: expected a place that may be written, got no such folder \(/],
    [path.join(file, 'c.txt'), /got a file where a folder should be/],
  ];
  for (const [wrong, message] of cases) await assert.rejects(writeFileDurably(wrong, 'x'), { message });
  const inner = path.join(folder, 'new', 'inner');
  await makePlaceFor(path.join(inner, 'c.txt'));
  await writeFileDurably(path.join(inner, 'c.txt'), 'x');
  await makePlaceFor(path.join(inner, 'c.txt'));
  await assert.rejects(makePlaceFor(inner), { message: /got a folder of that name/ });
  await assert.rejects(makePlaceFor(path.join(file, 'c.txt')), { message: /where a folder should be/ });
  assert.equal(readFileSync(path.join(inner, 'c.txt'), 'utf8'), 'x');
  rmSync(path.join(folder, 'new'), { recursive: true });
});

test('a folder is published with all that is in it, and never over another', async () => {
  const temporary = path.join(folder, 'made');
  mkdirSync(path.join(temporary, 'inner'), { recursive: true });
  writeFileSync(path.join(temporary, 'inner', 'file'), 'x');
  await publishFolder(temporary, path.join(folder, 'final'));
  assert.equal(readFileSync(path.join(folder, 'final', 'inner', 'file'), 'utf8'), 'x');
  assert.equal(existsSync(temporary), false);

  mkdirSync(temporary);
  await assert.rejects(publishFolder(temporary, path.join(folder, 'final')), /ENOTEMPTY|EEXIST/);
  assert.equal(readFileSync(path.join(folder, 'final', 'inner', 'file'), 'utf8'), 'x');
});

test('sha256File equals the hash of the whole content', async () => {
  const file = path.join(folder, 'big');
  const bytes = new Uint8Array(3_000_001).map((_, i) => i * 7);
  writeFileSync(file, bytes);
  assert.equal(await sha256File(file), createHash('sha256').update(bytes).digest('hex'));
});
