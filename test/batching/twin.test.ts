/**
 * The whole loader against the scalar twin, in random cases of everything that decides a batch: kinds of examples, blocks
 * and windows, mixtures, split, masking, replacement, trimming, and where and how steps are taken.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { buildAliasTable, uniformWeights } from '../../src/batching/frequency.js';
import { openLoader } from '../../src/batching/loader.js';
import { defaultMasking } from '../../src/batching/masking.js';
import type { LoaderOptions } from '../../src/batching/options.js';
import { openDataset } from '../../src/dataset/dataset.js';
import { openExamples, type Split } from '../../src/dataset/examples/examples.js';
import { exampleKinds } from '../../src/dataset/examples/kinds.js';
import { keyOfSeed } from '../../src/random/philox.js';
import { heldOutOf, writeSyntheticDataset } from '../dataset/synthetic.js';
import { randomInts } from '../random.js';
import { makeDocuments, planesOf } from './documents.js';
import { makeExamples, makePlanes, RowTwin, special, type TwinSource } from './twin.js';

const scratch = mkdtempSync(path.join(os.tmpdir(), 'galvani-twin-'));
after(() => rmSync(scratch, { recursive: true }));

const vocabularySize = 100;
const continues = (id: number) => id > 4 && id % 3 === 0;
const weights = uniformWeights(vocabularySize, special);
const table = buildAliasTable(weights);

/** Bytes up to the next multiple of 64. */
const align = (bytes: number) => 64 * Math.ceil(bytes / 64);

/** Six of them, of short and long documents, in one shard and in several. */
const corpora: { directory: string; lines: number[][][] }[] = [];
before(async () => {
  for (const [i, longest] of [6, 20, 30, 50, 90, 120].entries()) {
    const directory = path.join(scratch, `corpus-${i}`);
    const lines = makeDocuments(200 - longest, longest, vocabularySize, i).map((ids, document) => {
      const step = 1 + ((document + i) % 13);
      return Array.from({ length: Math.ceil(ids.length / step) }, (_, l) => ids.slice(l * step, (l + 1) * step));
    });
    await writeSyntheticDataset(directory, lines, {
      vocabularySize,
      pieceOf: (id) => (continues(id) ? `##${id}` : `w${id}`),
      shardTokens: i % 2 === 0 ? 700 : 1 << 20,
      batchTokens: i % 3 === 0 ? 100 : 1 << 16,
    });
    corpora.push({ directory, lines });
  }
});

async function checkCase(seed: number): Promise<{ rows: number; windows: number; masked: number }> {
  const draws = randomInts(40, seed, 2 ** 20);
  let draw = 0;
  const pick = <Item>(items: readonly Item[]): Item => items[draws[draw++] % items.length];
  const between = (low: number, high: number) => low + (draws[draw++] % (high - low + 1));

  const kind = exampleKinds[seed % 4];
  const T = pick([12, 16, 23, 40]);
  const B = pick([1, 3, 8, 17]);
  const isPass = between(0, 4) === 0;
  const split: Split = isPass ? 'validation' : 'train';
  const validationFraction = isPass ? 0.4 : pick([0, 0.2]);
  const datasets = pick([1, 1, 2, 3]);
  const data: { data: string; weight: number }[] = [];
  const sources: TwinSource[] = [];
  const blockExamples = between(1, 6);
  let cacheBytes = 0;
  const indices = [];
  for (let d = 0; d < datasets; d++) {
    const { directory, lines } = corpora[(seed + d * between(1, 3)) % corpora.length];
    const weight = pick([1, 0.37, 1e-3, 20]);
    data.push({ data: directory, weight });
    const held = heldOutOf(
      lines.map((lines) => lines.flat()),
      validationFraction,
    );
    const documents = lines
      .map((lines, ordinal) => ({ ordinal, lines }))
      .filter(({ ordinal }) => held[ordinal] === (isPass ? 1 : 0));
    sources.push({ examples: makeExamples(kind, documents, T, blockExamples), weight, blockExamples });
    // The loader finds this index, in place of one whose blocks would hold all of so small a dataset.
    const options = { kind, sequenceLength: T, split, validationFraction };
    for (const name of readdirSync(directory)) if (name.endsWith('.index')) rmSync(path.join(directory, name));
    const index = await openExamples(await openDataset(directory), options, blockExamples);
    indices.push(index);
    const blockBytes = align(2 * index.largestBlockTokens) + align(4 * index.largestBlockWords);
    // The least that is allowed for B, or more.
    cacheBytes = Math.max(cacheBytes, datasets * blockBytes * (4 * (Math.ceil(B / blockExamples) + 1) + between(0, 9)));
  }
  let windows = 0;
  for (const [d, { largestBlockTokens, largestBlockWords, examples }] of indices.entries()) {
    const fitting = Math.floor(cacheBytes / datasets / (align(2 * largestBlockTokens) + align(4 * largestBlockWords)));
    const blocks = Math.ceil(examples / blockExamples);
    sources[d].windowBlocks = fitting >= blocks ? blocks : Math.floor(fitting / 2);
    windows = Math.max(windows, Math.ceil(blocks / sources[d].windowBlocks!));
  }

  const isGiven = between(0, 2) > 0;
  const disallowCorrect = isGiven && between(0, 1) === 1;
  const masking = {
    ...defaultMasking,
    maskProb: pick([0.15, 0.15, 0.4]),
    ...(between(0, 1) === 0 && { maskReplaceProb: 0.8, randomReplaceProb: 0.1 }),
    ...pick([{}, { wholeWordMask: true }, { maskWithReplacement: true }]),
  };
  const options: LoaderOptions = {
    data: datasets === 1 ? data[0].data : data,
    batchSize: B,
    sequenceLength: T,
    examples: kind,
    bucket: between(0, 1) === 1,
    cacheBytes,
    seed,
    masking,
    replacement: isGiven ? 'uniform' : 'generator',
    disallowCorrect,
    workers: between(1, 3),
    slots: between(2, 6),
    startStep: pick([0, 0, 3, 50]),
    stepStride: pick([1, 1, 2, 7]),
    validationFraction,
    split,
  };
  const S = Math.max(...sources.flatMap(({ examples }) => examples.map((segments) => segments.length)));
  const settings = {
    B,
    T,
    S,
    masking,
    key: keyOfSeed(isPass ? 0x76616c6964n : seed),
    isPass,
    isBucketed: options.bucket,
    vocabularySize,
    continues,
    ...(isGiven && { table, weights }),
    disallowCorrect,
  };
  const rows = new RowTwin(sources, settings);
  const loader = await openLoader(options);
  let taken = 0;
  let masked = 0;
  try {
    const { startStep = 0, stepStride = 1 } = options;
    for (let step = startStep; taken < 220; step += stepStride) {
      const batch = await loader.next().catch((error) => {
        // Told as soon as it is found, which may be some steps ahead.
        const [, row, at] = /got only special tokens in row (\d+) .*, step (\d+)\)/.exec(error.message)!.map(Number);
        const { counts, lengths } = makePlanes(rows, at, settings);
        assert.deepEqual([counts[row], lengths[S * row] > 0], [0, true]);
        return 'only special tokens' as const;
      });
      if (batch === 'only special tokens') break;
      if (batch === undefined) {
        assert.ok(isPass && step * B >= sources.reduce((sum, { examples }) => sum + examples.length, 0));
        break;
      }
      assert.equal(batch.step, step);
      assert.deepEqual(planesOf(batch), makePlanes(rows, step, settings), `${JSON.stringify(options)}, step ${step}`);
      taken += B;
      masked += batch.maskedCount;
      batch.release();
    }
  } finally {
    await loader.close();
  }
  return { rows: taken, windows, masked };
}

test('10,000 rows, masked places not counted by themselves, are those of the scalar twin', async () => {
  let rows = 0;
  let masked = 0;
  let withWindows = 0;
  for (let seed = 0; seed < 60; seed++) {
    const found = await checkCase(seed);
    rows += found.rows;
    masked += found.masked;
    if (found.windows > 2) withWindows++;
  }
  assert.ok(rows >= 10_000, `${rows} rows, ${masked} masked places`);
  assert.ok(withWindows > 15, `${withWindows} cases of more than two windows`);
});
