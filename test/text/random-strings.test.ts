/**
 * Random strings in all settings: ids against the originals, by every way that text takes through the encoder.
 * 4,000 strings for each setting and vocabulary, or as many as GALVANI_STRINGS says; the n-th string is the same in all.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import type { TokenizerSettings } from '../../src/text/profile.js';
import type { Vocabulary } from '../../src/text/vocabulary.js';
import {
  allSettings,
  awaitElectra,
  electraOracleMissing,
  makeEncoder,
  makeHuggingfaceEncoder,
  makeLetterVocabulary,
  nameOf,
  vocabulary,
} from './oracles.js';
import { randomText } from './random-text.js';

const seed = 61;
const count = Number(process.env.GALVANI_STRINGS ?? 4_000);
const batchSize = 20_000;
const skipElectra = electraOracleMissing();

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-strings-'));
after(() => rmSync(folder, { recursive: true }));

const vocabularies = { 'BERT’s pieces': vocabulary, 'BERT’s pieces and all letters': makeLetterVocabulary() };

/** What gives the original's ids of many texts. */
function makeReference(settings: TokenizerSettings, pieces: Vocabulary): (texts: string[]) => Promise<number[][]> {
  if (settings.profile === 'huggingface') return makeHuggingfaceEncoder(settings, pieces);
  const vocab = path.join(folder, `${pieces.size}.txt`);
  writeFileSync(vocab, pieces.bytes);
  return (texts) => awaitElectra({ texts, vocab, ...settings });
}

for (const settings of allSettings) {
  for (const [name, pieces] of Object.entries(vocabularies)) {
    test(`random strings give the original's ids (${nameOf(settings)}; ${name})`, {
      skip: settings.profile === 'electra' && skipElectra,
    }, async () => {
      const reference = makeReference(settings, pieces);
      const encoder = makeEncoder(settings, pieces);
      for (let first = 0; first < count; first += batchSize) {
        const size = Math.min(batchSize, count - first);
        const texts = Array.from({ length: size }, (_, n) => randomText(seed, first + n));
        const expected = await reference(texts);
        const isSame = (ids: Uint32Array, n: number, way: string) => {
          if (!equalIds(ids, expected[n])) {
            assert.deepEqual([...ids], expected[n], `string ${first + n} ${way}: ${JSON.stringify(texts[n])}`);
          }
        };
        texts.forEach((text, n) => {
          isSame(encoder.encodeString(text), n, 'alone');
          isSame(encoder.encodeWithOffsets(Buffer.from(text)).ids, n, 'with offsets');
        });
        // All of them as one text, at whatever place in blocks, chunks and windows each comes to lie.
        const all = encoder.encodeBytes(Buffer.from(texts.join('\n')));
        let start = 0;
        for (let n = 0; n < size; n++) {
          isSame(all.subarray(start, start + expected[n].length), n, 'among the others');
          start += expected[n].length;
        }
        assert.equal(all.length, start);
      }
    });
  }
}

function equalIds(ids: Uint32Array, expected: number[]): boolean {
  return ids.length === expected.length && expected.every((id, i) => id === ids[i]);
}
