/**
 * A corpus whose ids can be known without our tokenizer: every word is a piece of its own or no piece at all, and words
 * stand between white space. The oracle splits strings by JavaScript's rules.
 */
import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { tableFromIPC } from 'apache-arrow';
import { type Manifest, manifestFile, parseManifest } from '../../src/dataset/manifest.js';
import type { Documents } from '../dataset/synthetic.js';

export const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
export const words = [
  'alpha',
  'beta',
  'gamma',
  'delta',
  'ø',
  '中',
  'w',
  ...Array.from({ length: 300 }, (_, i) => `word${i}`),
];
export const pieces = [...special, ...words];
export const vocabularyText = `${pieces.join('\n')}\n`;

export type Rule = Manifest['settings']['documents'];

/** What `prepare` must make of one file's text. */
export function expectDocuments(text: string, rule: Rule): Documents {
  const lines = text.split('\n').map((line) => [...line.matchAll(/\S+/g)].map(([word]) => idOf(word)));
  if (rule === 'line') return lines.filter((line) => line.length > 0).map((line) => [line]);
  const documents: Documents = [[]];
  for (const line of lines) {
    if (line.length > 0) documents[documents.length - 1].push(line);
    else if (rule === 'blank-line') documents.push([]);
  }
  return documents.filter((document) => document.length > 0);
}

function idOf(word: string): number {
  const id = pieces.indexOf(word.toLowerCase());
  return id < 0 ? 1 : id;
}

/** Equal, or the first document that is not: a whole corpus in a message helps nobody. */
export function assertDocuments(actual: Documents, expected: Documents, message: string): void {
  const wrong = expected.findIndex((document, i) => JSON.stringify(document) !== JSON.stringify(actual[i]));
  if (wrong >= 0) assert.deepEqual(actual[wrong], expected[wrong], `document ${wrong}, ${message}`);
  assert.equal(actual.length, expected.length, message);
}

/** The documents of a prepared dataset, read by Apache Arrow. */
export function readDocuments(directory: string): Documents {
  const file = path.join(directory, manifestFile);
  const manifest = parseManifest(readFileSync(file, 'utf8'), file);
  const documents: Documents = [];
  for (const shard of manifest.shards) {
    for (const row of tableFromIPC(readFileSync(path.join(directory, shard.file)))) {
      const ids = [...row.input_ids] as number[];
      const ends = [...row.line_ends] as number[];
      documents.push(ends.map((end, i) => ids.slice(i === 0 ? 0 : ends[i - 1], end)));
    }
  }
  return documents;
}

/** Lines of one to nine words, now and then a blank one, until `bytes` are written: the same text for the same seed. */
export function writeText(file: string, bytes: number, seed: number): void {
  let state = seed;
  const next = (n: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const handle = openSync(file, 'w');
  for (let written = 0; written < bytes; ) {
    let chunk = '';
    while (chunk.length < 1 << 16) {
      const line = Array.from({ length: 1 + next(9) }, () => words[next(words.length)]);
      chunk += next(8) === 0 ? '\n' : `${line.join(' ')}${next(50) === 0 ? ' unknownword' : ''}\n`;
    }
    written += writeSync(handle, chunk);
  }
  closeSync(handle);
}
