/**
 * The kernel as its host sees it: whatever the bytes, it writes what it says it writes and nothing else, and its ids depend on
 * nothing but the text. Ids are compared with those of the exact path (offsets.ts has neither masks nor cache), which others
 * compare with the originals. 1 MB of random bytes, or 16 where GALVANI_STRINGS is a million or more.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawWord, integerOfWord, keyOfSeed } from '../../src/random/philox.js';
import type { TextExports } from '../../src/text/encoder.js';
import type { TokenizerSettings } from '../../src/text/profile.js';
import { compileTables } from '../../src/text/tables.js';
import type { Vocabulary } from '../../src/text/vocabulary.js';
import { isExhaustive, makeLetterVocabulary, nameOf, textModule, vocabulary } from './oracles.js';
import { randomText } from './random-text.js';

const fuzzBytes = isExhaustive ? 16 << 20 : 1 << 20;
const longest = 5000; // over two chunks
/** What assembly/text/encode.ts and offsets.ts ask for: bytes behind the text, words behind the ids. */
const textRoom = 112;
const textOverwritten = 96;
const idRoom = 24;
const guardBytes = 256;

/** A kernel whose regions have guards around them, filled anew before each call. */
class GuardedKernel {
  readonly #kernel = new WebAssembly.Instance(textModule, {
    env: { abort: () => assert.fail('the kernel aborted') },
  }).exports as unknown as TextExports;
  readonly #bytes: Buffer;
  readonly #tables: Uint8Array;
  readonly #tablesAt = 65536 + guardBytes;
  readonly #workEnd: number;

  constructor(tables: Uint8Array) {
    this.#tables = tables;
    const workAt = (this.#tablesAt + tables.length + guardBytes + 63) & ~63;
    this.#workEnd = workAt + this.#kernel.workBytes();
    const size = this.#workEnd + 16 * longest + 8 * guardBytes + 4096;
    this.#kernel.memory.grow(Math.ceil((size - this.#kernel.memory.buffer.byteLength) / 65536));
    this.#bytes = Buffer.from(this.#kernel.memory.buffer);
    this.#bytes.set(tables, this.#tablesAt);
    this.#kernel.open(this.#tablesAt, workAt);
  }

  /** `shift` moves the text against the blocks of 64 that vectors are loaded from. */
  encode(text: Buffer, shift: number, pattern: number): { ids: Uint32Array; lineEnds: Uint32Array } {
    const regions = this.#layOut(text, shift, [4 * (text.length + idRoom), 4 * text.length], pattern);
    const [src, ids, lineEnds] = regions.map(({ at }) => at);
    const length = this.#kernel.dropInvalid(src, text.length);
    this.#bytes.fill(pattern, src + length, src + text.length + textRoom);
    const count = this.#kernel.encode(src, length, ids, lineEnds, 0);
    regions[0].used = length + textOverwritten;
    this.#checkGuards(regions, pattern);
    return { ids: this.#words(ids, count), lineEnds: this.#words(lineEnds, this.#kernel.getLineCount()) };
  }

  encodeExactly(text: Buffer, pattern: number): Uint32Array {
    const words = 4 * (text.length + 4);
    const regions = this.#layOut(text, 0, [words, words, words], pattern);
    const [src, ids, starts, ends] = regions.map(({ at }) => at);
    const length = this.#kernel.dropInvalid(src, text.length);
    const count = this.#kernel.encodeWithOffsets(src, length, ids, starts, ends, 0);
    this.#checkGuards(regions, pattern);
    return this.#words(ids, count);
  }

  #layOut(text: Buffer, shift: number, sizes: number[], pattern: number): { at: number; used: number }[] {
    this.#bytes.fill(pattern, this.#workEnd);
    let at = this.#workEnd + guardBytes + shift;
    const regions = [text.length + textRoom, ...sizes].map((used) => {
      const region = { at, used };
      at = (at + used + guardBytes + 3) & ~3;
      return region;
    });
    this.#bytes.set(text, regions[0].at);
    return regions;
  }

  #checkGuards(regions: { at: number; used: number }[], pattern: number): void {
    let guard = this.#workEnd;
    for (const { at, used } of [...regions, { at: this.#bytes.length, used: 0 }]) {
      for (let i = guard; i < at; i++) if (this.#bytes[i] !== pattern) assert.fail(`byte ${i - guard} of a guard`);
      guard = at + used;
    }
    const tables = this.#bytes.subarray(this.#tablesAt, this.#tablesAt + this.#tables.length);
    assert.ok(tables.equals(this.#tables), 'the tables have changed');
    const around = [this.#tablesAt - guardBytes, this.#tablesAt + this.#tables.length];
    for (const place of around) assert.ok(this.#bytes.subarray(place, place + 192).every((byte) => byte === 0));
  }

  #words(at: number, count: number): Uint32Array {
    return new Uint32Array(this.#bytes.buffer.slice(at, at + 4 * count));
  }
}

const key = keyOfSeed(71);

/** Random bytes of any value; of a few that matter; a random text with some of its bytes changed; text of one long word. */
function randomBytes(n: number, most: number): Buffer {
  let index = 0;
  const draw = (bound: number) => integerOfWord(drawWord(key, 0, n, index++), bound);
  const length = draw(most + 1);
  const kind = draw(4);
  if (kind === 0) return Buffer.from(Array.from({ length }, () => draw(256)));
  const few = Buffer.from('[MASK]\n a.Σé中𠀀\xa0\u0301한', 'utf8');
  if (kind === 1) return Buffer.from(Array.from({ length }, () => few[draw(few.length)]));
  const text = Buffer.from(kind === 2 ? randomText(72, n, 200) : 'aé中x'[draw(4)].repeat(length)).subarray(0, length);
  for (let left = draw(8); left > 0 && text.length > 0; left--) text[draw(text.length)] = draw(256);
  return text;
}

const cases: [TokenizerSettings, Vocabulary][] = [
  [{ profile: 'huggingface', lowercase: true, stripAccents: true }, vocabulary],
  [{ profile: 'electra', lowercase: true, stripAccents: true }, makeLetterVocabulary()],
  [{ profile: 'electra', lowercase: false, stripAccents: false }, vocabulary],
];

for (const [settings, pieces] of cases) {
  test(`any bytes: nothing outside is written, nothing outside is read (${nameOf(settings)})`, () => {
    const tables = compileTables(pieces, settings);
    const kernels = [new GuardedKernel(tables), new GuardedKernel(tables)];
    let bytes = 0;
    for (let n = 0; bytes < fuzzBytes / cases.length; n++) {
      const text = randomBytes(n, n % 16 === 0 ? longest : n % 4 === 0 ? 4 : 300);
      bytes += text.length;
      const shift = n % 64;
      // Other bytes around the text, and another place of it in its block: what is around would show in the ids.
      const [one, other] = [kernels[0].encode(text, shift, 0x41), kernels[1].encode(text, (shift * 29 + 7) % 64, 0xce)];
      assert.deepEqual(one, other, text.toString('hex'));
      assert.deepEqual(one.ids, kernels[0].encodeExactly(text, 0xce), text.toString('hex'));
      assert.equal(one.lineEnds.length, text.filter((byte) => byte === 0x0a).length, text.toString('hex'));
    }
  });
}
