/**
 * Philox against Random123's known answers (kat_vectors of the Random123 distribution, philox4x32 10), and the
 * TypeScript twin against the wasm kernels.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { drawWord, drawWords, integerOfWord, keyOfSeed, philox, uniformOfWord } from '../../src/random/philox.js';
import { streams } from '../../src/random/streams.js';

/** c0 c1 c2 c3, k0 k1, the four words. */
const knownAnswers = [
  '00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8',
  'ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd',
  '243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1',
].map((line) => line.split(' ').map((word) => Number.parseInt(word, 16)));

const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
const module = new WebAssembly.Module(readFileSync(new URL('../../assembly/batch.wasm', import.meta.url)));
type Kernel = (out: number, keyLow: number, keyHigh: number, counter: bigint, step: number, stream: number) => void;
const { philoxWords, philoxBlock } = new WebAssembly.Instance(module, { env: { memory } }).exports as Record<
  string,
  Kernel
>;

function wasmDraws(kernel: Kernel, count: number, key: number[], counter: bigint, step: number, stream: number) {
  kernel(64, key[0], key[1], counter, step, stream);
  return Array.from(new Uint32Array(memory.buffer, 64, count));
}

test('the TypeScript Philox gives the known answers of Random123', () => {
  for (const [c0, c1, c2, c3, low, high, ...expected] of knownAnswers) {
    const out = new Uint32Array(4);
    philox(out, 0, { low, high }, c0, c1, c2, c3);
    assert.deepEqual(Array.from(out), expected);
  }
});

test('the wasm Philox gives the known answers of Random123, one counter or eight at a time', () => {
  for (const [c0, c1, c2, c3, low, high, ...expected] of knownAnswers) {
    const counter = (BigInt(c1) << 32n) | BigInt(c0);
    assert.deepEqual(wasmDraws(philoxWords, 4, [low, high], counter, c2, c3), expected);
    assert.deepEqual(wasmDraws(philoxBlock, 32, [low, high], counter, c2, c3).slice(0, 4), expected);
  }
});

test('eight counters at a time agree with the twin, also where the low word of the counter wraps', () => {
  const word = fc.integer({ min: 0, max: 0xffffffff });
  const low = fc.oneof(word, fc.integer({ min: 0xfffffff8, max: 0xffffffff }));
  fc.assert(
    fc.property(word, word, low, word, word, word, (keyLow, keyHigh, c0, c1, step, stream) => {
      const expected = new Uint32Array(32);
      for (let k = 0; k < 8; k++) {
        const wraps = c0 + k > 0xffffffff ? 1 : 0;
        philox(expected, 4 * k, { low: keyLow, high: keyHigh }, (c0 + k) >>> 0, (c1 + wraps) >>> 0, step, stream);
      }
      const counter = (BigInt(c1) << 32n) | BigInt(c0);
      assert.deepEqual(wasmDraws(philoxBlock, 32, [keyLow, keyHigh], counter, step, stream), Array.from(expected));
    }),
    { seed: 1, numRuns: 2000 },
  );
});

test('a draw is lane index & 3 of counter ⌊index / 4⌋, also beyond 2^34', () => {
  const key = keyOfSeed(7);
  for (const first of [0, 1, 3, 5, 2 ** 34 - 2, 2 ** 40 + 1]) {
    const words = new Uint32Array(9);
    drawWords(words, key, streams.masks, 12, first);
    for (let i = 0; i < words.length; i++) {
      const out = new Uint32Array(4);
      const counter = BigInt(first + i) >> 2n;
      philox(out, 0, key, Number(counter & 0xffffffffn), Number(counter >> 32n), 12, streams.masks);
      assert.equal(words[i], out[(first + i) % 4]);
      assert.equal(drawWord(key, streams.masks, 12, first + i), words[i]);
    }
  }
});

test('a uniform draw is the float whose mantissa is the low 23 bits', () => {
  const bits = new DataView(new ArrayBuffer(4));
  for (const word of [0, 1, 0x7fffff, 0x800000, 0xffffffff, 0x6627e8d5, 0xe169c58d]) {
    bits.setUint32(0, 0x3f800000 | (word & 0x7fffff));
    assert.equal(uniformOfWord(word), bits.getFloat32(0) - 1);
  }
});

test('an integer draw is the high word of the 64-bit product', () => {
  for (const bound of [1, 2, 3, 126, 30522, 2 ** 21]) {
    for (const word of [0, 1, 0x7fffffff, 0xffffffff, 0x9b00dbd8]) {
      assert.equal(integerOfWord(word, bound), Number((BigInt(word) * BigInt(bound)) >> 32n));
    }
  }
});

test('a seed is 64 bits, and nothing else is taken for one', () => {
  assert.deepEqual(keyOfSeed(2 ** 40 + 5), { low: 5, high: 256 });
  assert.deepEqual(keyOfSeed(0xffffffffffffffffn), { low: 0xffffffff, high: 0xffffffff });
  for (const seed of [-1, 0.5, Number.NaN, 2 ** 60, -1n, 1n << 64n]) assert.throws(() => keyOfSeed(seed), RangeError);
});

test('every stream has a number of its own, below dropout, and all fit a signed high word', () => {
  const numbers = Object.values(streams);
  assert.equal(new Set(numbers).size, numbers.length);
  assert.equal(Math.max(...numbers), streams.dropout);
  assert.ok(streams.dropout + 0xffff < 2 ** 31);
});
