/**
 * What a model knows about text it has not seen: one pass over the held-out documents, always with the same masks and
 * draws, so that evaluations of any run on a dataset can be compared.
 */
import type { Loader } from '../batching/loader.js';
import type { WeightedDataset } from '../batching/planning.js';
import type { Runtime } from '../engines/engine.js';
import { lossEpsilon } from '../ops/maskedLmHead.js';
import { keyOfSeed } from '../random/philox.js';
import { areaUnderCurve } from './auc.js';
import type { RunStage, TrainingConfig } from './config.js';
import { type BatchesOptions, openBatches } from './data.js';
import { planesOf } from './programs.js';

/** The discriminator's decisions, token by token. */
export interface Decisions {
  readonly logits: Float64Array;
  /** 1 where the token was replaced. */
  readonly labels: Uint8Array;
  /** What stands there, replaced or not. */
  readonly ids: Int32Array;
  /** First token of each batch, and the number of tokens last. */
  readonly batchStarts: readonly number[];
}

export interface Evaluation {
  readonly masked_nll: number;
  readonly masked_accuracy: number;
  readonly rtd_loss: number;
  readonly rtd_accuracy: number;
  readonly rtd_precision: number;
  readonly rtd_recall: number;
  readonly rtd_auc: number;
  readonly tokens: number;
  readonly masked: number;
  readonly replaced: number;
}

/** Key of the samples of every evaluation. */
const evaluationKey = keyOfSeed(0x6576616c);

/** Evaluates with the batches of a split, at the rows that fit at a time. `most` bounds the endless training split. */
export async function evaluateSplit(
  runtime: Runtime,
  data: readonly WeightedDataset[],
  config: TrainingConfig,
  stage: RunStage,
  { most, ...options }: BatchesOptions & { readonly most?: number },
): Promise<{ evaluation: Evaluation; decisions: Decisions }> {
  const loader = await openBatches(data, config, { ...stage, batchSize: stage.microBatchSize }, options);
  try {
    return await evaluate(runtime, `evaluate.${stage.replacement}`, loader, most);
  } finally {
    await loader.close();
  }
}

/** Runs `program` over the loader's batches (all of a pass, or `most` of an endless one). */
export async function evaluate(
  runtime: Runtime,
  program: string,
  loader: Pick<Loader, 'next'>,
  most = Number.POSITIVE_INFINITY,
): Promise<{ evaluation: Evaluation; decisions: Decisions }> {
  const sums = { nll: 0, rtd: 0, masked: 0, tokens: 0, maskedHits: 0, right: 0, found: 0, said: 0, replaced: 0 };
  const logits: number[] = [];
  const labels: number[] = [];
  const ids: number[] = [];
  const batchStarts = [0];
  for (let n = 0; n < most; n++) {
    const batch = await loader.next();
    if (!batch) break;
    const { lengths, B, T, S, maskedCount, tokenCount } = batch;
    const outputs = await (await runtime.submit(program, planesOf(batch, evaluationKey, 0, batch.B))).outputs;
    sums.nll += outputs.mlmLoss[0] * (maskedCount + lossEpsilon);
    sums.rtd += outputs.rtdLoss[0] * (tokenCount + lossEpsilon);
    sums.masked += maskedCount;
    sums.tokens += tokenCount;
    sums.maskedHits += outputs.mlmHits[0];
    sums.right += outputs.rtdHits[0];
    sums.found += outputs.rtdHits[1];
    sums.said += outputs.rtdHits[2];
    sums.replaced += outputs.rtdHits[3];
    for (let row = 0; row < B; row++) {
      const end = lengths.subarray(row * S, (row + 1) * S).reduce((sum, length) => sum + length, 0);
      for (let i = row * T; i < row * T + end; i++) {
        logits.push(outputs.logits[i]);
        labels.push(outputs.labels[i]);
        ids.push(outputs.corrupted[i]);
      }
    }
    batchStarts.push(logits.length);
    batch.release();
  }
  const decisions = {
    logits: Float64Array.from(logits),
    labels: Uint8Array.from(labels),
    ids: Int32Array.from(ids),
    batchStarts,
  };
  const evaluation = {
    masked_nll: sums.nll / sums.masked,
    masked_accuracy: sums.maskedHits / sums.masked,
    rtd_loss: sums.rtd / sums.tokens,
    rtd_accuracy: sums.right / sums.tokens,
    rtd_precision: sums.said === 0 ? 0 : sums.found / sums.said,
    rtd_recall: sums.replaced === 0 ? 0 : sums.found / sums.replaced,
    rtd_auc: areaUnderCurve(decisions.logits, decisions.labels),
    tokens: sums.tokens,
    masked: sums.masked,
    replaced: sums.replaced,
  };
  return { evaluation, decisions };
}
