/**
 * What JSON costs beside the tokenizing of the text in it: JsonLineReader, JSON.parse with TextEncoder, and
 * WordPieceEncoder.encodeLines on the same texts, in turn in one process on one thread. `node dist/bench/jsonLines.js VOCAB`
 *
 * The text is the Brown corpus, 2,000 documents' worth: a record a document (12 kB) or a paragraph (0.3 kB), each with four
 * other fields; with all letters written as escapes too, as json.dumps writes what is not ASCII. Figures are MB (10⁶ bytes) of
 * JSON a second, medians of the rounds, and medians of each round's quotients, which other work on the machine changes less.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { writeBrownText } from '../examples/brown-text.js';
import { compileJsonModule, JsonLineReader } from '../src/corpus/jsonLines.js';
import { median } from '../src/median.js';
import { formatTable } from '../src/report/table.js';
import { compileTextModule, WordPieceEncoder } from '../src/text/encoder.js';
import { resolveSettings } from '../src/text/profile.js';
import { compileTables } from '../src/text/tables.js';
import { Vocabulary } from '../src/text/vocabulary.js';

const rounds = 15;
const [vocabPath] = process.argv.slice(2);
const tables = compileTables(await Vocabulary.read(vocabPath), resolveSettings({}));
const encoder = new WordPieceEncoder(compileTextModule(), tables);
const reader = new JsonLineReader(compileJsonModule(), 'text');
const utf8 = new TextEncoder();

const documents = readBrown();
const paragraphs = documents.flatMap((document) => document.split('\n\n'));
const rows = [
  ['records', 'json MB', 'text MB', 'reader', 'parse', 'reader/parse', 'encoder, text', 'reader time/encoder'],
];
for (const [name, texts, escapesAll] of [
  ['documents', documents, false],
  ['paragraphs', paragraphs, false],
  ['documents, letters as escapes', documents, true],
] as const) {
  rows.push([name, ...measure([...texts, ...texts, ...texts, ...texts], escapesAll)]);
}
process.stdout.write(formatTable(rows));

function measure(texts: string[], escapesAll: boolean): string[] {
  const text = Buffer.from(texts.map((one) => `${one}\n`).join(''));
  const json = Buffer.from(texts.map((one, i) => writeRecord(one, i, escapesAll)).join(''));
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
    (json.length / 1e6).toFixed(1),
    (text.length / 1e6).toFixed(1),
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

function writeRecord(text: string, index: number, escapesAll: boolean): string {
  const written = escapesAll
    ? `"${text.replace(/[^ ]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`
    : JSON.stringify(text);
  const meta = { id: `brown-${index}`, url: `https://example.org/brown/${index}.html`, score: index / 7, lang: 'en' };
  return `${JSON.stringify(meta).slice(0, -1)},"text":${written}}\n`;
}

function readBrown(): string[] {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-bench-'));
  try {
    return writeBrownText(folder).map((id) => readFileSync(path.join(folder, `${id}.txt`), 'utf8').trimEnd());
  } finally {
    rmSync(folder, { recursive: true });
  }
}
