/** Replacements from stored candidates: drawn as the rule says, of the batches that they were stored for, kept whole. */
import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { sealRecord } from '../../src/batching/cached/record.js';
import { RepeatedOrder } from '../../src/batching/cached/repetition.js';
import { openLoader } from '../../src/batching/loader.js';
import type { LoaderOptions } from '../../src/batching/options.js';
import { ShuffledOrder } from '../../src/dataset/order.js';
import { drawWord, drawWords, keyOfSeed } from '../../src/random/philox.js';
import { streams } from '../../src/random/streams.js';
import { assertExpected } from '../chiSquare.js';
import { writeSyntheticDataset } from '../dataset/synthetic.js';
import { randomInts } from '../random.js';
import { drawPlainly, makeCandidates, makeStore, type PlaceCandidates, probabilities, storedAt } from './cachedTwin.js';
import { makeDocuments, planesOf } from './documents.js';
import { kernels, memory, words } from './kernelMemory.js';
import type { Planes } from './twin.js';

const scratch = mkdtempSync(path.join(os.tmpdir(), 'galvani-cached-'));
after(() => rmSync(scratch, { recursive: true }));

// The kernel.

const at = {
  scratch: 0x400,
  ids: 0x1000,
  places: 0x8000,
  counts: 0x10000,
  given: 0x18000,
  draws: 0x20000,
  // As in a record, at no multiple of 8.
  logProbs: 0x4000c,
  candidates: 0x200004,
};
const key = keyOfSeed(77);

interface Drawing {
  idBytes: 2 | 4;
  temperature: number;
  step: number;
  disallowCorrect: boolean;
}

/** Rows of T places of which the last `count` are masked, last first, with room for one more. (B, N) given. */
function drawRows(
  rows: number[][],
  count: number,
  candidates: PlaceCandidates[],
  { idBytes, temperature, step, disallowCorrect }: Drawing,
) {
  const [B, T, N] = [rows.length, rows[0].length, count + 1];
  const k = candidates[0].ids.length;
  words.set(rows.flat(), at.ids / 4);
  const places = Array.from({ length: N }, (_, j) => (j < count ? T - 1 - j : 0));
  words.set(
    rows.flatMap(() => places),
    at.places / 4,
  );
  words.fill(count, at.counts / 4, at.counts / 4 + B);
  const size = B * N * k;
  const ids =
    idBytes === 2
      ? new Uint16Array(memory.buffer, at.candidates, size)
      : new Uint32Array(memory.buffer, at.candidates, size);
  const logProbs = new Float32Array(memory.buffer, at.logProbs, size);
  for (let row = 0; row < B; row++) {
    for (let j = 0; j < count; j++) {
      ids.set(candidates[row * count + j].ids, (row * N + j) * k);
      logProbs.set(candidates[row * count + j].logProbs, (row * N + j) * k);
    }
  }
  const draws = kernels.drawWords(at.draws, 0n, B * N, key.low, key.high, step, streams.cachedCandidates);
  kernels.drawCached(
    at.ids,
    at.places,
    at.counts,
    at.given,
    draws,
    at.logProbs,
    at.candidates,
    idBytes,
    at.scratch,
    temperature,
    B,
    T,
    N,
    k,
    disallowCorrect,
  );
  return Array.from(words.subarray(at.given / 4, at.given / 4 + B * N));
}

test('the kernel draws what plain arithmetic draws, in 10,000 cases', () => {
  let cases = 0;
  const met = { first: 0, later: 0, excluded: 0 };
  for (let step = 0; cases < 10_000; step++) {
    const k = 1 + (step % 13);
    const vocabularySize = step % 2 ? 60_000 : 2 ** 20;
    const [B, T, count] = [24, 11, 7];
    const rows = Array.from({ length: B }, (_, row) => [...randomInts(T, 100 * step + row, vocabularySize)]);
    const candidates = rows.flatMap((ids, row) =>
      Array.from({ length: count }, (_, j) =>
        makeCandidates(k, vocabularySize, (step * B + row) * count + j, ids[T - 1 - j], (row + j) % (k + 3)),
      ),
    );
    const drawing: Drawing = {
      idBytes: step % 2 ? 2 : 4,
      temperature: [1, 0.25, 3, 1e-3, 1e4, 1e-310][step % 6],
      step,
      disallowCorrect: k > 1 && step % 3 === 0,
    };
    const given = drawRows(rows, count, candidates, drawing);
    const drawn = new Uint32Array(B * (count + 1));
    drawWords(drawn, key, streams.cachedCandidates, step);
    for (const [row, ids] of rows.entries()) {
      assert.equal(given[row * (count + 1) + count], ids[0], 'beyond the count');
      for (let j = 0; j < count; j++) {
        const place = candidates[row * count + j];
        const original = ids[T - 1 - j];
        const which = row * (count + 1) + j;
        const excluded = drawing.disallowCorrect ? original : undefined;
        assert.equal(given[which], drawPlainly(place, drawing.temperature, drawn[which], excluded), `step ${step}`);
        if (given[which] === place.ids[0]) met.first++;
        else met.later++;
        if (excluded !== undefined && place.ids.includes(original)) met.excluded++;
        cases++;
      }
    }
  }
  for (const [name, times] of Object.entries(met)) assert.ok(times > 500, `${name}: ${times}`);
});

test('candidates come as often as exp(log-probability / temperature) says (chi-square, p > 0.001)', () => {
  const row = [2, 30, 31];
  const place = { ids: [12, 31, 40, 7, 99], logProbs: [-0.7, -1.2, -1.9, -3.1, -4.4].map(Math.fround) };
  for (const temperature of [0.5, 1, 2.5]) {
    for (const disallowCorrect of [false, true]) {
      const hits = new Map(place.ids.map((id) => [id, 0]));
      for (let step = 0; step < 100; step++) {
        const settings: Drawing = { idBytes: 2, temperature, step, disallowCorrect };
        const given = drawRows(Array<number[]>(300).fill(row), 1, Array<PlaceCandidates>(300).fill(place), settings);
        for (let i = 0; i < given.length; i += 2) hits.set(given[i], hits.get(given[i])! + 1);
      }
      const shares = probabilities(place, temperature, disallowCorrect ? 31 : undefined);
      const possible = place.ids.map((_, i) => i).filter((i) => shares[i] > 0);
      assert.equal(possible.length, disallowCorrect ? 4 : 5);
      if (disallowCorrect) assert.equal(hits.get(31), 0);
      assertExpected(
        possible.map((i) => hits.get(place.ids[i])!),
        possible.map((i) => 30_000 * shares[i]),
        `temperature ${temperature}`,
      );
    }
  }
});

// Stores and loaders.

const documents = makeDocuments(400, 90, 100);
const [data, other] = ['data', 'other'].map((name) => path.join(scratch, name));
before(async () => {
  for (const [directory, part] of [
    [data, documents],
    [other, documents.slice(0, 150)],
  ] as const) {
    await writeSyntheticDataset(
      directory,
      part.map((ids) => [ids]),
      { shardTokens: 5000, batchTokens: 700 },
    );
  }
});
const settings: LoaderOptions = { data, batchSize: 6, sequenceLength: 24, seed: 11 };

async function take(options: LoaderOptions, count: number): Promise<Planes[]> {
  const loader = await openLoader(options);
  const taken: Planes[] = [];
  try {
    while (taken.length < count) {
      const batch = (await loader.next())!;
      taken.push(planesOf(batch));
      batch.release();
    }
  } finally {
    await loader.close();
  }
  return taken;
}

test('step s has the rows and masks of batch s mod K, and draws of its own; for any workers, start, and mixture', async () => {
  const [K, k, N] = [13, 5, 3];
  const mixture = [
    { data, weight: 0.7 },
    { data: other, weight: 0.3 },
  ];
  for (const [name, options] of Object.entries({ one: settings, mixture: { ...settings, data: mixture } })) {
    const candidates = path.join(scratch, `store-${name}`);
    await makeStore(candidates, options, K, k);
    const stored = await take(options, K);
    const cached: LoaderOptions = { ...options, replacement: 'cached', candidates, temperature: 0.8 };
    const all = await take({ ...cached, disallowCorrect: true }, 3 * K + 2);
    let changed = 0;
    for (const [step, { given, ...planes }] of all.entries()) {
      const { given: _, ...expected } = stored[step % K];
      assert.deepEqual(planes, expected, `step ${step}`);
      for (let row = 0; row < 6; row++) {
        const ids = planes.ids.slice(24 * row, 24 * row + 24);
        for (let j = 0; j < N; j++) {
          const which = row * N + j;
          const original = ids[planes.places[which]];
          const word = drawWord(keyOfSeed(11), streams.cachedCandidates, step, which);
          const place = storedAt(step % K, row, j, k, original);
          const id = j < planes.counts[row] ? drawPlainly(place, 0.8, word, original) : ids[0];
          assert.equal(given![which], id, `step ${step}, place ${which}`);
          if (step >= K && id !== all[step - K].given![which]) changed++;
        }
      }
    }
    assert.ok(changed > 200, 'draws of a second round are others');
    const workers = await take({ ...cached, disallowCorrect: true, workers: 3 }, 2 * K);
    assert.deepEqual(workers, all.slice(0, 2 * K));
    const later = await take({ ...cached, disallowCorrect: true, startStep: 2 * K - 3 }, K);
    assert.deepEqual(later, all.slice(2 * K - 3, 3 * K - 3));
  }
});

test('batches repeat too where only a part of the blocks is at hand, each trimmed to its longest row', async () => {
  const [K, B] = [40, 6];
  // 17 examples a block, so 24 blocks or more, of which there is room for 12.
  const long = { batchSize: B, sequenceLength: 30_000, masking: { maskProb: 0.001 }, bucket: true, slots: 3 };
  const options: LoaderOptions = { data, seed: 5, ...long, cacheBytes: 12 * 4000 };
  const candidates = path.join(scratch, 'windows');
  await makeStore(candidates, options, K, 2);
  const stored = await take(options, K);
  assert.notDeepEqual(stored, await take({ ...options, cacheBytes: 2 ** 28 }, K), 'shuffled in windows');
  for (const workers of [1, 2]) {
    const all = await take({ ...options, replacement: 'cached', candidates, workers }, 2 * K + 3);
    for (const [step, { given: _, ...planes }] of all.entries()) {
      const { given: __, ...expected } = stored[step % K];
      assert.deepEqual(planes, expected, `step ${step}`);
    }
  }
});

test('an order that repeats counts its windows on: whoever takes blocks by them never goes backwards', () => {
  const make = () => new ShuffledOrder(1000, 10, 7, key);
  for (const positions of [1, 333, 1000, 2357]) {
    const [repeated, jumping, plain] = [
      new RepeatedOrder(make(), positions),
      new RepeatedOrder(make(), positions),
      make(),
    ];
    let window = 0;
    for (let position = 0; position < 3 * positions + 50; position++) {
      repeated.find(position);
      plain.find(position % positions);
      assert.deepEqual([repeated.block, repeated.slot, repeated.example], [plain.block, plain.slot, plain.example]);
      assert.equal(repeated.blockAt(repeated.window, repeated.slot), repeated.block);
      assert.equal(jumping.windowOf(position), repeated.window);
      const isNewRound = position > 0 && position % positions === 0;
      assert.ok(repeated.window === window + 1 || (repeated.window === window && !isNewRound));
      window = repeated.window;
    }
  }
});

test('a making that was stopped or killed goes on behind its last whole record, to the same bytes', async () => {
  const [whole, stopped] = ['whole', 'stopped'].map((name) => path.join(scratch, name));
  await makeStore(whole, settings, 9, 4);
  await makeStore(stopped, settings, 9, 4, 5);
  const store = path.join(`${stopped}.partial`, 'store');
  const records = path.join(store, 'candidates.bin');
  const bytes = statSync(records).size / 5;
  assert.throws(() => statSync(stopped));
  // Killed in the middle of a record; the disk lost one before it.
  const written = readFileSync(records);
  written.fill(0, 4 * bytes, 4 * bytes + 8);
  writeFileSync(records, Buffer.concat([written, written.subarray(0, 100)]));
  await assert.rejects(
    makeStore(stopped, settings, 9, 3),
    /candidates: expected the store that is asked for.*topK is 4 there, 3 here/,
  );
  await makeStore(stopped, settings, 9, 4, 7);
  await makeStore(stopped, settings, 9, 4);
  assert.deepEqual(readdirSync(stopped).sort(), ['candidates.bin', 'candidates.json']);
  for (const name of readdirSync(whole)) {
    assert.ok(readFileSync(path.join(stopped, name)).equals(readFileSync(path.join(whole, name))), name);
  }
  assert.throws(() => statSync(`${stopped}.partial`));
  // There is nothing left to do, and nothing else is written over it.
  await makeStore(stopped, settings, 9, 4);
  await assert.rejects(makeStore(stopped, settings, 8, 4), /batches is 9 there, 8 here/);
  const foreign = path.join(scratch, 'foreign');
  mkdirSync(foreign);
  writeFileSync(path.join(foreign, 'notes.txt'), 'mine');
  await assert.rejects(
    makeStore(foreign, settings, 8, 4),
    /expected a folder made by cacheCandidates, got one without candidates.json/,
  );
});

test('damage, another dataset and other settings are told', async () => {
  const candidates = path.join(scratch, 'damaged');
  await makeStore(candidates, settings, 4, 2);
  const cached: LoaderOptions = { ...settings, replacement: 'cached', candidates };
  const refusals: [object, RegExp][] = [
    [{ seed: 12 }, /got those of others: origin.seed is "11" there, "12" asked for/],
    [{ data: other }, /origin.data.0.manifestSha256/],
    [{ batchSize: 7 }, /origin.batchSize is 6 there, 7 asked for/],
    [{ masking: { maskProb: 0.2 } }, /origin.maskedPerRow is 3 there, 4 asked for/],
    [{ masking: { wholeWordMask: true } }, /origin.masking.wholeWordMask/],
    [{ examples: 'packed' }, /origin.examples/],
    [{ validationFraction: 0.1 }, /origin.validationFraction/],
    [{ cacheBytes: 2 ** 27 }, /origin.cacheBytes/],
    [{ temperature: 0 }, /expected a number above 0, got 0 \(temperature\)/],
    [{ temperature: Number.NaN }, /temperature/],
    [{ temperature: Number.POSITIVE_INFINITY }, /temperature/],
    [{ candidates: undefined }, /expected the folder of the candidates/],
    [{ candidates: data }, /expected a folder made by cacheCandidates/],
    [{ split: 'validation', validationFraction: 0.1 }, /candidates are for training/],
    [{ replacement: 'unigram' }, /none unless replacement is cached/],
  ];
  for (const [changed, message] of refusals) {
    await assert.rejects(take({ ...cached, ...changed }, 1), message);
  }
  // One candidate a place may be the original; then there is none left.
  const single = path.join(scratch, 'single');
  await makeStore(single, settings, 4, 1);
  await assert.rejects(take({ ...cached, candidates: single, disallowCorrect: true }, 1), /disallowCorrect/);
  assert.equal((await take({ ...cached, candidates: single }, 6)).length, 6);

  const records = path.join(candidates, 'candidates.bin');
  const written = readFileSync(records);
  const bytes = written.length / 4;
  for (const flipped of [2 * bytes, 2 * bytes + 4, 2 * bytes + 50, 3 * bytes - 1]) {
    const damaged = Buffer.from(written);
    damaged[flipped] ^= 1;
    writeFileSync(records, damaged);
    assert.equal((await take(cached, 2)).length, 2);
    await assert.rejects(
      take(cached, 3),
      /candidates: expected the record of batch 2, got other bytes than were written/,
    );
  }
  // Whole, and for other masks.
  const foreign = Uint8Array.from(written);
  sealRecord(foreign.subarray(0, bytes), 0, 12345);
  writeFileSync(records, foreign);
  await assert.rejects(take(cached, 1), /expected the record of batch 0, got one for other rows or masks/);
  // Whole, and at another's place.
  writeFileSync(records, Buffer.concat([written.subarray(bytes, 2 * bytes), written.subarray(bytes)]));
  await assert.rejects(take(cached, 1), /record of batch 0/);
  truncateSync(records, written.length - 1);
  await assert.rejects(take(cached, 1), /candidates: expected \d+ bytes, got \d+/);
  writeFileSync(records, written);
  writeFileSync(path.join(candidates, 'candidates.json'), '{"format":"galvani-candidates","formatVersion":2}');
  await assert.rejects(take(cached, 1), /of another version, or damaged/);
});
