/**
 * Ids against the strings of ../shared/data/tokenizer-parity.json, which the two originals made, in one call each and all
 * in one text of many lines. The file's vocabulary is bert-base-uncased's.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Tokenizer } from '../../src/text/tokenizer.js';

interface ParityCase {
  text: string;
  why: string;
  electra: number[];
  huggingface: number[];
}

const vocab = '../shared/data/vocab-uncased.txt';
const cases: ParityCase[] = JSON.parse(readFileSync('../shared/data/tokenizer-parity.json', 'utf8'));

for (const profile of ['huggingface', 'electra'] as const) {
  test(`${profile}: every string of the parity file gives the original's ids`, async () => {
    const tokenizer = await Tokenizer.fromVocab(vocab, { profile });
    for (const { text, why, [profile]: expected } of cases) {
      assert.deepEqual([...tokenizer.encode(text)], expected, `${why}: ${JSON.stringify(text.slice(0, 200))}`);
    }
  });

  test(`${profile}: all strings as one text give the same ids, once the caches are warm too`, async () => {
    const tokenizer = await Tokenizer.fromVocab(vocab, { profile });
    const all = cases.map(({ text }) => text).join('\n');
    const expected = cases.flatMap(({ [profile]: ids }) => ids);
    for (let pass = 0; pass < 2; pass++) assert.deepEqual([...tokenizer.encode(all)], expected);
  });
}
