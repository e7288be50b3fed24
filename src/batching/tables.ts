/** What the kernels look ids up in, beside the batches: made once, by the loader, and laid into the shared memory. */
import os from 'node:os';
import { readTokenCounts } from '../dataset/dataset.js';
import type { Vocabulary } from '../text/vocabulary.js';
import { buildAliasTable, markDrawable, uniformWeights, unigramWeights } from './frequency.js';
import { markContinuations } from './masking.js';
import { openNgramTable } from './ngram/ngram.js';
import type { BatchPlan, MemoryLayout } from './plan.js';
import type { WeightedDataset } from './planning.js';

/** Each is there where the plan needs it. */
export interface Tables {
  alias?: Uint32Array;
  drawable?: Uint8Array;
  continuations?: Uint8Array;
  /** Of each dataset. */
  ngrams?: Uint32Array[];
}

/**
 * And says in the plan how large they are.
 * @throws badInput where there is nothing to draw replacements from.
 */
export async function makeTables(
  plan: BatchPlan,
  data: readonly WeightedDataset[],
  vocabulary: Vocabulary,
  validationFraction: number,
): Promise<Tables> {
  const tables: Tables = {};
  if (plan.replacement !== 'generator' && plan.replacement !== 'cached') {
    const { vocabularySize, special } = plan;
    const isUniform = plan.replacement === 'uniform';
    const weights = isUniform
      ? uniformWeights(vocabularySize, special)
      : unigramWeights(await mixTokenCounts(data), special);
    tables.alias = buildAliasTable(weights);
    if (plan.disallowCorrect) tables.drawable = markDrawable(weights);
  }
  if (plan.replacement === 'ngram') {
    const options = { special: plan.special, validationFraction, threads: os.availableParallelism() };
    tables.ngrams = [];
    for (const { data: dataset } of data) tables.ngrams.push(await openNgramTable(dataset, options));
    plan.ngramWords = tables.ngrams.map(({ length }) => length);
  }
  if (plan.masking.wholeWordMask) tables.continuations = markContinuations(vocabulary.pieces);
  return tables;
}

export function placeTables(tables: Tables, layout: MemoryLayout, memory: WebAssembly.Memory): void {
  const { alias, drawable, continuations, ngrams = [] } = tables;
  const bytes = new Uint8Array(memory.buffer);
  if (alias) new Uint32Array(memory.buffer, layout.table, alias.length).set(alias);
  if (drawable) bytes.set(drawable, layout.drawable);
  if (continuations) bytes.set(continuations, layout.continuations);
  for (const [i, table] of ngrams.entries()) new Uint32Array(memory.buffer, layout.ngrams[i], table.length).set(table);
}

/** (V) how often each piece is drawn from a mixture: of one dataset its counts, of several their shares in whole numbers. */
export async function mixTokenCounts(data: readonly WeightedDataset[]): Promise<Float64Array> {
  const [first] = data;
  if (data.length === 1) return readTokenCounts(first.data);
  const mixed = new Float64Array(first.data.manifest.vocabulary.size);
  const total = data.reduce((sum, { weight }) => sum + weight, 0);
  for (const { data: dataset, weight } of data) {
    const counts = await readTokenCounts(dataset);
    const share = (2 ** 40 * weight) / total / dataset.manifest.counts.tokens;
    for (let id = 0; id < mixed.length; id++) mixed[id] += Math.ceil(counts[id] * share);
  }
  return mixed;
}
