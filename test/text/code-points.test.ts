/**
 * Every code point, in every place of a word: words as the exact path splits them, and ids as the fast path gives them.
 * All 1,112,064 stand between two letters. In the other places it is those of the first blocks and a share of the others, or
 * all where GALVANI_STRINGS is a million or more.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import {
  allSettings,
  askElectra,
  electraOracleMissing,
  equalIds,
  isExhaustive,
  makeEncoder,
  makeHuggingfaceEncoder,
  makeHuggingfaceSplitter,
  makeLetterVocabulary,
  nameOf,
  splitWords,
} from './oracles.js';

const skipElectra = electraOracleMissing();
const isSurrogate = (code: number) => code >= 0xd800 && code <= 0xdfff;
const allCodes = Array.from({ length: 0x110000 }, (_, code) => code).filter((code) => !isSurrogate(code));

/** Alone, before and after a mark, at both ends of a word, among marks that stay, around a sigma, a special token, an ideograph. */
const forms = [
  ...['{}', '{}\u0301', '{}b', 'A{}', 'a{}b'],
  ...['a{}\u302eb', 'a\u302e{}b', 'a\u{16ff0}{}\u{1d165}\u0315'],
  ...['{}Σ', 'Α{}Σ', 'ΑΣ{}', 'ΑΣ{}Α'],
  ...['[MASK]{}', '{}[SEP]', '[{}', '中{}中', '\u0416\u0416\u0416\u0416{}\u0416\u0416\u0416\u0416'],
];
const strideOf = (code: number) => (code < 0x3100 ? 1 : code < 0x10000 ? 29 : code < 0x20000 ? 31 : 397);
const codes = isExhaustive ? allCodes : allCodes.filter((code) => code % strideOf(code) === 0);

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-code-points-'));
after(() => rmSync(folder, { recursive: true }));
const letters = makeLetterVocabulary();
const vocab = path.join(folder, 'vocab.txt');
writeFileSync(vocab, letters.bytes);

function blocksOf(codePoints: number[], size: number): number[][] {
  const count = Math.ceil(codePoints.length / size);
  return Array.from({ length: count }, (_, block) => codePoints.slice(block * size, (block + 1) * size));
}

const fill = (form: string, code: number) => form.replace('{}', String.fromCodePoint(code));
const nameOfBlock = (block: number[]) => `code points from U+${block[0].toString(16)}`;

for (const settings of allSettings.filter(({ profile }) => profile === 'huggingface')) {
  test(`every code point as a<c>b splits as in tokenizers (${nameOf(settings)})`, () => {
    const encoder = makeEncoder(settings);
    const reference = makeHuggingfaceSplitter(settings);
    for (const block of blocksOf(allCodes, 256)) {
      const text = block.map((code) => fill('a{}b', code)).join(' , ');
      assert.equal(splitWords(encoder, text), reference(text), nameOfBlock(block));
    }
  });

  test(`code points in every place of a word give tokenizers' ids (${nameOf(settings)})`, async () => {
    const encoder = makeEncoder(settings, letters);
    const reference = makeHuggingfaceEncoder(settings, letters);
    for (const block of blocksOf(codes, 4096)) {
      const texts = block.map((code) => forms.map((form) => fill(form, code)).join('\n'));
      const expected = await reference(texts);
      texts.forEach((text, i) => {
        const ids = encoder.encodeString(text);
        if (!equalIds(ids, expected[i])) {
          assert.deepEqual([...ids], expected[i], `U+${block[i].toString(16)}: ${JSON.stringify(text)}`);
        }
      });
    }
  });
}

for (const settings of allSettings.filter(({ profile }) => profile === 'electra')) {
  test(`every code point as a<c>b splits as in Python (${nameOf(settings)})`, { skip: skipElectra }, () => {
    const encoder = makeEncoder(settings);
    const expected = askElectra<string[]>({ codes: allCodes, forms: ['a{}b'], blockSize: 4096, ...settings });
    blocksOf(allCodes, 4096).forEach((block, i) => {
      const hash = createHash('sha256');
      for (const code of block) hash.update(`${splitWords(encoder, fill('a{}b', code))}\n`);
      assert.equal(hash.digest('hex'), expected[i], nameOfBlock(block));
    });
  });

  test(`code points in every place of a word give Python's ids (${nameOf(settings)})`, { skip: skipElectra }, () => {
    const encoder = makeEncoder(settings, letters);
    const expected = askElectra<string[]>({ codes, forms, blockSize: 64, vocab, ...settings });
    blocksOf(codes, 64).forEach((block, i) => {
      const hash = createHash('sha256');
      for (const code of block) {
        for (const form of forms) hash.update(`${encoder.encodeString(fill(form, code)).join(' ')}\n`);
      }
      assert.equal(hash.digest('hex'), expected[i], nameOfBlock(block));
    });
  });
}
