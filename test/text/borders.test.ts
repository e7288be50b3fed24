/**
 * Where the encoder's own borders fall: blocks of 64 bytes, chunks of 2,048, windows of 320 KiB. Text is moved byte by byte
 * over each, and its ids are compared with those that the originals give without a border.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { windowBytes } from '../../src/text/encoder.js';
import type { TokenizerSettings } from '../../src/text/profile.js';
import { electraOracleMissing, equalIds, makeEncoder, makeReference, nameOf } from './oracles.js';

const skipElectra = electraOracleMissing();
const settingsOf: TokenizerSettings[] = [
  { profile: 'huggingface', lowercase: true, stripAccents: true },
  { profile: 'electra', lowercase: true, stripAccents: true },
  { profile: 'electra', lowercase: true, stripAccents: false },
];

/** What a border could split: a sigma from its context, a mark from its letter, marks from each other, a token, a character. */
const joints = [
  'ΑΣ.\u0345\u00adΑ ΑΣ.\u0345\u00ad, ΑΣ',
  'ΑΣ’Σ(ΑΣ中ΑΣ:Α/ΣΑ',
  'e\u0301\u0323\u302e\u{1d165}x \u0301\u0302y',
  'x[MASK]y[SEP][CLS [UNK]]z',
  '中国\u0301x、日本語の𠀀𠀁한국어',
  'naïve\u2014caf\u00e9\u2026 a\r\n\r\nb\n\u00a0\u2028c',
  'a\u0000\u0001b\ufeff\u{1f9be}c',
];

for (const settings of settingsOf) {
  const reference = makeReference(settings);
  test(`text at every place around the borders of blocks and chunks gives the same ids (${nameOf(settings)})`, {
    skip: settings.profile === 'electra' && skipElectra,
  }, async () => {
    const encoder = makeEncoder(settings);
    const joined = await reference(joints);
    const [[x]] = await reference(['x']);
    joints.forEach((text, n) => {
      const bytes = Buffer.byteLength(text);
      for (const border of [64, 128, 2048, 4096]) {
        for (let before = Math.max(0, border - bytes - 2); before <= border + 1; before++) {
          const ids = encoder.encodeString(`${'x '.repeat(before >> 1)}${before & 1 ? ' ' : ''}${text}`);
          assert.deepEqual([...ids.subarray(before >> 1)], joined[n], `${before}: ${text}`);
          assert.ok(ids.subarray(0, before >> 1).every((id) => id === x));
        }
      }
    });
  });

  if (!settings.stripAccents) continue; // what follows takes seconds, and asks nothing of accents

  test(`one stretch without white space moved over a window's end gives the same ids (${nameOf(settings)})`, {
    skip: settings.profile === 'electra' && skipElectra,
  }, async () => {
    const encoder = makeEncoder(settings);
    for (const joint of joints) {
      const text = joint.replaceAll(/[ \r\n]/g, '');
      const bytes = Buffer.byteLength(text);
      const lead = (windowBytes >> 1) - 2 * bytes;
      // A word a letter and a mark before: every place of the text comes to lie on the window's last byte.
      const texts = Array.from({ length: 4 }, (_, i) => `${'a,'.repeat(lead)}${','.repeat(i)}${text.repeat(5)},a`);
      const tails = await reference([`${text.repeat(5)},a`]);
      const [[a, comma]] = await reference(['a,']);
      texts.forEach((whole, i) => {
        for (let shift = 0; shift < bytes; shift += 4) {
          const ids = encoder.encodeBytes(Buffer.from(','.repeat(shift) + whole));
          const head = ids.subarray(0, ids.length - tails[0].length);
          assert.deepEqual([...ids.subarray(head.length)], tails[0], `${shift + i}: ${text}`);
          assert.equal(head.length, shift + 2 * lead + i);
          assert.ok(head.every((id) => id === a || id === comma));
        }
      });
    }
  });

  test(`texts about as long as a block, a chunk and a window give the same ids (${nameOf(settings)})`, {
    skip: settings.profile === 'electra' && skipElectra,
  }, async () => {
    const encoder = makeEncoder(settings);
    const about = (...borders: number[]) => borders.flatMap((border) => [border - 1, border, border + 1]);
    const texts = [
      ...['a', ' ', '\n', '.', 'a ', 'a.', '[', 'a[SEP]'].flatMap((kind) =>
        [0, 1, ...about(64, 128, 2048, 4096)].map((length) => kind.repeat(length).slice(0, length)),
      ),
      ...['é ', 'a[SEP]'].flatMap((kind) =>
        about(windowBytes).map((length) => kind.repeat(length / Buffer.byteLength(kind))),
      ),
    ];
    const expected = await reference(texts);
    texts.forEach((text, n) => {
      const what = `${text.length} × ${JSON.stringify(text.slice(0, 8))}`;
      assert.ok(equalIds(encoder.encodeString(text), expected[n]), what);
    });
  });

  test(`a megabyte of one character gives the same ids (${nameOf(settings)})`, {
    skip: settings.profile === 'electra' && skipElectra,
  }, async () => {
    const texts = [
      ...['a', 'Σ', 'é', '한', '中', '𠀀', '.', '’', '\u0301', '\u302e', '\u2028', '\u{e0041}', '\0'].map((character) =>
        character.repeat(2 ** 20 / Buffer.byteLength(character)),
      ),
      `a${'\u0301'.repeat(1 << 19)}b`,
      // Python orders marks in quadratic time.
      `\u1100${'\u302e'.repeat(1 << 18)}${'\u{1d165}'.repeat(settings.profile === 'electra' ? 64 : 1 << 18)}b`,
    ];
    const expected = await reference(texts);
    const encoder = makeEncoder(settings);
    texts.forEach((text, n) => {
      const what = JSON.stringify(text.slice(0, 2));
      assert.ok(equalIds(encoder.encodeString(text), expected[n]), what);
      assert.ok(equalIds(encoder.encodeBytes(Buffer.from(text)), expected[n]), `${what} as bytes`);
    });
  });
}
