/** The encoder's own machinery: windows, lines, growth of memory, a full word cache, counters. Ids are compared with tokenizers'. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { windowBytes as window } from '../../src/text/encoder.js';
import { Vocabulary } from '../../src/text/vocabulary.js';
import {
  askElectra,
  electraOracleMissing,
  makeEncoder,
  makeHuggingfaceEncoder,
  vocabPath,
  vocabulary,
} from './oracles.js';
import { randomText } from './random-text.js';

const uncased = { profile: 'huggingface', lowercase: true, stripAccents: true } as const;
const reference = makeHuggingfaceEncoder(uncased);

test('a text of several windows gives the ids of its lines, and where each line ends', async () => {
  const lines = Array.from({ length: 40_000 }, (_, n) => randomText(2, n, 120).replaceAll(/[\n\ud800-\udfff]/g, ''));
  const bytes = Buffer.from(`${lines.join('\n')}\n`);
  assert.ok(bytes.length > 2.5 * window);
  const expected = await reference(lines);
  const { ids, lineEnds } = makeEncoder(uncased).encodeLines(bytes);
  assert.equal(lineEnds.length, lines.length);
  let start = 0;
  expected.forEach((want, i) => {
    assert.deepEqual([...ids.subarray(start, lineEnds[i])], want, `line ${i + 1}`);
    start = lineEnds[i];
  });
  assert.equal(ids.length, start);
});

test('lines end at LF alone; a last line without one counts, an empty rest does not', () => {
  const encoder = makeEncoder(uncased);
  const endsOf = (text: string | Uint8Array) => [...encoder.encodeLines(Buffer.from(text)).lineEnds];
  assert.deepEqual(endsOf(''), []);
  assert.deepEqual(endsOf('\n'), [0]);
  assert.deepEqual(endsOf('a'), [1]);
  assert.deepEqual(endsOf('a\n'), [1]);
  assert.deepEqual(endsOf('a\n\nb b\r\nc\rd\u2028e'), [1, 1, 3, 6]);
  assert.deepEqual(endsOf(Buffer.from([0x61, 0x0a, 0xff])), [1, 1]);
  for (let shift = 0; shift < 130; shift++) {
    assert.deepEqual(endsOf(`${' '.repeat(shift)}a\n\nb`), [1, 1, 2], `LF after ${shift + 1} bytes`);
  }
});

test('a window may be cut anywhere: a long line shifted byte by byte keeps its ids', async () => {
  const encoder = makeEncoder(uncased);
  for (const piece of ['naïve [MASK] don’t ΑΣ. 中文 x ', 'naïve,[MASK]don’t-ΑΣ.中国\u0301x[SEP]/\u0301y']) {
    const text = piece.repeat(Math.ceil((window + 2000) / Buffer.byteLength(piece)));
    const [expected] = await reference([text]);
    for (let shift = 0; shift < Buffer.byteLength(piece); shift += 3) {
      assert.deepEqual(
        encoder.encodeBytes(Buffer.from(' '.repeat(shift) + text)),
        Uint32Array.from(expected),
        `${shift}`,
      );
    }
  }
});

test('a cut does not fall into an added token, whatever the token holds and however many invalid bytes lie in it', () => {
  const pieces = Vocabulary.fromPieces([...vocabulary.pieces, '[a,b]'], ['[a,b]']);
  const encoder = makeEncoder(uncased, pieces);
  const ids = [...encoder.encodeString('naïve[a,b]')];
  assert.equal(ids.at(-1), vocabulary.size);
  for (const invalid of [0, 21]) {
    const token = [...'[a,b]'].flatMap((char) => [Buffer.alloc(invalid, 0xff), Buffer.from(char)]);
    const stretch = Buffer.concat([Buffer.from('naïve'), ...token]);
    const times = Math.ceil((1.5 * window) / stretch.length);
    const text = Buffer.concat(Array.from({ length: times }, () => stretch));
    for (let shift = 0; shift < stretch.length; shift++) {
      const found = encoder.encodeBytes(Buffer.concat([Buffer.alloc(shift, 0x20), text]));
      assert.equal(found.length, times * ids.length);
      assert.ok(
        found.every((id, i) => id === ids[i % ids.length]),
        `${invalid} invalid bytes, ${shift}`,
      );
    }
  }
});

test('a cut does not change which sigma is final', { skip: electraOracleMissing() }, () => {
  const settings = { profile: 'electra', lowercase: true, stripAccents: true } as const;
  const piece = 'ΑΣ.-ΑΣ,ΑΣ中ΑΣ:Α/ΑΣ’Σ(ΑΣ';
  const text = piece.repeat(Math.ceil((window + 2000) / Buffer.byteLength(piece)));
  for (let shift = 0; shift < Buffer.byteLength(piece); shift += 9) {
    const shifted = 'a'.repeat(shift) + text;
    const [expected] = askElectra<number[][]>({ texts: [shifted], vocab: vocabPath, ...settings });
    assert.deepEqual(makeEncoder(settings).encodeString(shifted), Uint32Array.from(expected), `${shift}`);
  }
});

test('a stretch too long for wasm memory is an error, and the encoder goes on as before', () => {
  const encoder = makeEncoder(uncased);
  const before = [...encoder.encodeString('the text before')];
  assert.throws(() => encoder.encodeBytes(Buffer.alloc(480 << 20)), { name: 'GalvaniError', kind: 'badInput' });
  assert.deepEqual([...encoder.encodeString('the text before')], before);
});

test('more distinct words than the cache holds change no id', async () => {
  const encoder = makeEncoder(uncased);
  const words = Array.from(
    { length: 300_000 },
    (_, n) => `${(n * 2_654_435_761).toString(36)}${n % 7 === 0 ? 'ä' : ''}`,
  );
  const text = words.join(' ');
  const [expected] = await reference([text]);
  for (let pass = 0; pass < 2; pass++)
    assert.deepEqual(encoder.encodeBytes(Buffer.from(text)), Uint32Array.from(expected));
});

test('unknown tokens are counted, cached or not, one byte long or more', () => {
  const encoder = makeEncoder(uncased);
  const text = 'the 中\u{20000} 🙂 \u{1f9be}\u{1f9be} [ x\u0001 🙂';
  for (let pass = 1; pass <= 3; pass++) {
    const ids = encoder.encodeString(text);
    const unknown = ids.filter((id) => id === vocabulary.unknownId).length;
    assert.ok(unknown > 0);
    assert.equal(encoder.unknownTokens, pass * unknown);
  }
});

test('two encoders from the same tables share nothing', () => {
  const [one, other] = [makeEncoder(uncased), makeEncoder(uncased)];
  const ids = one.encodeString('the first text');
  const before = [...ids];
  other.encodeString('another one altogether');
  assert.deepEqual([...ids], before);
});
