/**
 * What a finished run has learned, beside what can be had without learning: the AUC of a guess without context, and the
 * plateau on which a generator sits that copies what was left visible and otherwise knows only frequencies.
 */
import type { LoaderOptions } from '../batching/options.js';
import { openData } from '../batching/planning.js';
import { mixTokenCounts } from '../batching/tables.js';
import { loadEngine } from '../engines/index.js';
import { type BaselineComparison, compareWithBaseline } from './baseline.js';
import { requireCheckpoint, restoreVariables } from './checkpoint.js';
import type { Stage } from './config.js';
import { surveyStages } from './data.js';
import { type Evaluation, evaluateSplit } from './evaluation.js';
import { buildEvaluations } from './programs.js';
import { requireRun } from './run.js';

export interface HeldOutReport {
  readonly step: number;
  /** Replacements drawn by token counts: a guess without context scores 0.5. */
  readonly unigram: Evaluation;
  /** Replacements by the run's own generator. */
  readonly generator: Evaluation;
  /** P(replaced | token id) on the generator's own, fitted on training text. */
  readonly comparison: BaselineComparison;
  /** Masked NLL of a generator that has learned nothing but to copy and to count. */
  readonly plateau_nll: number;
}

/** Batches of training text that the guess without context is fitted on. */
const fittingBatches = 400;

export async function reportHeldOut(
  run: string,
  data: LoaderOptions['data'],
  options: { engine?: string; threads?: number; workers?: number } = {},
): Promise<HeldOutReport> {
  const { training: config } = await requireRun(run);
  const sources = await openData(data);
  const checkpoint = await requireCheckpoint(run, () => {});
  const stages = await surveyStages(sources, config);
  const stage = stages[stages.length - 1];
  const programs = buildEvaluations(config, stage);
  const runtime = await (await loadEngine(options.engine ?? 'wasm')).load(programs, { threads: options.threads });
  try {
    await restoreVariables(runtime, checkpoint);
    const pass = (replacement: Stage['replacement'], split: 'train' | 'validation', most?: number) =>
      evaluateSplit(runtime, sources, config, { ...stage, replacement }, { split, most, workers: options.workers });
    const unigram = await pass('unigram', 'validation');
    const own = await pass('generator', 'validation');
    const fitting = await pass('generator', 'train', fittingBatches);
    return {
      step: checkpoint.state.step,
      unigram: unigram.evaluation,
      generator: own.evaluation,
      comparison: compareWithBaseline(fitting.decisions, own.decisions, config.model.discriminator.vocab_size),
      plateau_nll: 0.85 * entropyOf(await mixTokenCounts(sources)),
    };
  } finally {
    await runtime.close();
  }
}

/** Entropy of the pieces' frequencies, in nats. */
function entropyOf(counts: Float64Array): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.reduce((sum, count) => (count === 0 ? sum : sum - (count / total) * Math.log(count / total)), 0);
}
