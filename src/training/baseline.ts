/**
 * What a discriminator could know without reading the context: P(replaced | token id), counted on training corruptions.
 * The margin of the model's AUC over this guess on the same held-out tokens is what context has taught it.
 */
import { drawWords, keyOfSeed } from '../random/philox.js';
import { streams } from '../random/streams.js';
import { RankedScores } from './auc.js';
import type { Decisions } from './evaluation.js';

export interface BaselineComparison {
  /** AUC of P(replaced | id) on the held-out tokens. */
  readonly baseline_auc: number;
  /** AUC of the model minus it. */
  readonly margin: number;
  /** 95 % interval of the margin: bootstrap over batches of consecutive windows, `resamples` times. */
  readonly margin_low: number;
  readonly margin_high: number;
}

const resamples = 200;

export function compareWithBaseline(training: Decisions, heldOut: Decisions, vocabSize: number): BaselineComparison {
  const guesses = guessById(training, vocabSize);
  const model = new RankedScores(heldOut.logits, heldOut.labels);
  const baseline = new RankedScores(
    Float64Array.from(heldOut.ids, (id) => guesses[id]),
    heldOut.labels,
  );
  const margins = bootstrapMargins(heldOut.batchStarts, model, baseline);
  const baselineArea = baseline.area();
  return {
    baseline_auc: baselineArea,
    margin: model.area() - baselineArea,
    margin_low: margins[Math.floor(0.025 * resamples)],
    margin_high: margins[Math.ceil(0.975 * resamples) - 1],
  };
}

/** P(replaced | id), a piece that was never seen guessed at one half of one. */
function guessById({ ids, labels }: Decisions, vocabSize: number): Float64Array {
  const replaced = new Float64Array(vocabSize).fill(0.5);
  const seen = new Float64Array(vocabSize).fill(1);
  for (const [i, id] of ids.entries()) {
    replaced[id] += labels[i];
    seen[id]++;
  }
  return replaced.map((count, id) => count / seen[id]);
}

/** Margins of resampled held-out sets, ascending; whole batches are drawn, since neighbours depend on each other. */
function bootstrapMargins(batchStarts: readonly number[], model: RankedScores, baseline: RankedScores): number[] {
  const batches = batchStarts.length - 1;
  const batchOf = new Uint32Array(batchStarts[batches]);
  for (let batch = 0; batch < batches; batch++) batchOf.fill(batch, batchStarts[batch], batchStarts[batch + 1]);
  const words = new Uint32Array(batches);
  const times = new Uint32Array(batches);
  return Array.from({ length: resamples }, (_, resample) => {
    drawWords(words, keyOfSeed(1), streams.demonstration, resample);
    times.fill(0);
    for (const word of words) times[Math.floor((word / 2 ** 32) * batches)]++;
    const weightOf = (i: number) => times[batchOf[i]];
    return model.area(weightOf) - baseline.area(weightOf);
  }).sort((a, b) => a - b);
}
