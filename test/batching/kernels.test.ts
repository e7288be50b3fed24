/** The kernels one by one, at every vector tail, against the scalar rules; and the statistics of what is drawn. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { buildAliasTable, replacementWeights } from '../../src/batching/frequency.js';
import { type BatchKernels, compileKernels, instantiateKernels } from '../../src/batching/kernels.js';
import { maskedPerRow } from '../../src/batching/masking.js';
import { drawWords, keyOfSeed } from '../../src/random/philox.js';
import { roundHalfEven, special } from './twin.js';

const memory = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
const words = new Int32Array(memory.buffer);
let kernels: BatchKernels;
before(async () => {
  kernels = instantiateKernels(await compileKernels(), memory);
});

/** Places in the test memory, in bytes. */
const at = { source: 0x1000, row: 0x21000, lengths: 0x41000, places: 0x61000, seen: 0x81000, counts: 0xa1000 };
const scratch = { candidates: 0xc1000, placeDraws: 0xe1000, keepDraws: 0x121000, table: 0x161000, draws: 0x181000 };
const given = 0x301000;

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
      const start = kernels.drawWords(scratch.draws, BigInt(first), count, key.low, key.high, step, 3);
      assert.deepEqual(new Uint32Array(memory.buffer, start, count).slice(), expected);
      assert.ok(start + 4 * count <= scratch.draws + 4 * (count + 18));
    }),
    { seed: 3, numRuns: 500 },
  );
});

/** Mask one row of `ids` at the head of a buffer of T places with the draws of a step. @returns the kernel's answer. */
function maskRow(ids: number[], maskProb: number, step: number): number {
  const N = maskedPerRow(maskProb, ids.length);
  const key = keyOfSeed(6);
  words.set(ids, at.row / 4);
  words[at.lengths / 4] = ids.length;
  const placeDraws = kernels.drawWords(scratch.placeDraws, 0n, N, key.low, key.high, step, 1);
  const keepDraws = kernels.drawWords(scratch.keepDraws, 0n, N, key.low, key.high, step, 2);
  const { cls, sep, mask, pad } = special;
  const maskBelow = Math.round(0.85 * 2 ** 32);
  return kernels.maskRows(
    at.row,
    at.lengths,
    at.places,
    at.seen,
    at.counts,
    scratch.candidates,
    placeDraws,
    keepDraws,
    1,
    ids.length,
    N,
    maskProb,
    maskBelow,
    cls,
    sep,
    mask,
    pad,
  );
}

test('the masked count is round-half-even(maskProb × length), at least 1, at most N, for every length', () => {
  for (const maskProb of [0.15, 0.25, 0.5, 0.3]) {
    for (let T = 7; T <= 513; T++) {
      const N = Math.floor((maskProb + 0.005) * T);
      const expected = Math.min(Math.max(roundHalfEven(maskProb * T), 1), N);
      assert.equal(maskRow([special.cls, ...Array<number>(T - 2).fill(9), special.sep], maskProb, T), expected);
    }
  }
  // By hand, at 0.15: 1.5 → 2 (of N = 1), 4.5 → 4, 10.5 → 10, 19.2 → 19.
  for (const [T, count] of [
    [10, 1],
    [30, 4],
    [70, 10],
    [128, 19],
  ]) {
    assert.equal(maskRow([special.cls, ...Array<number>(T - 2).fill(9), special.sep], 0.15, 0), count);
  }
});

test('places are drawn without replacement, and never a special token', () => {
  const { cls, sep, mask, pad } = special;
  const text = Array.from({ length: 62 }, (_, i) => [9, mask, 9, cls, 1, pad, 9, sep][i % 8]);
  const ids = [cls, ...text, sep];
  for (let step = 0; step < 500; step++) {
    const count = maskRow(ids, 0.5, step);
    const places = Array.from(words.subarray(at.places / 4, at.places / 4 + count));
    assert.equal(count, 31, '32 are wanted, 31 are candidates: 9 and [UNK]');
    assert.equal(new Set(places).size, count);
    assert.ok(places.every((place) => ids[place] === 9 || ids[place] === 1));
  }
});

/** Σ (observed − expected)² / expected, and its critical value at p = 0.001 by Wilson and Hilferty. */
function assertEven(counts: number[], expected: number[]): void {
  const statistic = counts.reduce((sum, count, i) => sum + (count - expected[i]) ** 2 / expected[i], 0);
  const freedom = counts.length - 1;
  const critical = freedom * (1 - 2 / (9 * freedom) + 3.0902 * Math.sqrt(2 / (9 * freedom))) ** 3;
  assert.ok(statistic < critical, `chi-square ${statistic} of ${critical}`);
}

test('every candidate is masked equally often, and 85 % of the masked show [MASK] (chi-square, p > 0.001)', () => {
  const T = 64;
  const steps = 20_000;
  const ids = [special.cls, ...Array.from({ length: T - 2 }, (_, i) => 10 + i), special.sep];
  const hits = new Array<number>(T).fill(0);
  let masked = 0;
  let total = 0;
  for (let step = 0; step < steps; step++) {
    const count = maskRow(ids, 0.15, step);
    for (let j = 0; j < count; j++) {
      const place = words[at.places / 4 + j];
      hits[place]++;
      const seen = words[at.seen / 4 + j];
      if (seen === special.mask) masked++;
      else assert.equal(seen, ids[place]);
    }
    total += count;
  }
  assert.equal(total, 9 * steps, 'of 64 places, N = 9');
  assert.deepEqual([hits[0], hits[T - 1]], [0, 0]);
  // Drawn without replacement, the counts vary less than independent draws do: the test is on the safe side.
  assertEven(hits.slice(1, T - 1), Array<number>(T - 2).fill(total / (T - 2)));
  assertEven([masked, total - masked], [0.85 * total, 0.15 * total]);
});

test('replacements have the frequencies of the tokens (chi-square, p > 0.001); specials and absent ids never come', () => {
  const tokenCounts = Float64Array.from({ length: 50 }, (_, id) => (id % 7 === 6 ? 0 : (id + 1) ** 2));
  const weights = replacementWeights(tokenCounts, special);
  assert.deepEqual([weights[0], weights[1], weights[2], weights[3], weights[4]], [0, 4, 0, 0, 0]);
  const table = buildAliasTable(weights);
  new Uint32Array(memory.buffer, scratch.table, 100).set(table);
  const N = 50_000;
  const key = keyOfSeed(8);
  words[at.counts / 4] = N;
  const draws = kernels.drawWords(scratch.draws, 0n, 2 * N, key.low, key.high, 0, 3);
  kernels.drawReplacements(at.row, at.counts, given, draws, scratch.table, 1, 1, N, 50);
  const hits = new Array<number>(50).fill(0);
  for (let j = 0; j < N; j++) hits[words[given / 4 + j]]++;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const drawn = Array.from(weights.keys()).filter((id) => weights[id] > 0);
  assert.equal(
    drawn.reduce((sum, id) => sum + hits[id], 0),
    N,
  );
  assertEven(
    drawn.map((id) => hits[id]),
    drawn.map((id) => (N * weights[id]) / total),
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
