/**
 * Exactness beyond the fixture: the fixture at every alignment, marks that stay, invalid bytes. Words are
 * compared as well as ids, since a vocabulary hides most differences behind [UNK]. More: code-points,
 * random-strings, borders.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { allSettings, askElectra, electraOracleMissing, makeEncoder, nameOf, splitWords, wordsOf } from './oracles.js';
import { randomText } from './random-text.js';

const skipElectra = electraOracleMissing();

for (const settings of allSettings) {
  const isElectra = settings.profile === 'electra';

  test(`random strings give the original's words (${nameOf(settings)})`, { skip: isElectra && skipElectra }, () => {
    const texts = Array.from({ length: 5_000 }, (_, n) => randomText(1, n));
    const encoder = makeEncoder(settings);
    const words = wordsOf(settings, texts);
    texts.forEach((text, n) => {
      assert.equal(splitWords(encoder, text), words[n], JSON.stringify(text));
    });
  });
}

for (const settings of allSettings.filter(({ stripAccents }) => stripAccents)) {
  const isElectra = settings.profile === 'electra';

  test(`marks that stay are put in canonical order, marks of class 0 between them too (${nameOf(settings)})`, {
    skip: isElectra && skipElectra,
  }, () => {
    const parts = ['a', '\u302e', '\u{1d165}', '\u{16ff0}', '\u034f', '\ufe0f', '\u0301', '\u08d0', '\u{1d16d}'];
    const texts = parts.flatMap((a) =>
      parts.flatMap((b) => parts.flatMap((c) => parts.map((d) => `x${a}${b}${c}${d}`))),
    );
    const encoder = makeEncoder(settings);
    const words = wordsOf(settings, texts);
    texts.forEach((text, n) => {
      assert.equal(splitWords(encoder, text), words[n], JSON.stringify(text));
    });
  });
}

/** The fixture's strings, each moved to every place in a block of 64 bytes. */
for (const profile of ['huggingface', 'electra'] as const) {
  test(`a string gives the same ids wherever it begins in a block (${profile})`, () => {
    const cases: { text: string; huggingface: number[]; electra: number[] }[] = JSON.parse(
      readFileSync('../shared/data/tokenizer-parity.json', 'utf8'),
    );
    const encoder = makeEncoder({ profile, lowercase: true, stripAccents: true });
    const x = 1060; // the id of "x"
    for (const { text, [profile]: expected } of cases.filter((_, i) => i < 200 || i % 10 === 0)) {
      for (let shift = 0; shift < 64; shift++) {
        const lead = ' '.repeat(shift & 1) + 'x '.repeat(shift >> 1);
        const ids = [...encoder.encodeString(lead + text)];
        assert.deepEqual(ids, [...Array(shift >> 1).fill(x), ...expected], `${shift}: ${JSON.stringify(text)}`);
      }
    }
  });
}

test('invalid bytes vanish as in Python, whatever is cut, changed or put in', { skip: skipElectra }, () => {
  const valid = Buffer.from('aé中🙂ΑΣ. [MASK] naïve 한국 z', 'utf8');
  const inputs: Buffer[] = [];
  for (let cut = 0; cut <= valid.length; cut++) inputs.push(valid.subarray(0, cut), valid.subarray(cut));
  for (let place = 0; place < valid.length; place++) {
    for (const byte of [0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff]) {
      const changed = Buffer.from(valid);
      changed[place] = byte;
      inputs.push(changed, Buffer.concat([valid.subarray(0, place), Buffer.of(byte), valid.subarray(place)]));
    }
  }
  const surrogates = [
    'eda080',
    'edbfbf',
    'ed9fbf',
    'eda080edb080',
    'f0808080',
    'e08080',
    'f4908080',
    'f48fbfbf',
    'c080',
  ];
  inputs.push(...surrogates.map((hex) => Buffer.from(`61${hex}62`, 'hex')));
  const cleaned = askElectra<string[]>({ bytes: inputs.map((bytes) => bytes.toString('hex')) });
  for (const profile of ['huggingface', 'electra'] as const) {
    const encoder = makeEncoder({ profile, lowercase: true, stripAccents: true });
    inputs.forEach((bytes, i) => {
      const kept = Buffer.from(cleaned[i], 'hex');
      const before = encoder.droppedBytes;
      const ids = encoder.encodeBytes(bytes).slice();
      assert.equal(encoder.droppedBytes - before, bytes.length - kept.length, bytes.toString('hex'));
      assert.deepEqual(ids, encoder.encodeBytes(kept).slice(), bytes.toString('hex'));
    });
  }
});
