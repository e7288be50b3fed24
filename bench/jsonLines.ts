/**
 * What JSON costs beside the tokenizing of the text in it: JsonLineReader, JSON.parse with TextEncoder, and
 * WordPieceEncoder.encodeLines on the same texts, in turn in one process on one thread.
 *
 *   node dist/bench/jsonLines.js TEXT VOCAB
 *
 * The lines of TEXT become records with four other fields: some lines together, about 4 kB, or each one alone; written as
 * JSON.stringify does, or with everything that is not ASCII as escapes, as Python's json.dumps does. Figures are MB (10⁶ bytes)
 * a second, medians of the rounds, and medians of each round's quotients, which other work on the machine changes less.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { compileJsonModule, JsonLineReader } from '../src/corpus/readers/jsonLines.js';
import { median } from '../src/median.js';
import { formatTable } from '../src/report/table.js';
import { compileTextModule, WordPieceEncoder } from '../src/text/encoder.js';
import { resolveSettings } from '../src/text/profile.js';
import { compileTables } from '../src/text/tables.js';
import { Vocabulary } from '../src/text/vocabulary.js';

const rounds = 15;
const documentLength = 4000;
const [textPath, vocabPath] = process.argv.slice(2);
const tables = compileTables(await Vocabulary.read(vocabPath), resolveSettings({}));
const encoder = new WordPieceEncoder(compileTextModule(), tables);
const reader = new JsonLineReader(compileJsonModule(), 'text');
const utf8 = new TextEncoder();

const lines = readFileSync(textPath, 'utf8')
  .split('\n')
  .filter((line) => line !== '');
const rows = [['records', 'number', 'JSON MB', 'reader', 'JSON.parse', 'quotient', 'encoder', 'JSON / tokens, time']];
for (const [name, texts] of [
  ['documents', joinLines(lines)],
  ['lines', lines],
] as const) {
  rows.push([name, ...measure(texts, false)], [`${name}, in ASCII`, ...measure(texts, true)]);
}
process.stdout.write(formatTable(rows));

function measure(texts: readonly string[], inAscii: boolean): string[] {
  const text = Buffer.from(texts.map((one) => `${one}\n`).join(''));
  const json = Buffer.from(texts.map((one, i) => writeRecord(one, i, inAscii) + '\n').join(''));
  assert.ok(Buffer.concat(readTexts(json).map((bytes) => Buffer.from(bytes))).equals(text));
  assert.equal(parseTexts(json), text.length);
  const times = { read: [] as number[], parse: [] as number[], encode: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    times.read.push(time(() => readTexts(json, false)));
    times.encode.push(time(() => encodeTexts(text)));
    times.parse.push(time(() => parseTexts(json)));
  }
  const perSecond = (bytes: number, ms: number[]) => (bytes / median(ms) / 1000).toFixed(0);
  const quotient = (a: number[], b: number[]) => median(a.map((ms, i) => ms / b[i]));
  return [
    String(texts.length),
    (json.length / 1e6).toFixed(1),
    perSecond(json.length, times.read),
    perSecond(json.length, times.parse),
    quotient(times.parse, times.read).toFixed(1),
    perSecond(text.length, times.encode),
    quotient(times.read, times.encode).toFixed(3),
  ];
}

function time(pass: () => unknown): number {
  const start = performance.now();
  pass();
  return performance.now() - start;
}

function readTexts(json: Uint8Array, keep = true): Uint8Array[] {
  const kept: Uint8Array[] = [];
  for (const { bytes } of reader.read(json, String, (at, { got }) => assert.fail(`${at}: ${got}`))) {
    if (keep) kept.push(bytes.slice());
  }
  return kept;
}

/** As one would without the kernel. @returns bytes of text. */
function parseTexts(json: Buffer): number {
  let bytes = 0;
  for (let start = 0; start < json.length; ) {
    const end = json.indexOf(10, start);
    bytes += utf8.encode(JSON.parse(json.toString('utf8', start, end)).text).length + 1;
    start = end + 1;
  }
  return bytes;
}

/** In the sizes that the reader gives, so that both find what they read in the same cache. */
function encodeTexts(text: Uint8Array): void {
  for (let start = 0; start < text.length; ) {
    const end = text.indexOf(10, Math.min(start + (1 << 18), text.length - 1)) + 1;
    encoder.encodeLines(text.subarray(start, end));
    start = end;
  }
}

function writeRecord(text: string, index: number, inAscii: boolean): string {
  const meta = { id: `doc-${index}`, url: `https://example.org/text/${index}.html`, score: index / 7, lang: 'en' };
  const json = JSON.stringify({ ...meta, text });
  return inAscii ? json.replace(/[^\0-\x7f]/g, escapeUnit) : json;
}

/** Without the u flag each half of a pair is met alone. */
function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function joinLines(all: string[]): string[] {
  const documents: string[] = [];
  let begin = 0;
  let length = 0;
  for (const [i, line] of all.entries()) {
    length += line.length + 1;
    if (length < documentLength && i < all.length - 1) continue;
    documents.push(all.slice(begin, i + 1).join('\n'));
    begin = i + 1;
    length = 0;
  }
  return documents;
}
