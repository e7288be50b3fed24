/**
 * Masking and replacement: the kernels against their scalar twin in 10,000 random cases under all settings, how many
 * places a row gets, and the distributions of what is drawn.
 *
 * Sources of the rules: google-research/electra 8a46635, pretrain_helpers.mask (count, candidates, 85 % [MASK], draws
 * with replacement); google-research/bert eedf571, create_masked_lm_predictions (80/10/10, whole words). transformers'
 * collators mask each token or word by a coin of its own, so what they make cannot be compared.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildAliasTable, markDrawable, uniformWeights, unigramWeights } from '../../src/batching/frequency.js';
import { defaultMasking, type MaskingSettings, markContinuations, maskedPerRow } from '../../src/batching/masking.js';
import { drawWord, integerOfWord, keyOfSeed, uniformOfWord } from '../../src/random/philox.js';
import { streams } from '../../src/random/streams.js';
import { assertExpected } from '../chiSquare.js';
import { kernels, memory, words } from './kernelMemory.js';
import { type MaskedRow, maskRow, type RowSettings, roundHalfEven, type Special } from './maskingTwin.js';
import { special } from './twin.js';

/** Places in the test memory, in bytes. */
const at = { ids: 0x1000, lengths: 0x21000, places: 0x41000, seen: 0x61000, counts: 0x81000, given: 0xa1000 };
const tables = { continuations: 0xc1000, table: 0xe1000, drawable: 0x141000, scratch: 0x161000 };
const draws = { places: 0x1a1000, choices: 0x221000, random: 0x261000, replacement: 0x2a1000 };

/** What the twin has to know, and the tables as the loader makes them. */
interface KernelSettings extends RowSettings {
  continuations: Uint8Array;
}

function settingsOf(masking: Partial<MaskingSettings>, T: number, parts: Partial<KernelSettings> = {}): KernelSettings {
  const full = { ...defaultMasking, ...masking };
  const N = maskedPerRow(full.maskProb, T);
  const V = parts.V ?? 200;
  const continuations = parts.continuations ?? new Uint8Array(V);
  const continues = (id: number) => continuations[id] === 1;
  return { masking: full, special, T, N, V, key: keyOfSeed(6), step: 0, continuations, continues, ...parts };
}

/** B rows of ids (T) and lengths (S), whose draws are counted from `first` on. @returns the kernel's answer. */
function runKernels(rows: number[][], lengths: number[][], first: number, settings: KernelSettings): number {
  const { masking, T, N, V, key, step, table, weights, disallowCorrect } = settings;
  const { pad, cls, sep, mask } = settings.special;
  const B = rows.length;
  const { wholeWordMask, randomReplaceProb } = masking;
  words.set(rows.flat(), at.ids / 4);
  words.set(lengths.flat(), at.lengths / 4);
  const bytes = new Uint8Array(memory.buffer);
  bytes.set(settings.continuations, tables.continuations);
  const draw = (out: number, stream: number, each: number) =>
    kernels.drawWords(out, BigInt(first * each), B * each, key.low, key.high, step, stream);
  const masked = kernels.maskRows(
    at.ids,
    at.lengths,
    at.places,
    at.seen,
    at.counts,
    tables.scratch,
    wholeWordMask ? tables.continuations : 0,
    wholeWordMask ? draw(draws.places, streams.wordOrder, T) : draw(draws.places, streams.masks, N),
    draw(draws.choices, streams.maskChoice, N),
    draw(draws.random, streams.randomIds, N),
    B,
    lengths[0].length,
    T,
    N,
    wholeWordMask ? T : N,
    V,
    masking.maskProb,
    masking.maskReplaceProb,
    randomReplaceProb,
    masking.maskWithReplacement,
    cls,
    sep,
    mask,
    pad,
  );
  if (masked < 0 || table === undefined) return masked;
  new Uint32Array(memory.buffer).set(table, tables.table / 4);
  const replacementDraws = draw(draws.replacement, streams.replacement, 2 * N);
  kernels.drawReplacements(at.ids, at.counts, at.given, replacementDraws, tables.table, B, T, N, V);
  if (disallowCorrect) {
    bytes.set(markDrawable(Float64Array.from(weights!)), tables.drawable);
    kernels.redrawCorrect(
      at.ids,
      at.places,
      at.counts,
      at.given,
      tables.table,
      tables.drawable,
      tables.scratch,
      BigInt(first * N),
      key.low,
      key.high,
      step,
      streams.replacementAgain,
      B,
      T,
      N,
      V,
    );
  }
  return masked;
}

/** What the kernels wrote, as the twin tells it. */
function readRow(row: number, { N, table }: KernelSettings): Omit<MaskedRow, 'met'> {
  const plane = (address: number) => Array.from(words.subarray(address / 4 + row * N, address / 4 + (row + 1) * N));
  const given = table && plane(at.given);
  return { places: plane(at.places), seen: plane(at.seen), count: words[at.counts / 4 + row], given };
}

/** Rows, special ids, tables and settings of a random case: everything small, so that what is rare is met. */
function randomCase(seed: number) {
  let drawn = 0;
  const integer = (bound: number) => integerOfWord(drawWord(keyOfSeed(99), 1, seed, drawn++), bound);
  const chance = (share: number) => uniformOfWord(drawWord(keyOfSeed(99), 1, seed, drawn++)) < share;
  const pick = <Item>(items: readonly Item[]) => items[integer(items.length)];

  const V = 7 + integer(30);
  const free = Array.from({ length: V }, (_, id) => id);
  const take = () => free.splice(integer(free.length), 1)[0];
  const special: Special = { pad: take(), cls: take(), sep: take(), mask: take() };
  const maskProb = pick([0.15, 0.15, 0.25, 0.4, 0.5, 0.9]);
  const T = Math.ceil(1.001 / (maskProb + 0.005)) + integer(60);
  const S = 1 + integer(4);
  const B = 1 + integer(2);
  const favourite = pick(free);
  const rows: number[][] = [];
  const lengths: number[][] = [];
  for (let row = 0; row < B; row++) {
    const segments: number[] = [];
    let left = chance(0.05) ? 0 : chance(0.5) ? T : 1 + integer(T);
    for (let s = 0; s < S; s++) {
      const length = s === S - 1 ? left : integer(left + 1);
      segments.push(length);
      left -= length;
    }
    const length = segments.reduce((sum, one) => sum + one, 0);
    const specials = pick([0.02, 0.1, 0.6]);
    const ids = Array.from({ length }, () => {
      if (chance(specials)) return pick(Object.values(special));
      return chance(0.3) ? favourite : pick(free);
    });
    // Padding as the loader has it, and ids that nothing may look at.
    while (ids.length < T) ids.push(chance(0.9) ? special.pad : pick(free));
    rows.push(ids);
    lengths.push(segments);
  }
  const share = pick([0.1, 0.5, 0.95]);
  const continuations = Uint8Array.from({ length: V }, () => (chance(share) ? 1 : 0));
  const way = integer(3);
  const maskReplaceProb = pick([0.85, 0.8, 1, 0, 0.3]);
  const masking: Partial<MaskingSettings> = {
    maskProb,
    maskReplaceProb,
    randomReplaceProb: pick([0, 0.1, 1 - maskReplaceProb]) * (maskReplaceProb === 1 ? 0 : 1),
    wholeWordMask: way === 1,
    maskWithReplacement: way === 2,
  };
  const weights = new Float64Array(V);
  const kind = integer(3);
  for (const id of free) weights[id] = kind === 0 ? 1 : kind === 1 ? integer(50) : integer(2);
  weights[favourite] = kind === 2 ? 1000 : 1;
  weights[free[0] === favourite ? free[1] : free[0]] ||= 1;
  const settings = settingsOf(masking, T, {
    special,
    V,
    continuations,
    key: keyOfSeed(BigInt(seed) << 20n),
    step: integer(1000),
    weights,
    table: buildAliasTable(weights),
    disallowCorrect: chance(0.5),
  });
  return { rows, lengths, first: chance(0.5) ? 0 : integer(2 ** 20), settings };
}

test('masking and replacement are those of the scalar twin in 10,000 random cases', () => {
  const met = new Map<string, number>();
  const note = (what: string) => met.set(what, (met.get(what) ?? 0) + 1);
  for (let seed = 0; seed < 10_000; seed++) {
    const { rows, lengths, first, settings } = randomCase(seed);
    const written: [number, number][] = [
      [at.places, rows.length * settings.N],
      [at.seen, rows.length * settings.N],
      [at.given, rows.length * settings.N],
      [at.counts, rows.length],
      [tables.scratch, 2 * settings.T],
    ];
    for (const [address, length] of written) words.fill(-7, address / 4 + length, address / 4 + length + 8);
    const total = runKernels(rows, lengths, first, settings);
    for (const [address, length] of written) {
      assert.ok(words.subarray(address / 4 + length, address / 4 + length + 8).every((word) => word === -7));
    }
    const never = new Set(Object.values(settings.special));
    const empty = rows.findIndex((ids, row) => {
      const length = lengths[row].reduce((sum, one) => sum + one, 0);
      return length > 0 && ids.slice(0, length).every((id) => never.has(id));
    });
    if (empty >= 0) {
      note('special tokens only');
      assert.equal(total, -1 - empty, `case ${seed}`);
      continue;
    }
    let sum = 0;
    for (const [row, ids] of rows.entries()) {
      const { met: metHere, ...expected } = maskRow(ids, lengths[row], first + row, settings);
      assert.deepEqual(readRow(row, settings), expected, `case ${seed}, row ${row}`);
      sum += expected.count;
      for (const what of metHere) note(what);
    }
    assert.equal(total, sum);
  }
  for (const what of ['special tokens only', 'clash', 'passed over', 'no word fits', 'drawn again', 'next id']) {
    assert.ok((met.get(what) ?? 0) >= 100, `${what}: met ${met.get(what)} times`);
  }
});

function rowOf(tokens: number[]): number[] {
  return [special.cls, ...tokens, special.sep];
}

const numbered = (n: number) => Array.from({ length: n }, (_, i) => 10 + i);

test('the masked count is round-half-even(maskProb × length), at least 1, at most N, for every length', () => {
  for (const maskWithReplacement of [false, true]) {
    for (const maskProb of [0.15, 0.25, 0.5, 0.3]) {
      for (let T = 7; T <= 513; T++) {
        const settings = settingsOf({ maskProb, maskWithReplacement }, T);
        const expected = Math.min(Math.max(roundHalfEven(maskProb * T), 1), Math.floor((maskProb + 0.005) * T));
        assert.equal(runKernels([rowOf(Array<number>(T - 2).fill(9))], [[T]], 0, settings), expected);
      }
    }
  }
  // By hand, at 0.15: 1.5 → 2 (of N = 1), 4.5 → 4, 10.5 → 10, 19.2 → 19; in 128 places with room for 19, 3 tokens → 1.
  for (const [T, length, count] of [
    [10, 10, 1],
    [30, 30, 4],
    [70, 70, 10],
    [128, 128, 19],
    [128, 3, 1],
  ]) {
    const ids = rowOf(Array<number>(length - 2).fill(9)).concat(Array<number>(T - length).fill(special.pad));
    assert.equal(runKernels([ids], [[length]], 0, settingsOf({}, T)), count);
  }
});

test('whole words fill the count exactly where words of one piece are left, and never exceed it', () => {
  const continuations = Uint8Array.from({ length: 200 }, (_, id) => (id >= 100 ? 1 : 0));
  for (let T = 10; T <= 300; T++) {
    const tokens = Array.from({ length: T - 2 }, (_, i) => (i < T / 2 && i % 3 > 0 ? 100 : 9));
    const settings = settingsOf({ wholeWordMask: true }, T, { continuations, step: T });
    const wanted = Math.min(Math.max(roundHalfEven(0.15 * T), 1), settings.N);
    assert.equal(runKernels([rowOf(tokens)], [[T]], 0, settings), wanted);
  }
});

test('places are drawn without replacement, and never a special token', () => {
  const { cls, sep, mask, pad } = special;
  const text = Array.from({ length: 62 }, (_, i) => [9, mask, 9, cls, 1, pad, 9, sep][i % 8]);
  const ids = [cls, ...text, sep];
  for (let step = 0; step < 500; step++) {
    const count = runKernels([ids], [[64]], 0, settingsOf({ maskProb: 0.5 }, 64, { step }));
    const places = Array.from(words.subarray(at.places / 4, at.places / 4 + count));
    assert.equal(count, 31, '32 are wanted, 31 are candidates: 9 and [UNK]');
    assert.equal(new Set(places).size, count);
    assert.ok(places.every((place) => ids[place] === 9 || ids[place] === 1));
  }
});

/** How often each place of a row is chosen in `steps` steps. */
function countPlaces(ids: number[], masking: Partial<MaskingSettings>, steps: number): number[] {
  const hits = new Array<number>(ids.length).fill(0);
  for (let step = 0; step < steps; step++) {
    const count = runKernels([ids], [[ids.length]], 0, settingsOf(masking, ids.length, { step }));
    for (let j = 0; j < count; j++) hits[words[at.places / 4 + j]]++;
  }
  return hits;
}

test('every candidate is masked equally often, with and without replacement (chi-square, p > 0.001)', () => {
  const T = 64;
  const steps = 5000;
  const ids = rowOf(numbered(T - 2));
  for (const maskWithReplacement of [false, true]) {
    const hits = countPlaces(ids, { maskWithReplacement }, steps);
    assert.deepEqual([hits[0], hits[T - 1]], [0, 0]);
    // Of 64 places, N = 9. Drawn without replacement, the counts vary less than independent draws do: on the safe side.
    assertExpected(hits.slice(1, T - 1), Array<number>(T - 2).fill((9 * steps) / (T - 2)));
  }
});

test('draws with replacement hit as many different places as chance has it (chi-square, p > 0.001)', () => {
  // 19 draws of 126: how many places differ, by recursion on the draws.
  let chances = [1];
  for (let draw = 0; draw < 19; draw++) {
    const next = new Array<number>(chances.length + 1).fill(0);
    for (const [distinct, chance] of chances.entries()) {
      next[distinct] += (chance * distinct) / 126;
      next[distinct + 1] += (chance * (126 - distinct)) / 126;
    }
    chances = next;
  }
  const steps = 5000;
  const observed = new Array<number>(20).fill(0);
  const ids = rowOf(numbered(126));
  for (let step = 0; step < steps; step++) {
    assert.equal(runKernels([ids], [[128]], 0, settingsOf({ maskWithReplacement: true }, 128, { step })), 19);
    const places = words.subarray(at.places / 4, at.places / 4 + 19);
    observed[new Set(places).size]++;
  }
  const merged = (values: number[], scale = 1) => {
    const tail = values.slice(0, 15).reduce((sum, value) => sum + value, 0);
    return [tail, ...values.slice(15)].map((value) => value * scale);
  };
  assertExpected(merged(observed), merged(chances, steps), 'places that differ');
});

test('whole words come as a random order taken while they fit has it (chi-square, p > 0.001)', () => {
  // Words of 1, 2, 3, 1, 5 and 2 pieces; 4 of the 16 places are wanted. All 720 orders, by the rule of BERT's script.
  const sizes = [1, 2, 3, 1, 5, 2];
  const starts = sizes.map((_, word) => 1 + sizes.slice(0, word).reduce((sum, size) => sum + size, 0));
  const permute = (items: number[]): number[][] =>
    items.length === 0
      ? [[]]
      : items.flatMap((item) => permute(items.filter((other) => other !== item)).map((rest) => [item, ...rest]));
  const expected = new Map<string, number>();
  const steps = 20_000;
  for (const order of permute([0, 1, 2, 3, 4, 5])) {
    const taken: number[] = [];
    for (const word of order) {
      if (taken.length + sizes[word] > 4) continue;
      for (let piece = 0; piece < sizes[word]; piece++) taken.push(starts[word] + piece);
    }
    const outcome = taken.sort((a, b) => a - b).join();
    expected.set(outcome, (expected.get(outcome) ?? 0) + steps / 720);
  }
  const tokens = sizes.flatMap((size) => Array.from({ length: size }, (_, piece) => (piece === 0 ? 9 : 100)));
  const continuations = Uint8Array.from({ length: 200 }, (_, id) => (id === 100 ? 1 : 0));
  const masking = { maskProb: 0.25, wholeWordMask: true };
  const observed = new Map<string, number>();
  for (let step = 0; step < steps; step++) {
    const settings = settingsOf(masking, 16, { continuations, step });
    const count = runKernels([rowOf(tokens)], [[16]], 0, settings);
    const places = Array.from(words.subarray(at.places / 4, at.places / 4 + count));
    const outcome = places.sort((a, b) => a - b).join();
    observed.set(outcome, (observed.get(outcome) ?? 0) + 1);
  }
  const outcomes = [...expected.keys()];
  assert.deepEqual([...observed.keys()].sort(), [...outcomes].sort());
  assertExpected(
    outcomes.map((outcome) => observed.get(outcome)!),
    outcomes.map((outcome) => expected.get(outcome)!),
  );
});

test('masked places show [MASK], a random id or their own in the shares asked for (chi-square, p > 0.001)', () => {
  const T = 128;
  // One id that no draw gives: what is not [MASK] and not it was drawn.
  const V = 60;
  const ids = rowOf(Array<number>(T - 2).fill(5));
  for (const [maskReplaceProb, randomReplaceProb] of [
    [0.85, 0],
    [0.8, 0.1],
    [1, 0],
    [0, 1],
    [0.5, 0.5],
  ]) {
    const hits = new Array<number>(V).fill(0);
    const steps = 1000;
    for (let step = 0; step < steps; step++) {
      const settings = settingsOf({ maskReplaceProb, randomReplaceProb }, T, { step, V });
      const count = runKernels([ids], [[T]], 0, settings);
      for (let j = 0; j < count; j++) hits[words[at.seen / 4 + j]]++;
    }
    const total = 19 * steps;
    const drawn = (total * randomReplaceProb) / (V - 4);
    const kept = total * (1 - maskReplaceProb - randomReplaceProb);
    const expected = hits.map((_, id) =>
      id === special.mask ? total * maskReplaceProb : [0, 2, 3].includes(id) ? 0 : drawn + (id === 5 ? kept : 0),
    );
    const possible = expected.flatMap((count, id) => (count > 1e-6 ? [id] : []));
    assert.equal(
      possible.reduce((sum, id) => sum + hits[id], 0),
      total,
      'nothing else comes',
    );
    if (possible.length === 1) continue;
    assertExpected(
      possible.map((id) => hits[id]),
      possible.map((id) => expected[id]),
      `${maskReplaceProb}, ${randomReplaceProb}`,
    );
  }
});

test('replacements have the shares of the weights, without the original if that is disallowed (chi-square)', () => {
  const V = 50;
  const tokenCounts = Float64Array.from({ length: V }, (_, id) => (id % 7 === 6 ? 0 : (id + 1) ** 2));
  const unigram = unigramWeights(tokenCounts, special);
  assert.deepEqual(Array.from(unigram.subarray(0, 6)), [0, 4, 0, 0, 0, 36]);
  const uniform = uniformWeights(V, special);
  assert.deepEqual(Array.from(uniform.subarray(0, 6)), [0, 1, 0, 0, 0, 1]);
  const T = 128;
  const original = 48;
  const ids = rowOf(Array<number>(T - 2).fill(original));
  for (const weights of [unigram, uniform]) {
    for (const disallowCorrect of [false, true]) {
      const hits = new Array<number>(V).fill(0);
      const settings = settingsOf({}, T, { V, weights, table: buildAliasTable(weights), disallowCorrect });
      const steps = 2500;
      for (let step = 0; step < steps; step++) {
        const count = runKernels([ids], [[T]], step, { ...settings, step });
        for (let j = 0; j < count; j++) hits[words[at.given / 4 + j]]++;
      }
      const shares = Array.from(weights, (weight, id) => (disallowCorrect && id === original ? 0 : weight));
      const total = shares.reduce((sum, share) => sum + share, 0);
      const possible = shares.flatMap((share, id) => (share > 0 ? [id] : []));
      assert.equal(
        possible.reduce((sum, id) => sum + hits[id], 0),
        19 * steps,
        'nothing else comes',
      );
      assertExpected(
        possible.map((id) => hits[id]),
        possible.map((id) => (19 * steps * shares[id]) / total),
      );
    }
  }
});

test('replacements that must differ need two ids with a weight', () => {
  assert.deepEqual(Array.from(markDrawable(Float64Array.of(0, 3, 0, 1))), [0, 1, 0, 1]);
  for (const weights of [Float64Array.of(0, 3, 0), new Float64Array(3)]) {
    assert.throws(() => markDrawable(weights), /batch: expected two ids to draw replacements from.*got [01]/);
  }
});

test('pieces that begin with "##" go on with a word', () => {
  assert.deepEqual(
    Array.from(markContinuations(['[UNK]', 'a', '##b', '#', '##', 'c##', '###'])),
    [0, 0, 1, 0, 1, 0, 1],
  );
});
