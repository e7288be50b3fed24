/**
 * Random strings in all settings: ids against the originals, by every way that text takes through the encoder.
 * 4,000 strings for each setting and vocabulary, or as many as GALVANI_STRINGS says; the n-th string is the same in all.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import {
  allSettings,
  electraOracleMissing,
  equalIds,
  makeEncoder,
  makeLetterVocabulary,
  makeReference,
  nameOf,
  stringCount,
  vocabPath,
  vocabulary,
} from './oracles.js';
import { randomText } from './random-text.js';

const seed = 61;
const batchSize = 20_000;
const skipElectra = electraOracleMissing();

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-strings-'));
after(() => rmSync(folder, { recursive: true }));

const letters = makeLetterVocabulary();
const lettersPath = path.join(folder, 'vocab.txt');
writeFileSync(lettersPath, letters.bytes);
const vocabularies = [
  { name: 'BERT’s pieces', pieces: vocabulary, file: vocabPath },
  { name: 'BERT’s pieces and all letters', pieces: letters, file: lettersPath },
];

for (const settings of allSettings) {
  for (const { name, pieces, file } of vocabularies) {
    test(`random strings give the original's ids (${nameOf(settings)}; ${name})`, {
      skip: settings.profile === 'electra' && skipElectra,
    }, async () => {
      const reference = makeReference(settings, pieces, file);
      const encoder = makeEncoder(settings, pieces);
      for (let first = 0; first < stringCount; first += batchSize) {
        const size = Math.min(batchSize, stringCount - first);
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
