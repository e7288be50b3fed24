/** prepare's reader: ranges cut a file anywhere, and each line is read once, whole, by the range that it begins in. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { planTasks, type Range } from '../../src/corpus/ranges.js';
import { LineReader } from '../../src/corpus/readers/lines.js';
import { drawWord, integerOfWord, keyOfSeed } from '../../src/random/philox.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-lines-'));
after(() => rmSync(folder, { recursive: true }));
const key = keyOfSeed(81);

/** Bytes of few kinds, so that cuts fall inside CRLF, characters, special tokens, and empty lines. */
function randomFile(n: number): Buffer {
  const kinds = Buffer.from('\n\n\r\n[MASK]é中𠀀 a\xff', 'utf8');
  const length = integerOfWord(drawWord(key, 0, n, 0), 200);
  return Buffer.from(Array.from({ length }, (_, i) => kinds[integerOfWord(drawWord(key, 0, n, i + 1), kinds.length)]));
}

function* randomRanges(file: string, fileBytes: number, n: number): Generator<Range> {
  for (let offset = 0, i = 0; offset < fileBytes; i++) {
    const length = Math.min(1 + integerOfWord(drawWord(key, 1, n, i), 40), fileBytes - offset);
    yield { path: file, name: 'lines.txt', format: 'text', offset, length, fileBytes, modified: 0 };
    offset += length;
  }
}

test('the lines of all ranges are the file, for ranges of any size', () => {
  const reader = new LineReader();
  const file = path.join(folder, 'lines.txt');
  for (let n = 0; n < 200; n++) {
    const bytes = randomFile(n);
    writeFileSync(file, bytes);
    const plans = [1, 2, 3, 7, 64, 4 << 20].map((size) =>
      [
        ...planTasks([{ path: file, name: 'lines.txt', bytes: bytes.length, modified: 0, format: 'text' }], size),
      ].flat(),
    );
    for (const ranges of [...plans, [...randomRanges(file, bytes.length, n)]]) {
      const read = ranges.map((range) => Buffer.from(reader.read(range).bytes));
      assert.ok(Buffer.concat(read).equals(bytes), bytes.toString('hex'));
      ranges.forEach(({ offset, length }, i) => {
        const begin = Buffer.concat(read.slice(0, i)).length;
        if (read[i].length === 0) return;
        assert.ok(begin >= offset && begin < offset + length, 'a line of another range');
        assert.ok(begin === 0 || bytes[begin - 1] === 0x0a, 'not the begin of a line');
        assert.ok(begin + read[i].length === bytes.length || read[i].at(-1) === 0x0a, 'not the end of a line');
      });
    }
  }
});
