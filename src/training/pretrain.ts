/**
 * Pre-training, on one page: next batch → submit step → log → checkpoint.
 *
 * The loop never waits for a result: losses are read when the device has them, a few steps late. Everything but timings
 * is a pure function of the settings, whatever the threads, the workers, and how often the run was killed.
 */
import type { Loader } from '../batching/loader.js';
import { maskedPerRow } from '../batching/masking.js';
import { openDataset, readTokenCounts, type TokenDataset } from '../dataset/dataset.js';
import type { Engine, Outputs, Runtime } from '../engines/engine.js';
import { loadEngine } from '../engines/index.js';
import type { Program } from '../program/program.js';
import { keyOfSeed } from '../random/philox.js';
import { openBatches } from './batches.js';
import {
  type Checkpoint,
  pruneCheckpoints,
  readNewestCheckpoint,
  restoreVariables,
  writeCheckpoint,
} from './checkpoint.js';
import { RunClock, type Timing } from './clock.js';
import { type Stage, stagesOf, type TrainingConfig } from './config.js';
import { type Evaluation, evaluate } from './evaluation.js';
import { writeInitialWeights } from './initialWeights.js';
import { lockRun } from './lock.js';
import { type MetricsLine, MetricsLog } from './metrics.js';
import { buildEvaluations, buildStage, callsOf } from './programs.js';
import { continueRun, createRun, readRun } from './run.js';
import { learningRateAt, scheduleOf } from './schedule.js';
import { StepSums } from './sums.js';

export interface PretrainOptions {
  /** Folder made by `prepare`. */
  data: string;
  /** Run folder; one that is there already is continued. */
  output: string;
  /** The settings wanted; given what the run was begun with, if it was. */
  configure: (vocabularySize: number, saved: TrainingConfig | undefined) => TrainingConfig;
  engine?: string;
  /** Compute threads. Default: all cores. */
  threads?: number;
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
  | { kind: 'warning'; message: string };

export interface PretrainResult {
  /** Updates done in all. */
  readonly step: number;
  /** false when it was stopped before its last step. */
  readonly isDone: boolean;
  /** Of this call; absent when there was nothing left to do. */
  readonly timing?: Timing;
}

/** Steps whose outputs may be unread at a time. */
const mostUnread = 4;

export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const report = options.onEvent ?? (() => {});
  const dataset = await openDataset(options.data);
  const engine = await loadEngine(options.engine ?? 'wasm');
  const saved = await readRun(options.output);
  const config = options.configure(dataset.manifest.vocabulary.size, saved?.training);
  if (!saved) await createRun(options.output, dataset, config);
  const unlock = await lockRun(options.output);
  try {
    const checkpoint = await readNewestCheckpoint(options.output, (message) => report({ kind: 'warning', message }));
    const step = checkpoint?.state.step ?? 0;
    if (saved) await continueRun(options.output, saved, dataset, config, step);
    if (step >= config.num_train_steps) return { step, isDone: true };
    return await new Session(options, dataset, config, report).train(engine, checkpoint);
  } finally {
    await unlock();
  }
}

class Session {
  readonly #stages: Stage[];
  readonly #deadline: number;
  readonly #clock = new RunClock();
  #unread: { step: number; outputs: Promise<Outputs>[]; counts: readonly [masked: number, tokens: number] }[] = [];
  #sums = new StepSums();
  #done = 0;
  #tokens = 0;
  #waitedMs = 0;

  constructor(
    readonly options: PretrainOptions,
    readonly dataset: TokenDataset,
    readonly config: TrainingConfig,
    readonly report: (event: PretrainEvent) => void,
  ) {
    this.#stages = stagesOf(config);
    this.#deadline = performance.now() + (options.maxMinutes ?? Number.POSITIVE_INFINITY) * 60_000;
  }

  async train(engine: Engine, checkpoint: Checkpoint | undefined): Promise<PretrainResult> {
    const { config, options, dataset } = this;
    const first = checkpoint?.state.step ?? 0;
    const runtime = await engine.load(this.#buildPrograms(), { threads: options.threads });
    const log = await MetricsLog.open(options.output, first);
    try {
      await this.#restore(runtime, checkpoint);
      const documents = dataset.manifest.counts.documents;
      this.report({ kind: 'begin', step: first, steps: config.num_train_steps, build: runtime.build, documents });
      this.#done = first;
      this.#clock.start();
      for (const [index, stage] of this.#stages.entries()) {
        if (this.#done < stage.end && !this.#mustStop()) await this.#runStage(runtime, log, stage, index);
      }
      return {
        step: this.#done,
        isDone: this.#done === config.num_train_steps,
        timing: this.#clock.total(this.#done - first, this.#tokens, this.#waitedMs),
      };
    } finally {
      this.#clock.stop();
      await log.close();
      await runtime.close();
    }
  }

  async #runStage(runtime: Runtime, log: MetricsLog, stage: Stage, index: number): Promise<void> {
    const { config, dataset, options } = this;
    const schedule = scheduleOf(config);
    const key = keyOfSeed(config.seed);
    const loader = await openBatches(dataset, config, stage, { startStep: this.#done, workers: options.workers });
    const waitedBefore = this.#waitedMs;
    try {
      while (this.#done < stage.end) {
        const step = this.#done;
        const batch = await loader.next();
        if (!batch) throw new Error('internal: the training split ended');
        const outputs: Promise<Outputs>[] = [];
        for (const { program, inputs } of callsOf(batch, stage, `${index}`, key, learningRateAt(schedule, step))) {
          const ticket = await runtime.submit(program, inputs);
          ticket.outputs.catch(() => {}); // Read later, and thrown then.
          outputs.push(ticket.outputs);
        }
        this.#unread.push({ step, outputs, counts: [batch.maskedCount, batch.tokenCount] });
        this.#tokens += batch.tokenCount;
        batch.release();
        this.#done++;
        this.#waitedMs = waitedBefore + loader.stall.waitedMs;
        await this.#readOutputs(log, stage, loader, mostUnread);

        const mustStop = this.#mustStop();
        const isLast = this.#done === config.num_train_steps;
        const evaluates = config.validation_fraction > 0 && (isLast || this.#done % config.evaluate_every === 0);
        const keeps = isLast || mustStop || this.#done % config.checkpoint_every === 0;
        if (evaluates || keeps) await this.#readOutputs(log, stage, loader, 0);
        if (evaluates) await this.#evaluate(runtime, log);
        if (keeps) await this.#checkpoint(runtime, log);
        if (mustStop) return;
      }
    } finally {
      await loader.close();
    }
  }

  /** Reads the outputs of all steps but the newest `most`, and writes the lines of metrics that become complete. */
  async #readOutputs(log: MetricsLog, stage: Stage, loader: Loader, most: number): Promise<void> {
    const { config } = this;
    while (this.#unread.length > most) {
      const { step, outputs, counts } = this.#unread.shift()!;
      this.#sums.add(step, await Promise.all(outputs), counts);
      const done = step + 1;
      if (done % config.log_every !== 0 && done !== config.num_train_steps) continue;
      await this.#write(log, {
        step: done,
        kind: 'train',
        replacement: stage.replacement,
        learning_rate: learningRateAt(scheduleOf(config), step),
        epoch: (done * stage.batchSize) / loader.examples,
        ...this.#sums.means(config),
        timing: this.#clock.lap(this.#sums.steps, this.#sums.tokens, this.#waitedMs),
      });
      this.#sums = new StepSums();
    }
  }

  async #evaluate(runtime: Runtime, log: MetricsLog): Promise<void> {
    const start = performance.now();
    const results: Record<string, Evaluation> = {};
    for (const replacement of ['frequency', 'generator'] as const) {
      const stage = { ...this.#lastStage(), replacement };
      const loader = await openBatches(this.dataset, this.config, stage, { split: 'validation' });
      try {
        results[replacement] = (await evaluate(runtime, `evaluate.${replacement}`, loader)).evaluation;
      } finally {
        await loader.close();
      }
    }
    const seconds = (performance.now() - start) / 1000;
    await this.#write(log, { step: this.#done, kind: 'evaluation', ...results, timing: { seconds } });
  }

  async #checkpoint(runtime: Runtime, log: MetricsLog): Promise<void> {
    const { output } = this.options;
    await log.sync();
    const state = { step: this.#done, build: runtime.build, sums: this.#sums.save() };
    const directory = await writeCheckpoint(output, state, runtime.variables(), await runtime.snapshot());
    await pruneCheckpoints(output, this.config.keep_checkpoint_max);
    this.report({ kind: 'checkpoint', directory });
  }

  async #restore(runtime: Runtime, checkpoint: Checkpoint | undefined): Promise<void> {
    if (!checkpoint) {
      await writeInitialWeights(runtime, this.config, await readTokenCounts(this.dataset));
      return;
    }
    const { build, sums } = checkpoint.state;
    if (build !== runtime.build) {
      const message = `run: the checkpoint was computed by ${build}, this is ${runtime.build}: last bits will differ`;
      this.report({ kind: 'warning', message });
    }
    await restoreVariables(runtime, checkpoint);
    this.#sums = StepSums.restore(sums);
  }

  async #write(log: MetricsLog, line: MetricsLine): Promise<void> {
    await log.append(line);
    this.report({ kind: 'metrics', line });
  }

  #buildPrograms(): Record<string, Program> {
    const { config } = this;
    const masked = (stage: Stage) => maskedPerRow(config.mask_prob, stage.sequenceLength);
    const stages = this.#stages.map((stage, index) => buildStage(config, stage, masked(stage), `${index}`));
    const last = this.#lastStage();
    return Object.assign({}, ...stages, config.validation_fraction > 0 && buildEvaluations(config, last, masked(last)));
  }

  #lastStage(): Stage {
    return this.#stages[this.#stages.length - 1];
  }

  #mustStop(): boolean {
    return this.options.signal?.aborted === true || performance.now() >= this.#deadline;
  }
}
