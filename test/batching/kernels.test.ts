/** Rows, draws and alias tables, each kernel at every vector tail. Masking and replacement: masking.test.ts. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { buildAliasTable } from '../../src/batching/frequency.js';
import { type BatchKernels, compileKernels, instantiateKernels } from '../../src/batching/kernels.js';
import { drawWords, keyOfSeed } from '../../src/random/philox.js';
import { special } from './twin.js';

const memory = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
const words = new Int32Array(memory.buffer);
let kernels: BatchKernels;
before(async () => {
  kernels = instantiateKernels(await compileKernels(), memory);
});

/** Places in the test memory, in bytes. */
const at = { source: 0x1000, row: 0x21000, draws: 0x41000 };

test('a row is [CLS] text [SEP] and padding, at every length, alignment and id width; nothing around it is touched', () => {
  const { cls, sep } = special;
  for (const idBytes of [2, 4]) {
    for (let n = 0; n <= 40; n++) {
      for (const extra of [0, 1, 2, 3, 4, 5, 17]) {
        const T = n + 2 + extra;
        const source = at.source + idBytes * (n % 3);
        const ids = Array.from({ length: n }, (_, i) => (idBytes === 2 ? 65535 - i : 2 ** 31 - 1 - i));
        if (idBytes === 2) new Uint16Array(memory.buffer, source, n).set(ids);
        else new Uint32Array(memory.buffer, source, n).set(ids);
        words.fill(-7, at.row / 4 - 8, at.row / 4 + T + 8);
        assert.equal(kernels.gatherRow(source, n, idBytes, at.row, T, cls, sep, 9), n + 2);
        const guard = Array<number>(8).fill(-7);
        assert.deepEqual(Array.from(words.subarray(at.row / 4 - 8, at.row / 4 + T + 8)), [
          ...guard,
          cls,
          ...ids,
          sep,
          ...Array<number>(extra).fill(9),
          ...guard,
        ]);
        assert.equal(kernels.largestId(source, n, idBytes), n === 0 ? 0 : ids[0]);
      }
    }
  }
});

test('the largest id is found wherever it stands', () => {
  for (const idBytes of [2, 4]) {
    const values =
      idBytes === 2 ? new Uint16Array(memory.buffer, at.source, 37) : new Uint32Array(memory.buffer, at.source, 37);
    for (let i = 0; i < 37; i++) {
      values.fill(3);
      values[i] = 0xfffe;
      for (const n of [37, 32, 17, i + 1]) {
        assert.equal(kernels.largestId(at.source, n, idBytes), n > i ? 0xfffe : 3);
      }
    }
    values[2] = idBytes === 2 ? 0xffff : 0xffffffff;
    assert.equal(kernels.largestId(at.source, 37, idBytes) >>> 0, idBytes === 2 ? 0xffff : 0xffffffff);
  }
});

test('draws of a part of a batch are those of the whole, from any index', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.integer({ min: 0, max: 70 }), fc.nat(), (first, count, step) => {
      const key = keyOfSeed(5);
      const expected = new Uint32Array(count);
      drawWords(expected, key, 3, step, first);
      const start = kernels.drawWords(at.draws, BigInt(first), count, key.low, key.high, step, 3);
      assert.deepEqual(new Uint32Array(memory.buffer, start, count).slice(), expected);
      assert.ok(start + 4 * count <= at.draws + 4 * (count + 18));
    }),
    { seed: 3, numRuns: 500 },
  );
});

test('the alias table holds each weight exactly, up to 2^-32 a column', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constant(0), fc.nat(), fc.nat(3)), { minLength: 1, maxLength: 80 }), (list) => {
      const total = list.reduce((sum, weight) => sum + weight, 0);
      if (total === 0) return;
      const table = buildAliasTable(Float64Array.from(list));
      const share = new Float64Array(list.length);
      for (let column = 0; column < list.length; column++) {
        const own = table[2 * column] / 2 ** 32;
        share[column] += own / list.length;
        share[table[2 * column + 1]] += (1 - own) / list.length;
      }
      for (const [id, weight] of list.entries()) {
        if (weight === 0) assert.equal(share[id], 0, `id ${id} never occurs`);
        assert.ok(Math.abs(share[id] - weight / total) <= list.length * 2 ** -32 + 1e-12);
      }
    }),
    { seed: 4, numRuns: 1000 },
  );
  // Counts that times V exceed 2^53 are scaled: columns 0 and 1 draw id 0, column 2 draws id 2.
  assert.deepEqual(Array.from(buildAliasTable(Float64Array.of(2 ** 53, 0, 2 ** 52))), [0, 0, 0, 0, 0, 2]);
  assert.throws(() => buildAliasTable(new Float64Array(3)), /batch: expected token counts/);
});
