/**
 * Pre-training, on one page: next batch → submit step → log → checkpoint.
 *
 * The loop never waits for a result: losses are read when the device has them, a few steps late. Everything but timings
 * is a pure function of the settings, whatever the threads, the workers, and how often the run was killed.
 */
import type { LoaderOptions } from '../batching/options.js';
import { openData, type WeightedDataset } from '../batching/planning.js';
import { mixTokenCounts } from '../batching/tables.js';
import type { LoadOptions, Runtime } from '../engines/engine.js';
import { loadEngine } from '../engines/index.js';
import { lockFolder } from '../lock.js';
import { keyOfSeed } from '../random/philox.js';
import { release } from '../release.js';
import {
  type CheckpointState,
  pruneCheckpoints,
  readNewestCheckpoint,
  restoreVariables,
  writeCheckpoint,
} from './checkpoint.js';
import { RunClock, type Timing } from './clock.js';
import type { RunStage, TrainingConfig } from './config.js';
import { openBatches, surveyStages } from './data.js';
import { type Evaluation, evaluateSplit } from './evaluation.js';
import { writeInitialWeights } from './initialWeights.js';
import { Journal } from './journal.js';
import type { MetricsLine } from './metrics.js';
import { buildPrograms, callsOf } from './programs.js';
import { beginRun, continueRun, readRun, saveRun } from './run.js';
import { learningRateAt, scheduleOf } from './schedule.js';
import { submitBatch } from './submit.js';

export interface PretrainOptions extends Omit<LoadOptions, 'onNotice'> {
  /** Folder made by `prepare`, or several with their weights. */
  data: LoaderOptions['data'];
  /** Run folder; one that is there already is continued. */
  output: string;
  /** The settings wanted; given what the run was begun with, if it was. */
  configure: (vocabularySize: number, saved: TrainingConfig | undefined) => TrainingConfig;
  engine?: string;
  /** Threads that make batches. Default 1. */
  workers?: number;
  /** Write a checkpoint and stop after so long. */
  maxMinutes?: number;
  /** Write a checkpoint and stop when it fires. */
  signal?: AbortSignal;
  onEvent?: (event: PretrainEvent) => void;
}

export type PretrainEvent =
  | { kind: 'begin'; step: number; steps: number; build: string; documents: number }
  | { kind: 'metrics'; line: MetricsLine }
  | { kind: 'checkpoint'; directory: string }
  /** What takes long before the first step, and what is to be known about the run. */
  | { kind: 'notice'; message: string }
  | { kind: 'warning'; message: string };

export interface PretrainResult {
  /** Updates done in all. */
  readonly step: number;
  /** false when it was stopped before its last step. */
  readonly isDone: boolean;
  /** Of this call; absent when there was nothing left to do. */
  readonly timing?: Timing;
}

/** A folder is made or changed only when all that can be refused has been looked at, and the engine has its memory. */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { output, maxMinutes = Number.POSITIVE_INFINITY, onEvent: report = () => {} } = options;
  const deadline = performance.now() + maxMinutes * 60_000;
  const warn = (message: string) => report({ kind: 'warning', message });
  const note = (message: string) => report({ kind: 'notice', message });
  const data = await openData(options.data);
  const engine = await loadEngine(options.engine ?? 'wasm', options);
  await readRun(output); // Refuses another's folder before a lock is put into it.
  const unlock = await lockFolder(output, 'run');
  try {
    const saved = await readRun(output);
    const config = options.configure(data[0].data.manifest.vocabulary.size, saved?.training);
    const checkpoint = await readNewestCheckpoint(output, warn);
    const step = checkpoint?.state.step ?? 0;
    const run = saved ? continueRun(output, saved, data, config, step) : beginRun(data, config);
    const stages = await surveyStages(data, config);
    if (step >= config.num_train_steps) {
      await saveRun(output, run, data[0].data);
      return { step, isDone: true };
    }
    const runtime = await engine.load(buildPrograms(config, stages), { ...options, onNotice: note });
    try {
      await saveRun(output, run, data[0].data);
      const { build } = runtime;
      const before = checkpoint?.state.build ?? build;
      if (before !== build) warn(`run: the checkpoint is by ${before}, this is ${build}: last bits will differ`);
      if (checkpoint) await restoreVariables(runtime, checkpoint);
      else await writeInitialWeights(runtime, config, await mixTokenCounts(data));
      return await new Training(options, data, config, stages, runtime, deadline, report).goOnFrom(checkpoint?.state);
    } finally {
      await runtime.close();
    }
  } finally {
    await unlock();
  }
}

class Training {
  readonly #clock = new RunClock();
  #journal!: Journal;
  /** Updates done. */
  #done = 0;
  /** Updates that the newest checkpoint holds. */
  #kept = 0;

  constructor(
    private readonly options: PretrainOptions,
    private readonly data: readonly WeightedDataset[],
    private readonly config: TrainingConfig,
    private readonly stages: readonly RunStage[],
    private readonly runtime: Runtime,
    private readonly deadline: number,
    private readonly report: (event: PretrainEvent) => void,
  ) {}

  async goOnFrom(state: CheckpointState | undefined): Promise<PretrainResult> {
    const { config, data, options, report, runtime } = this;
    const { num_train_steps: steps } = config;
    this.#done = this.#kept = state?.step ?? 0;
    this.#journal = await Journal.open(options.output, config, state, this.#clock, (line) =>
      report({ kind: 'metrics', line }),
    );
    const documents = data.reduce((sum, { data: { manifest } }) => sum + manifest.counts.documents, 0);
    report({ kind: 'begin', step: this.#done, steps, build: runtime.build, documents });
    this.#clock.start();
    try {
      for (const [index, stage] of this.stages.entries()) {
        if (this.#done < stage.end && !this.#mustStop()) await this.#runStage(stage, index);
      }
      if (this.#kept < this.#done) await this.#keep();
      return { step: this.#done, isDone: this.#done === steps, timing: this.#clock.total() };
    } finally {
      this.#clock.stop();
      await this.#journal.close();
    }
  }

  async #runStage(stage: RunStage, index: number): Promise<void> {
    const { config, data, options } = this;
    const { checkpoint_every, evaluate_every, num_train_steps, validation_fraction } = config;
    const schedule = scheduleOf(config);
    const key = keyOfSeed(config.seed);
    const loader = await openBatches(data, config, stage, { startStep: this.#done, workers: options.workers });
    try {
      while (this.#done < stage.end && !this.#mustStop()) {
        const batch = await this.#clock.waitFor(loader.next());
        if (!batch) throw new Error('internal: the training split ended');
        const { maskedCount, tokenCount } = batch;
        const rate = learningRateAt(schedule, this.#done);
        const calls = callsOf(batch, stage, `${index}`, key, rate);
        const outputs = await submitBatch(this.runtime, batch, calls);
        const number = ++this.#done;
        const epochs = loader.epochsAfter(number);
        const epoch = epochs.length === 1 ? epochs[0] : epochs;
        const facts = { replacement: stage.replacement, learning_rate: rate, epoch };
        await this.#journal.add({ number, outputs, maskedCount, tokenCount, facts });

        const evaluates = number % evaluate_every === 0 || number === num_train_steps;
        if (evaluates && validation_fraction > 0) await this.#evaluate();
        if (number % checkpoint_every === 0) await this.#keep();
      }
    } finally {
      await loader.close();
    }
  }

  /** On what is held out, at the extents of the last stage, with replacements of both kinds. */
  async #evaluate(): Promise<void> {
    const start = performance.now();
    const last = this.stages.at(-1)!;
    const evaluations: Record<string, Evaluation> = {};
    for (const replacement of ['unigram', 'generator'] as const) {
      const stage = { ...last, replacement };
      const { evaluation } = await evaluateSplit(this.runtime, this.data, this.config, stage, {
        split: 'validation',
      });
      evaluations[replacement] = evaluation;
    }
    await this.#journal.addEvaluations(this.#done, evaluations, (performance.now() - start) / 1000);
  }

  async #keep(): Promise<void> {
    const { runtime, options } = this;
    const state = { step: this.#done, build: runtime.build, sums: await this.#journal.settle() };
    const snapshot = await runtime.snapshot();
    const directory = await writeCheckpoint(options.output, state, runtime.variables(), snapshot);
    release(snapshot.values());
    await pruneCheckpoints(options.output, this.#done, this.config.keep_checkpoint_max);
    this.#kept = this.#done;
    this.report({ kind: 'checkpoint', directory });
  }

  #mustStop(): boolean {
    return this.options.signal?.aborted === true || performance.now() >= this.deadline;
  }
}
