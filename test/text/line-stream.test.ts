/** A line in, a line out, however the stream is cut, and without waiting for ends of lines. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawWord, integerOfWord, keyOfSeed } from '../../src/random/philox.js';
import { type LineFormat, tokenizeLines } from '../../src/text/line-stream.js';
import { Tokenizer } from '../../src/text/tokenizer.js';
import { vocabulary } from './oracles.js';
import { randomText } from './random-text.js';

const tokenizer = await Tokenizer.fromVocab(vocabulary);

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

async function read(chunks: AsyncIterable<Uint8Array>, format: LineFormat): Promise<string> {
  const out: Uint8Array[] = [];
  for await (const lines of tokenizeLines(chunks, tokenizer, format, 'test')) out.push(lines);
  return Buffer.concat(out).toString();
}

/** What the tokenizer says of each line, joined by hand. */
function expectedLines(text: string, tokens: boolean): string {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  const name = (id: number) => (tokens ? tokenizer.idToToken(id) : `${id}`);
  return lines.map((line) => `${[...tokenizer.encode(line)].map(name).join(' ')}\n`).join('');
}

const texts = [
  '',
  '\n',
  '\n\n a',
  'a\n ',
  'a \n',
  'a\r\nb\r\n\r\nc',
  '  Hello,\tworld [MASK] \n\n naïve café 中文 unaffable\nx\u2028y',
  ...Array.from({ length: 40 }, (_, n) => randomText(41, n)),
];

test('lines of ids and of pieces are those of each line alone, for every size of chunk', async () => {
  for (const text of texts) {
    const bytes = Buffer.from(text);
    for (const tokens of [false, true]) {
      const expected = expectedLines(text, tokens);
      for (const size of [1, 2, 3, 5, 7, 16, 64, bytes.length + 1]) {
        assert.equal(await read(chunksOf(bytes, size), { tokens }), expected, JSON.stringify({ text, size }));
      }
    }
  }
});

test('JSON lines are arrays of ids or pieces for every size of chunk', async () => {
  const bytes = Buffer.from(texts.map((text) => JSON.stringify(text)).join('\n'));
  for (const tokens of [false, true]) {
    const expected = texts.map((text) => {
      const ids = [...tokenizer.encode(text)];
      return JSON.stringify(tokens ? ids.map((id) => tokenizer.idToToken(id)) : ids);
    });
    for (const size of [1, 5, 64, bytes.length]) {
      assert.equal(await read(chunksOf(bytes, size), { tokens, jsonl: true }), `${expected.join('\n')}\n`);
    }
  }
});

const key = keyOfSeed(43);

/** Texts, some of them with other bytes put in, so that much of them is no UTF-8. */
function randomBytes(n: number): Buffer {
  let index = 0;
  const draw = (bound: number) => integerOfWord(drawWord(key, 0, n, index++), bound);
  const lines = Array.from({ length: 12 }, (_, i) => randomText(44, 12 * n + i));
  const bytes = Buffer.from(lines.join(['\n', '\r\n', '\n\n', ' '][n % 4]));
  if (n % 2) for (let left = 1 + draw(12); left > 0 && bytes.length > 0; left--) bytes[draw(bytes.length)] = draw(256);
  return bytes;
}

async function* randomChunks(bytes: Uint8Array, n: number): AsyncGenerator<Uint8Array> {
  for (let start = 0, i = 0; start < bytes.length; i++) {
    const end = start + integerOfWord(drawWord(key, 1, n, i), 20);
    yield bytes.subarray(start, end);
    start = end;
  }
}

for (const profile of ['huggingface', 'electra'] as const) {
  test(`any bytes cut anywhere give the ids of each line as it stands (${profile})`, async () => {
    const tokenizer = await Tokenizer.fromVocab(vocabulary, { profile });
    const readIds = async (chunks: AsyncIterable<Uint8Array>) => {
      const out: Uint8Array[] = [];
      for await (const lines of tokenizeLines(chunks, tokenizer, {}, 'test')) out.push(lines);
      return Buffer.concat(out).toString();
    };
    for (let n = 0; n < 40; n++) {
      const bytes = randomBytes(n);
      const expected: string[] = [];
      for (let start = 0; start < bytes.length; ) {
        const end = bytes.indexOf(0x0a, start) < 0 ? bytes.length : bytes.indexOf(0x0a, start);
        expected.push(`${tokenizer.encode(bytes.subarray(start, end)).join(' ')}\n`);
        start = end + 1;
      }
      for (const size of [1, 2, 3, 7, 64]) {
        assert.equal(await readIds(chunksOf(bytes, size)), expected.join(''), `${size}: ${bytes.toString('hex')}`);
      }
      assert.equal(await readIds(randomChunks(bytes, n)), expected.join(''), bytes.toString('hex'));
    }
  });
}

test('a line that never ends passes in pieces: its tokens are given out while it comes', async () => {
  const chunk = Buffer.from('so it goes and '.repeat(4000));
  const given = { chunks: 0 };
  async function* endless() {
    for (;;) {
      given.chunks++;
      yield chunk;
    }
  }
  let bytes = 0;
  for await (const part of tokenizeLines(endless(), tokenizer, { tokens: true }, 'test')) {
    assert.ok(!part.includes(0x0a));
    bytes += part.length;
    if (bytes > 10 * chunk.length) break;
  }
  assert.ok(given.chunks <= 12, `${given.chunks} chunks held`);
});
