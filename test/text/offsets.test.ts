/**
 * Where pieces come from: for profile `huggingface` the offsets of npm tokenizers, for `electra` an alignment by tags in Python
 * (offsets-oracle.py). Both count code points, which are turned into UTF-16 units here.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { TokenizerSettings } from '../../src/text/profile.js';
import { Tokenizer } from '../../src/text/tokenizer.js';
import {
  allSettings,
  electraOracleMissing,
  makeHuggingfaceTokenizer,
  nameOf,
  vocabPath,
  vocabulary,
} from './oracles.js';
import { randomText } from './random-text.js';

type Located = [id: number, start: number, end: number];

const parityTexts: string[] = JSON.parse(readFileSync('../shared/data/tokenizer-parity.json', 'utf8')).map(
  ({ text }: { text: string }) => text,
);
const texts = [...parityTexts, ...Array.from({ length: 5_000 }, (_, n) => randomText(21, n))];

/** Offsets in code points of a text, a lone surrogate being one, as UTF-16 units. */
function inUnits(text: string, located: Located[]): Located[] {
  const units = [0];
  for (const character of text) units.push(units[units.length - 1] + character.length);
  return located.map(([id, start, end]) => [id, units[start], units[end]]);
}

function locate(tokenizer: Tokenizer, text: string | Uint8Array): Located[] {
  const { ids, starts, ends } = tokenizer.encodeWithOffsets(text);
  return Array.from(ids, (id, i) => [id, starts[i], ends[i]]);
}

async function askHuggingface(settings: TokenizerSettings): Promise<Located[][]> {
  const encodings = await makeHuggingfaceTokenizer(settings).encodeBatch(texts, { addSpecialTokens: false });
  return encodings.map((encoding) => {
    const offsets = encoding.getOffsets();
    return encoding.getIds().map((id, i): Located => [id, offsets[i][0], offsets[i][1]]);
  });
}

function askElectra({ lowercase, stripAccents }: TokenizerSettings): Located[][] {
  const { status, stdout, stderr } = spawnSync('python3', ['test/text/offsets-oracle.py'], {
    input: JSON.stringify({ texts, lowercase, stripAccents, vocab: vocabPath }),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`offsets-oracle.py: ${stderr}`);
  return JSON.parse(stdout);
}

/**
 * Whether canonical ordering moves a mark. There tokenizers gives each mark the place of the one whose turn it takes, and so
 * may leave a character of a piece out; we hold to where characters came from (the alignment of the other oracle). What
 * cleaning takes out of a text does not stand between two marks.
 */
function isReordered(text: string): boolean {
  const clean = text.replace(/[\p{C}\ufffd]/gu, '');
  const parts = Array.from(clean, (character) => character.normalize('NFD')).join('');
  return parts !== parts.normalize('NFD');
}

for (const settings of allSettings) {
  const isElectra = settings.profile === 'electra';

  test(`pieces are located as the original locates them (${nameOf(settings)})`, {
    skip: isElectra && electraOracleMissing(),
  }, async () => {
    const expected = isElectra ? askElectra(settings) : await askHuggingface(settings);
    const tokenizer = await Tokenizer.fromVocab(vocabulary, settings);
    let compared = 0;
    texts.forEach((text, n) => {
      const located = locate(tokenizer, text);
      assert.deepEqual(
        located.map(([id]) => id),
        [...tokenizer.encode(text)],
        JSON.stringify(text),
      );
      if (!isElectra && settings.stripAccents && isReordered(text)) return;
      assert.deepEqual(located, inUnits(text, expected[n]), JSON.stringify(text));
      compared++;
    });
    assert.ok(compared > texts.length / 2, `${compared} of ${texts.length}`);
  });
}

test('a piece covers what its characters were made of, where lengths change and characters vanish', async () => {
  const tokenizer = await Tokenizer.fromVocab(vocabPath);
  const slices = (text: string) => {
    const { ids, starts, ends } = tokenizer.encodeWithOffsets(text);
    return Array.from(ids, (id, i) => [tokenizer.idToToken(id), text.slice(starts[i], ends[i])]);
  };
  assert.deepEqual(slices('a\0b \u00ad'), [['ab', 'a\0b']]);
  assert.deepEqual(slices('é e\u0301'), [
    ['e', 'é'],
    ['e', 'e'],
  ]);
  assert.deepEqual(slices('\u0130stanbul'), [['istanbul', '\u0130stanbul']]);
  assert.deepEqual(slices('한'), [
    ['ᄒ', '한'],
    ['##ᅡ', '한'],
    ['##ᆫ', '한'],
  ]);
  assert.deepEqual(slices('😀x[MASK]\ud800y中'), [
    ['[UNK]', '😀x'],
    ['[MASK]', '[MASK]'],
    ['y', 'y'],
    ['中', '中'],
  ]);
  assert.deepEqual(slices(`${'a'.repeat(101)}é`), [['[UNK]', `${'a'.repeat(101)}é`]]);
  // U+302E (class 224) is ordered before U+0301 (230), and the piece still reaches to where it stands.
  assert.deepEqual(slices('x\u0301\u302e'), [['[UNK]', 'x\u0301\u302e']]);
});

test('offsets go on over windows, and count in the text without its invalid bytes', async () => {
  const tokenizer = await Tokenizer.fromVocab(vocabPath);
  const line = 'naïve 😀 unaffable [SEP] 中文\n';
  const expected = locate(tokenizer, line);
  const times = Math.ceil(2_500_000 / Buffer.byteLength(line)); // three windows of a megabyte
  const { ids, starts, ends } = tokenizer.encodeWithOffsets(line.repeat(times));
  assert.equal(ids.length, times * expected.length);
  for (let i = 0; i < ids.length; i++) {
    const [id, start, end] = expected[i % expected.length];
    const before = Math.floor(i / expected.length) * line.length;
    if (ids[i] !== id || starts[i] !== before + start || ends[i] !== before + end) assert.fail(`token ${i}`);
  }
  const bytes = Buffer.from('6de4bd6f20ff6eff', 'hex'); // "m", a cut sequence, "o ", invalid, "n", invalid
  assert.deepEqual(locate(tokenizer, bytes), locate(tokenizer, 'mo n'));
  assert.deepEqual(locate(tokenizer, ''), []);
});
