/** The draw from candidates by plain arithmetic, and stores of made-up candidates. It shares Philox with the kernel. */

import type { CandidateHeader } from '../../src/batching/cached/header.js';
import { sumOfPlanes } from '../../src/batching/cached/record.js';
import { CandidateWriter } from '../../src/batching/cached/writer.js';
import { type Batch, openLoader } from '../../src/batching/loader.js';
import type { LoaderOptions } from '../../src/batching/options.js';
import { originOf } from '../../src/batching/origin.js';
import { openData } from '../../src/batching/planning.js';
import { randomFloats, randomInts } from '../random.js';

export interface PlaceCandidates {
  ids: number[];
  logProbs: number[];
}

/** P of each candidate; 0 for `excluded`. */
export function probabilities({ ids, logProbs }: PlaceCandidates, temperature: number, excluded?: number): number[] {
  const best = Math.max(...logProbs.filter((_, i) => ids[i] !== excluded));
  const weights = logProbs.map((value, i) => (ids[i] === excluded ? 0 : Math.exp((value - best) / temperature)));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

export function drawPlainly(place: PlaceCandidates, temperature: number, word: number, excluded?: number): number {
  const shares = probabilities(place, temperature, excluded);
  let left = word / 2 ** 32;
  for (const [i, share] of shares.entries()) {
    if (left < share) return place.ids[i];
    left -= share;
  }
  throw new Error('shares that do not add up');
}

/** k ids with falling log-probabilities; `original` among them where `which` is below k. */
export function makeCandidates(k: number, vocabularySize: number, seed: number, original: number, which: number) {
  const ids = new Set<number>();
  for (const id of randomInts(20 * k, seed, vocabularySize)) if (ids.size < k && id !== original) ids.add(id);
  const list = [...ids];
  if (which < k) list[which] = original;
  const logProbs = [...randomFloats(k, seed, 2)].map((value) => Math.fround(value - 5)).sort((a, b) => b - a);
  return { ids: list, logProbs };
}

/** What `makeStore` stores for a place. */
export function storedAt(batch: number, row: number, j: number, k: number, original: number): PlaceCandidates {
  const seed = (batch * 1000 + row) * 100 + j;
  return makeCandidates(k, 100, seed, original, seed % (k + 2));
}

export async function headerFor(options: LoaderOptions, batches: number, topK: number): Promise<CandidateHeader> {
  const data = await openData(options.data);
  return {
    format: 'galvani-candidates',
    formatVersion: 1,
    generator: { step: 7, tensorsSha256: '0'.repeat(64) },
    batches,
    topK,
    idBytes: data[0].data.idBytes,
    origin: originOf(options, data),
  };
}

/** Appends what is missing up to `until` batches, and finishes there if these are all. */
export async function makeStore(
  output: string,
  options: LoaderOptions,
  batches: number,
  topK: number,
  until = batches,
): Promise<void> {
  const writer = await CandidateWriter.open(output, await headerFor(options, batches, topK));
  if (writer === undefined) return;
  const loader = await openLoader({ ...options, startStep: writer.batches });
  try {
    while (writer.batches < until) {
      const batch = (await loader.next())!;
      const { logProbs, ids } = candidatesOf(batch, topK);
      await writer.append(logProbs, ids, sumOfPlanes(batch));
      batch.release();
    }
  } finally {
    await loader.close();
    await (writer.batches === batches ? writer.finish() : writer.leave());
  }
}

function candidatesOf({ step, B, T, N, ids, places, counts }: Batch, k: number) {
  const found = { logProbs: new Float32Array(B * N * k), ids: new Int32Array(B * N * k) };
  for (let row = 0; row < B; row++) {
    for (let j = 0; j < counts[row]; j++) {
      const place = storedAt(step, row, j, k, ids[row * T + places[row * N + j]]);
      found.logProbs.set(place.logProbs, (row * N + j) * k);
      found.ids.set(place.ids, (row * N + j) * k);
    }
  }
  return found;
}
