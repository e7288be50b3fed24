/** What a program sees: Tokenizer and Vocabulary. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { GalvaniError } from '../../src/errors.js';
import { Tokenizer, type TokenizerOptions, Vocabulary } from '../../src/text/tokenizer.js';
import { vocabPath } from './oracles.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-tokenizer-'));
after(() => rmSync(folder, { recursive: true }));

const refuses = (kind: GalvaniError['kind'], message: RegExp) => (error: unknown) =>
  error instanceof GalvaniError && error.kind === kind && message.test(error.message);

test('encode, encodeBatch and decode fit together', async () => {
  const tokenizer = await Tokenizer.fromVocab(vocabPath);
  assert.equal(tokenizer.size, 30_522);
  const ids = tokenizer.encode('Unaffable, hello!');
  assert.deepEqual(
    [...ids].map((id) => tokenizer.idToToken(id)),
    ['una', '##ffa', '##ble', ',', 'hello', '!'],
  );
  assert.equal(tokenizer.decode(ids), 'unaffable, hello!');
  assert.equal(tokenizer.decode(ids, { cleanUp: false }), 'unaffable , hello !');
  assert.deepEqual(tokenizer.encode(Buffer.from('Unaffable, hello!')), ids);
  const framed = tokenizer.encode('hello', { specialTokens: true });
  assert.equal(tokenizer.decode(framed), '[CLS] hello [SEP]');
  assert.equal(tokenizer.decode(framed, { skipSpecialTokens: true }), 'hello');
  assert.deepEqual(tokenizer.encodeBatch(['a b', '', 'c']), [
    tokenizer.encode('a b'),
    new Uint32Array(),
    tokenizer.encode('c'),
  ]);
  assert.equal(tokenizer.tokenToId('hello'), ids[4]);
  assert.equal(tokenizer.tokenToId('no such piece'), undefined);
  assert.equal(tokenizer.idToToken(30_522), undefined);
  assert.throws(
    () => tokenizer.decode([30_522]),
    refuses('wrongUse', /^decode: expected ids below 30522, got 30522\./),
  );
});

test('galvani/tokenizer loads its own room, errors, and what Node has: no package', () => {
  const seen = new Set<string>();
  const follow = (url: URL) => {
    if (seen.has(url.href)) return;
    seen.add(url.href);
    for (const [, name] of readFileSync(url, 'utf8').matchAll(/(?:from|import\() ?['"]([^'"]+)['"]/g)) {
      if (name.startsWith('.')) follow(new URL(name, url));
      else assert.match(name, /^node:/, url.href);
    }
  };
  const room = new URL('../../src/text/', import.meta.url);
  follow(new URL('tokenizer.js', room));
  const outside = [...seen].filter((file) => !file.startsWith(room.href));
  assert.deepEqual(outside, [new URL('../errors.js', room).href]);
  assert.ok(seen.size > 5);
});

test('ids stay the caller’s own after the next call', async () => {
  const tokenizer = await Tokenizer.fromVocab(vocabPath);
  const ids = tokenizer.encode('one two three');
  const copy = [...ids];
  tokenizer.encode('something else, rather longer');
  assert.deepEqual([...ids], copy);
});

test('special tokens are cut from the text in profile huggingface, and plain text in profile electra', async () => {
  const text = 'x[MASK]y [mask] [MASK';
  const pieces = async (options: TokenizerOptions) => {
    const tokenizer = await Tokenizer.fromVocab(vocabPath, options);
    return [...tokenizer.encode(text)].map((id) => tokenizer.idToToken(id)).join(' ');
  };
  assert.equal(await pieces({ profile: 'huggingface' }), 'x [MASK] y [ mask ] [ mask');
  assert.equal(await pieces({ profile: 'electra' }), 'x [ mask ] y [ mask ] [ mask');
});

test('settings that a reference does not have are refused by name', async () => {
  await assert.rejects(
    Tokenizer.fromVocab(vocabPath, { profile: 'electre' as 'electra' }),
    refuses('wrongUse', /got "electre"\. Did you mean "electra"\?/),
  );
  await assert.rejects(
    Tokenizer.fromVocab(vocabPath, { profile: 'electra', lowercase: false, stripAccents: true }),
    refuses('wrongUse', /stripAccents without lowercase/),
  );
});

test('a vocabulary is read as the references read it', () => {
  const bytes = Buffer.from('[UNK]\r\n lead\ntrail \u3000\ntwice\ntwice\n\n##x\n\u001cfs');
  const huggingface = Vocabulary.parse(bytes, 'huggingface');
  assert.deepEqual(huggingface.pieces, ['[UNK]', ' lead', 'trail', 'twice', 'twice', '', '##x', '\u001cfs']);
  assert.equal(huggingface.tokenToId('twice'), 4);
  assert.equal(huggingface.idToToken(3), 'twice');
  assert.equal(huggingface.sha256, createHash('sha256').update(bytes).digest('hex'));
  assert.deepEqual(Vocabulary.parse(bytes, 'electra').pieces.slice(1, 3), ['lead', 'trail']);
  assert.equal(Vocabulary.parse(bytes, 'electra').pieces[7], 'fs');
  assert.equal(Vocabulary.fromPieces(['[UNK]', 'a']).sha256, Vocabulary.parse(Buffer.from('[UNK]\na\n')).sha256);
});

test('a vocabulary that cannot be used is refused, and named', async () => {
  const write = (name: string, content: string | Buffer) => {
    const file = path.join(folder, name);
    writeFileSync(file, content);
    return file;
  };
  const without = write('without.txt', 'a\nb\n');
  await assert.rejects(
    Tokenizer.fromVocab(without),
    refuses('badInput', /2 pieces without \[UNK\] \(.*without\.txt\)/),
  );
  await assert.rejects(Tokenizer.fromVocab(write('empty.txt', '')), refuses('badInput', /0 pieces without \[UNK\]/));
  const invalid = write('invalid.txt', Buffer.from('[UNK]\na\n\xff\n', 'latin1'));
  await assert.rejects(Tokenizer.fromVocab(invalid), refuses('badInput', /invalid bytes in line 3 \(.*invalid\.txt\)/));
  await assert.rejects(Tokenizer.fromVocab(path.join(folder, 'none.txt')), refuses('badInput', /ENOENT.*none\.txt/));
  const small = await Tokenizer.fromVocab(['[UNK]', 'a']);
  assert.throws(
    () => small.encode('a', { specialTokens: true }),
    refuses('badInput', /expected the special token \[CLS\]/),
  );
});

test('pieces of every first byte and many siblings are found', async () => {
  const letters = Array.from({ length: 3000 }, (_, i) => String.fromCodePoint(0x4e00 + i));
  const ascii = Array.from({ length: 26 }, (_, i) => String.fromCharCode(97 + i));
  const pieces = ['[UNK]', ...letters, ...ascii, ...ascii.flatMap((a) => ascii.map((b) => `##${a}${b}`))];
  const tokenizer = await Tokenizer.fromVocab(pieces);
  assert.deepEqual(
    [...tokenizer.encode(letters.join(''))],
    letters.map((_, i) => i + 1),
  );
  const word = `q${ascii
    .flatMap((a) => ascii.map((b) => a + b))
    .slice(100, 130)
    .join('')}`;
  assert.equal(tokenizer.decode(tokenizer.encode(word)), word);
  assert.equal(tokenizer.encode(word).length, 31);
  assert.deepEqual([...tokenizer.encode(`${word}z`)], [0]);
});
