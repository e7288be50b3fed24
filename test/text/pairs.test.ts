/** Frames, truncation, type ids and decoding, against npm tokenizers. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Encoding } from 'tokenizers';
import { GalvaniError } from '../../src/errors.js';
import { type PairOptions, Tokenizer, type Truncation } from '../../src/text/tokenizer.js';
import { allSettings, huggingface, makeHuggingfaceTokenizer, vocabulary } from './oracles.js';
import { randomText } from './random-text.js';

const tokenizer = await Tokenizer.fromVocab(vocabulary);
const reference = makeHuggingfaceTokenizer(allSettings[0]);
reference.setPostProcessor(huggingface.bertProcessing(['[SEP]', 102], ['[CLS]', 101]));
reference.setDecoder(huggingface.wordPieceDecoder());

const strategies = { longest_first: 'LongestFirst', only_first: 'OnlyFirst', only_second: 'OnlySecond' } as const;

/** Texts of 0 to 7 tokens; one unit a token, so that offsets are the same in code points. */
const words = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const ofLength = (length: number) => words.slice(0, length).join(' ');

function columnsOf(encoding: Encoding) {
  const offsets = encoding.getOffsets();
  return {
    ids: encoding.getIds(),
    starts: offsets.map(([start]) => start),
    ends: offsets.map(([, end]) => end),
    typeIds: encoding.getTypeIds(),
  };
}

const plain = (columns: Record<string, Uint32Array>) =>
  Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, [...column]]));

const refuses = (message: RegExp) => (error: unknown) =>
  error instanceof GalvaniError && error.kind === 'wrongUse' && message.test(error.message);

test('pairs of every length, cut to every length in every way, are those of tokenizers', async () => {
  for (const [truncation, strategy] of Object.entries(strategies) as [Truncation, string][]) {
    for (const specialTokens of [true, false]) {
      for (let maxLength = specialTokens ? 3 : 0; maxLength <= 17; maxLength++) {
        // The constants of the enumeration are these strings; they are not there when modules are compiled alone.
        reference.setTruncation(maxLength, { strategy: strategy as never });
        for (let a = 0; a <= 7; a++) {
          for (let b = 0; b <= 7; b++) {
            const options: PairOptions = { specialTokens, maxLength, truncation };
            const [first, second] = [ofLength(a), ofLength(b)];
            // Here tokenizers cuts the second although only the first may be.
            const isCutInSpite =
              truncation === 'only_first' && a === 0 && b > maxLength && !specialTokens && maxLength > 0;
            const expected = await reference
              .encode(first, second, { addSpecialTokens: specialTokens })
              .then(columnsOf)
              .catch(() => undefined);
            const where = JSON.stringify({ a, b, ...options });
            if (expected === undefined || isCutInSpite) {
              assert.throws(() => tokenizer.encodePair(first, second, options), refuses(/tokens to cut from/), where);
              continue;
            }
            assert.deepEqual(plain({ ...tokenizer.encodePairWithOffsets(first, second, options) }), expected, where);
            const { ids, typeIds } = expected;
            assert.deepEqual(plain({ ...tokenizer.encodePair(first, second, options) }), { ids, typeIds }, where);
          }
        }
      }
    }
  }
  reference.disableTruncation();
});

test('a text is framed and cut as in tokenizers', async () => {
  for (const specialTokens of [true, false]) {
    for (const maxLength of [2, 3, 5, 7, 9, 12]) {
      reference.setTruncation(maxLength);
      const expected = columnsOf(await reference.encode(ofLength(7), null, { addSpecialTokens: specialTokens }));
      const options = { specialTokens, maxLength };
      const { typeIds: _, ...columns } = expected;
      assert.deepEqual(plain({ ...tokenizer.encodeWithOffsets(ofLength(7), options) }), columns);
      assert.deepEqual([...tokenizer.encode(ofLength(7), options)], expected.ids);
    }
  }
  reference.disableTruncation();
  assert.throws(() => tokenizer.encode('a', { specialTokens: true, maxLength: 1 }), refuses(/at least 2 .* got 1/));
  assert.throws(() => tokenizer.encode('a', { maxLength: 1.5 }), refuses(/got 1\.5/));
  assert.throws(() => tokenizer.encodePair('a', 'b', { maxLength: 2 }), refuses(/at least 3/));
  assert.throws(
    () => tokenizer.encodePair('a', 'b', { maxLength: 9, truncation: 'longest' as Truncation }),
    refuses(/longest_first, only_first, only_second\), got "longest"/),
  );
});

test('ids become the text that tokenizers makes of them, special tokens or not', async () => {
  const parity: { huggingface: number[] }[] = JSON.parse(readFileSync('../shared/data/tokenizer-parity.json', 'utf8'));
  const texts = ["I don't know, do not ask! He's it. We've 'm what ? they're ' so '", ...Array(500).keys()].map((n) =>
    typeof n === 'string' ? n : randomText(31, n),
  );
  const rows = [
    ...parity.map(({ huggingface: ids }) => ids),
    ...texts.map((text) => [...tokenizer.encode(text, { specialTokens: true })]),
    // Every piece, first and within.
    ...vocabulary.pieces.map((_, id) => [id, 1037, id]),
  ].filter((ids) => ids.length > 0);
  for (const skipSpecialTokens of [false, true]) {
    for (const ids of rows) {
      assert.equal(tokenizer.decode(ids, { skipSpecialTokens }), await reference.decode(ids, skipSpecialTokens));
    }
  }
});
