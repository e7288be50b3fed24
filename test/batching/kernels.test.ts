/** Rows, draws and alias tables, each kernel at every vector tail. Masking and replacement: masking.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildAliasTable } from '../../src/batching/frequency.js';
import { keyedPermutation, permute } from '../../src/random/permutation.js';
import { drawWord, drawWords, keyOfSeed } from '../../src/random/philox.js';
import { kernels, memory, words } from './kernelMemory.js';
import { special } from './twin.js';

/** Places in the test memory, in bytes. */
const at = {
  source: 0x1000,
  pieces: 0x21000,
  rows: 0x31000,
  ids: 0x41000,
  lengths: 0x61000,
  seconds: 0x71000,
  draws: 0x81000,
};

/** Pieces of a row: what opens each (0 segment, 1 second part, 2 nothing) and its ids. */
type Row = { opening: number; ids: number[] }[];

/** By the rules: [CLS] before a segment, [SEP] behind each part. */
function expectedRow(row: Row, T: number, S: number, pad: number) {
  const { cls, sep } = special;
  const ids: number[] = [];
  const lengths: number[] = [];
  const seconds: number[] = [];
  let start = 0;
  const close = () => {
    if (ids.length === start) return;
    ids.push(sep);
    lengths.push(ids.length - start);
    if (seconds.length < lengths.length) seconds.push(ids.length - start);
    start = ids.length;
  };
  for (const { opening, ids: piece } of row) {
    if (opening === 0) {
      close();
      ids.push(cls);
    } else if (opening === 1) {
      ids.push(sep);
      seconds.push(ids.length - start);
    }
    ids.push(...piece);
  }
  close();
  const fill = (list: number[], length: number, value: number) => [
    ...list,
    ...Array<number>(Math.max(0, length - list.length)).fill(value),
  ];
  return { length: ids.length, ids: fill(ids, T, pad), lengths: fill(lengths, S, 0), seconds: fill(seconds, S, 0) };
}

/** Runs of the block, which no kernel reads. */
const runs = 3;

/** Gather rows of pieces that lie one behind the other, each `shift` ids off; checks what stands around the planes. */
function assertGathered(rows: Row[], idBytes: 2 | 4, T: number, S: number, shift: number): void {
  const { cls, sep } = special;
  const B = rows.length;
  const pad = 9;
  const ids = rows.flat().flatMap(({ ids }) => [...Array<number>(shift).fill(7), ...ids]);
  if (idBytes === 2) new Uint16Array(memory.buffer, at.source, ids.length).set(ids);
  else new Uint32Array(memory.buffer, at.source, ids.length).set(ids);
  // A block's index: rows of padding are not in it.
  const head = at.pieces / 4;
  const firsts = head + 4 + 5 * runs;
  let [place, piece, example] = [0, 0, 0];
  words.set([rows.length, runs, rows.flat().length, ids.length], head);
  for (const [number, row] of rows.entries()) {
    words.set([at.source, row.length === 0 ? 0 : at.pieces, example], at.rows / 4 + 3 * number);
    if (row.length > 0) words[firsts + example++] = piece;
    for (const { opening, ids } of row) {
      words[firsts + rows.length + 1 + 2 * piece] = place + shift;
      words[firsts + rows.length + 2 + 2 * piece] = ids.length | (opening << 30);
      piece++;
      place += shift + ids.length;
    }
  }
  words.fill(piece, firsts + example, firsts + rows.length + 1);
  const guard = 8;
  const planes = [
    { address: at.ids, length: B * T },
    { address: at.lengths, length: B * S },
    { address: at.seconds, length: B * S },
  ];
  for (const { address, length } of planes) words.fill(-7, address / 4 - guard, address / 4 + length + guard);
  const expected = rows.map((row) => expectedRow(row, T, S, pad));
  const longest = Math.max(...expected.map(({ length }) => length));
  kernels.openRows(at.rows, B, idBytes);
  assert.equal(kernels.longestRow(at.rows, B), longest);
  const total = kernels.gatherRows(at.rows, B, S, T, idBytes, at.ids, at.lengths, at.seconds, cls, sep, pad);
  assert.equal(
    total,
    expected.reduce((sum, { length }) => sum + length, 0),
  );
  for (const [i, name] of (['ids', 'lengths', 'seconds'] as const).entries()) {
    const { address, length } = planes[i];
    const around = Array<number>(guard).fill(-7);
    assert.deepEqual(
      Array.from(words.subarray(address / 4 - guard, address / 4 + length + guard)),
      [...around, ...expected.flatMap((row) => row[name]), ...around],
      name,
    );
  }
}

test('a row is [CLS] text [SEP] and padding, at every length, alignment and id width; nothing around it is touched', () => {
  for (const idBytes of [2, 4] as const) {
    for (let n = 0; n <= 40; n++) {
      for (const extra of [0, 1, 2, 3, 4, 5, 17]) {
        const ids = Array.from({ length: n }, (_, i) => (idBytes === 2 ? 65535 - i : 2 ** 31 - 1 - i));
        assertGathered([[{ opening: 0, ids }], []], idBytes, n + 2 + extra, 1, n % 3);
      }
    }
  }
});

test('segments, second parts and pieces that go on stand as the rules say', () => {
  const id = fc.integer({ min: 5, max: 60_000 });
  const part = fc.array(fc.array(id, { minLength: 1, maxLength: 9 }), { minLength: 1, maxLength: 3 });
  const segment = fc
    .tuple(part, fc.option(part))
    .map(([first, second]) => [
      ...first.map((ids, i) => ({ opening: i === 0 ? 0 : 2, ids })),
      ...(second ?? []).map((ids, i) => ({ opening: i === 0 ? 1 : 2, ids })),
    ]);
  const rows = fc.array(fc.array(segment, { maxLength: 4 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(rows, fc.constantFrom(2, 4), fc.nat(5), fc.nat(2), fc.nat(3), (list, idBytes, extra, more, shift) => {
      const rows = list.map((segments) => segments.flat());
      const T = Math.max(...rows.map((row) => expectedRow(row, 0, 0, 0).ids.length)) + extra;
      assertGathered(rows, idBytes as 2 | 4, T, Math.max(...list.map(({ length }) => length)) + more, shift);
    }),
    { seed: 4, numRuns: 1000 },
  );
});

test('images of a permutation are those of the plain one, for every small n, from any index, and up to 2^32', () => {
  const key = keyOfSeed(12);
  const out = at.ids;
  const check = (n: number, first: number, count: number, step: number) => {
    const permutation = keyedPermutation(n, key, 6, step);
    words.set(permutation.roundKeys, at.rows / 4);
    kernels.permuteRun(out, first, count, n, permutation.a, permutation.b, at.rows);
    const expected = Array.from({ length: count }, (_, i) => permute(permutation, first + i));
    assert.deepEqual(Array.from(new Uint32Array(memory.buffer, out, count)), expected, `n ${n}, from ${first}`);
  };
  for (let n = 1; n <= 300; n++) check(n, 0, n, n);
  for (const n of [65_535, 65_536, 65_537, 4161 * 30, 2 ** 31 - 1, 2 ** 31 + 5, 2 ** 32 - 1]) {
    for (let i = 0; i < 200; i++) {
      const first = i === 0 ? n - 9 : Math.floor((drawWord(key, 0, n % 1000, i) / 2 ** 32) * (n - 9));
      check(n, first, 1 + (i % 9), i);
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
      assert.ok(start + 4 * count <= at.draws + 4 * (count + 34));
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
