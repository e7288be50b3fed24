/**
 * How long a training step takes on an engine, and where its time and memory go: the figures of `galvani bench step`.
 *
 * Without a dataset the batch is synthetic and nothing else runs: a step is from its submission to its outputs, and
 * per-operation times are medians over profiled steps of the same run, in turns with the others. With one it is the
 * loop of training: batches from the loader, steps queued ahead, outputs read late; a step is from one's outputs to the
 * next one's. In turns with it the same batches run from memory, with no loader between them: what the loop adds to the
 * engine's own time is the difference. Memory is read before the machine's ceilings are measured, which need some of their own.
 *
 * An operation's limit is the time that its floating-point operations take at the peak of multiply-adds, or its bytes at
 * the speed at which all threads read memory, whichever is longer; its share of the limit is that time by its own. It is
 * above 1 where operands come out of a cache, or a table is not read whole.
 */
import type { Batch, Loader } from '../batching/loader.js';
import { openData } from '../batching/planning.js';
import { mixTokenCounts } from '../batching/tables.js';
import type { Bandwidth, Engine, LoadOptions, OperationTime, Outputs, Runtime, Traffic } from '../engines/engine.js';
import { loadEngine } from '../engines/index.js';
import { median } from '../median.js';
import { scale } from '../ops/arithmetic.js';
import { float32 } from '../ops/operation.js';
import { ProgramBuilder } from '../program/builder.js';
import { flopsOf } from '../program/print.js';
import type { Program } from '../program/program.js';
import { keyOfSeed } from '../random/philox.js';
import { RunClock, type Timing } from './clock.js';
import { presetTraining, type RunStage, type Stage, stagesOf, type TrainingConfig, withSettings } from './config.js';
import { openBatches, surveyStages } from './data.js';
import { writeInitialWeights } from './initialWeights.js';
import { buildStage, callsOf } from './programs.js';
import { peakResidentBytes } from './residentMemory.js';
import { submitBatch } from './submit.js';
import { syntheticBatch } from './syntheticBatch.js';

export interface StepBenchmarkOptions extends LoadOptions {
  readonly engine: string;
  readonly model: string;
  readonly batchSize: number;
  readonly sequenceLength: number;
  /** Default 7. */
  readonly steps?: number;
  /** Folder made by `prepare`. */
  readonly data?: string;
}

export interface StepFigures {
  readonly engine: string;
  readonly build: string;
  readonly model: string;
  readonly batchSize: number;
  readonly sequenceLength: number;
  /** From the start of loading to a first step that has run. */
  readonly startMs: number;
  /** Median of `steps` steps. */
  readonly stepMs: number;
  readonly steps: number;
  /** Real tokens, without padding. */
  readonly tokensPerSecond: number;
  /**
   * Of what the engine computes, the mean of the steps: an engine that leaves padding out is counted real rows alone, and
   * attention inside of its segments; for the others every row is full. The figures made from it follow.
   */
  readonly gflopPerStep: number;
  readonly gflops: number;
  /** GFLOP/s of multiply-adds that the engine could do at most, and what the step reaches of it; where it is known. */
  readonly peakGflops?: number;
  readonly peakShare?: number;
  /** GB/s of memory, of one thread and of all; a copy counts what is read and what is written. Where it is known. */
  readonly bandwidth?: { readonly oneThread: Bandwidth; readonly allThreads: Bandwidth };
  /** What an operation costs beside its work: a chain of tiny ones, each waiting for the one before; the median of some runs. */
  readonly tapeMicroseconds?: number;
  /** What the engine allocated, and the most that the whole process had resident at any time up to the last step. */
  readonly memoryBytes: number;
  readonly peakResidentBytes: number;
  /** With a dataset: median of the steps of the same batches without the loader, from memory, in turns with the loop. */
  readonly engineStepMs?: number;
  /** With a dataset: what the loop adds to that, as a share of it: the median over the batches. Near 0 it is noise. */
  readonly loopAdds?: number;
  /** With a dataset: share of the time in which the loop waited for a batch. */
  readonly stallFraction?: number;
  /** Of the main thread while steps run, with the clock's own resolution of 5 ms. */
  readonly eventLoopDelayP99Ms?: number;
  /** Of a step, with a device of its own: in calls of it, and of the host for them; arrays and bytes that crossed. */
  readonly deviceMs?: number;
  readonly hostMs?: number;
  readonly callsPerStep?: number;
  readonly arraysPerStep?: number;
  readonly uploadedBytesPerToken?: number;
  readonly downloadedBytesPerStep?: number;
  /** Σ of the operations' times over stepMs: what the clocks between them cost, and what a step does outside them. */
  readonly operationsShare?: number;
  /** Of a profiled step, the share in which a thread waited for the others; where threads share out an operation. */
  readonly waitedShare?: number;
  /** By operation, largest first; without a dataset. Empty where the engine cannot tell. */
  readonly operations?: readonly OperationFigures[];
}

export interface OperationFigures {
  readonly name: string;
  readonly calls: number;
  readonly ms: number;
  readonly share: number;
  readonly gflops: number;
  /** GB/s of operands and results. */
  readonly bandwidth: number;
  /** Of the operation's limit; where both ceilings are known. */
  readonly limitShare?: number;
}

/** Operations of the program that shows what one costs beside its work. */
const tinyOperations = 2000;

/** Steps whose outputs may be unread at a time, as in training. */
const mostUnread = 4;
/** Steps of the loop before the clock runs: the ring is full then, and so is the queue. */
const warmUpSteps = 2 + mostUnread;
/** Steps of the loop before the engine has its turn: their batches are kept. */
const mostTurnSteps = 64;

interface Measured {
  readonly times: readonly number[];
  /** Real tokens of these steps. */
  readonly tokens: number;
  /** Floating-point operations of one, the mean of all. */
  readonly flops: number;
  /** Of the operations of a step, in their order; without a dataset. Empty where the engine cannot tell. */
  readonly operations?: readonly OperationTime[];
  /** What only this way of measuring can say. */
  readonly others: Partial<StepFigures>;
}

/** The settings of a preset for steps of one kind. vocabularySize: that of a dataset; without one, what is usual. */
export function benchmarkConfig(
  options: Pick<StepBenchmarkOptions, 'model' | 'batchSize' | 'sequenceLength'>,
  replacement: Stage['replacement'],
  vocabularySize = options.model === 'tiny' ? 1024 : 30522,
): TrainingConfig {
  const settings = {
    stages: [{ until: 1, replacement }],
    batch_size: options.batchSize,
    micro_batch_size: options.batchSize,
    sequence_length: options.sequenceLength,
    validation_fraction: 0,
  };
  return withSettings(
    presetTraining(options.model, vocabularySize),
    Object.entries(settings).map(([name, value]) => ({ name, value, from: 'bench' })),
  );
}

export async function measureStep(options: StepBenchmarkOptions): Promise<StepFigures> {
  const { data, model, batchSize, sequenceLength, steps = 7 } = options;
  const sources = data === undefined ? undefined : await openData(data);
  const config = benchmarkConfig(options, 'generator', sources?.[0].data.manifest.vocabulary.size);
  const [stage] = sources ? await surveyStages(sources, config) : [{ ...stagesOf(config)[0], segments: 1 }];
  const programs = buildStage(config, stage, 'bench');
  const engine = await loadEngine(options.engine, options);
  const start = performance.now();
  const runtime = await engine.load(programs, options);
  try {
    const counts = sources ? await mixTokenCounts(sources) : new Float64Array(config.model.generator.vocab_size);
    await writeInitialWeights(runtime, config, counts);
    const bench = { programs, runtime, config, stage };
    await runStep(bench, syntheticBatch(config, stage, 0));
    const startMs = performance.now() - start;
    const measured = sources
      ? await measureLoop(bench, await openBatches(sources, config, stage), steps)
      : await measureAlone(bench, steps);
    const memory = { memoryBytes: runtime.memory().totalBytes, peakResidentBytes: await peakResidentBytes() };
    const peak = Math.max(await peakOf(engine, options), await peakOf(engine, options));
    const bandwidth = await bandwidthOf(engine, options);
    const stepMs = median(measured.times);
    const gflop = measured.flops / 1e9;
    return {
      engine: options.engine,
      build: runtime.build,
      ...{ model, batchSize, sequenceLength, startMs, stepMs, steps },
      tokensPerSecond: ((measured.tokens / steps) * 1000) / stepMs,
      gflopPerStep: gflop,
      gflops: (gflop * 1000) / stepMs,
      ...(peak > 0 && { peakGflops: peak, peakShare: (gflop * 1000) / stepMs / peak }),
      ...(bandwidth && { bandwidth }),
      ...memory,
      ...measured.others,
      ...(measured.operations && describeOperations(measured.operations, stepMs, peak, bandwidth?.allThreads)),
      ...(measured.operations?.length && { tapeMicroseconds: await measureTape(engine, options) }),
    };
  } finally {
    await runtime.close();
  }
}

interface Bench {
  readonly programs: Readonly<Record<string, Program>>;
  readonly runtime: Runtime;
  readonly config: TrainingConfig;
  readonly stage: RunStage;
}

async function measureAlone(bench: Bench, steps: number): Promise<Measured> {
  const { runtime } = bench;
  const batch = syntheticBatch(bench.config, bench.stage, 0);
  const times: number[] = [];
  const profiles: (readonly OperationTime[])[] = [];
  const tokens = steps * batch.tokenCount;
  const [{ program, inputs }] = callsOfStep(bench, batch);
  const canTell = (await runtime.profile(program, inputs)).operations.length > 0;
  const waited: number[] = [];
  const clock = new RunClock();
  const before = runtime.traffic?.();
  clock.start();
  try {
    for (let step = 1; step <= steps; step++) {
      const start = performance.now();
      await runStep(bench, { ...batch, step });
      times.push(performance.now() - start);
      if (!canTell) continue;
      const { operations, stepMs, waitedMs } = await runtime.profile(program, inputs);
      profiles.push(operations);
      if (waitedMs !== undefined) waited.push(waitedMs / stepMs);
    }
    const others = {
      eventLoopDelayP99Ms: clock.total().event_loop_delay_p99_ms,
      ...describeTraffic(runtime, before, steps, tokens),
      ...(waited.length > 0 && { waitedShare: median(waited) }),
    };
    const flops = flopsOfStep(bench, batch);
    return { times, tokens, flops, operations: canTell ? mediansOf(profiles) : [], others };
  } finally {
    clock.stop();
  }
}

/** Steps of the loop and the engine's own on the same batches, in turns. */
async function measureLoop(bench: Bench, loader: Loader, steps: number): Promise<Measured> {
  const turns: Turn[] = [];
  const before = bench.runtime.traffic?.();
  try {
    for (let left = steps; left > 0; left -= turns[turns.length - 1].loop.length) {
      turns.push(await takeTurn(bench, loader, Math.min(left, mostTurnSteps, Math.ceil(steps / 2))));
    }
  } finally {
    await loader.close();
  }
  const sum = (of: (turn: Turn) => number) => turns.reduce((total, turn) => total + of(turn), 0);
  const times = turns.flatMap(({ loop }) => loop);
  const engineTimes = turns.flatMap(({ engine }) => engine);
  const tokens = sum(({ batches }) => tokensOf(batches));
  const stepsRun = 2 * steps + warmUpSteps * turns.length;
  const tokensRun = 2 * tokens + sum(({ warmUp }) => tokensOf(warmUp));
  const others = {
    engineStepMs: median(engineTimes),
    loopAdds: median(times.map((ms, step) => ms / engineTimes[step])) - 1,
    stallFraction: sum(({ timing }) => timing.stalled_ms) / sum(({ timing }) => 1000 * timing.seconds),
    eventLoopDelayP99Ms: Math.max(...turns.map(({ timing }) => timing.event_loop_delay_p99_ms)),
    ...describeTraffic(bench.runtime, before, stepsRun, tokensRun),
  };
  const flops = sum(({ batches }) => batches.reduce((total, batch) => total + flopsOfStep(bench, batch), 0));
  return { times, tokens, flops: flops / steps, others };
}

interface Turn {
  readonly warmUp: readonly Batch[];
  readonly batches: readonly Batch[];
  /** Milliseconds of each batch's step, in the loop and without it. */
  readonly loop: readonly number[];
  readonly engine: readonly number[];
  /** Of the loop. */
  readonly timing: Timing;
}

async function takeTurn(bench: Bench, loader: Loader, count: number): Promise<Turn> {
  const clock = new RunClock();
  const kept: Batch[] = [];
  const fromLoader = async () => {
    const batch = await clock.waitFor(loader.next());
    if (!batch) throw new Error('internal: the training split ended');
    kept.push(copyOf(batch));
    return batch;
  };
  try {
    await runQueued(bench, fromLoader, warmUpSteps);
    clock.start();
    const loop = await runQueued(bench, fromLoader, count);
    const timing = clock.total();
    const batches = kept.slice(warmUpSteps);
    const again = batches.values();
    const engine = await runQueued(bench, async () => again.next().value!, count);
    return { warmUp: kept.slice(0, warmUpSteps), batches, loop, engine, timing };
  } finally {
    clock.stop();
  }
}

function tokensOf(batches: readonly Batch[]): number {
  return batches.reduce((sum, { tokenCount }) => sum + tokenCount, 0);
}

/** A copy, in shared memory as the ring's planes are: an engine takes both alike. */
function copyOf(batch: Batch): Batch {
  const planes = Object.entries(batch).flatMap(([name, plane]): [string, Int32Array][] => {
    if (!(plane instanceof Int32Array)) return [];
    const copy = new Int32Array(new SharedArrayBuffer(plane.byteLength));
    copy.set(plane);
    return [[name, copy]];
  });
  return { ...batch, ...Object.fromEntries(planes), release() {} };
}

/** Runs batches as training does, each queued before the one before has ended → from one's outputs to the next one's, ms. */
async function runQueued(bench: Bench, next: () => Promise<Batch>, count: number): Promise<number[]> {
  const marks = [performance.now()];
  const unread: Promise<void>[] = [];
  for (let step = 0; step < count; step++) {
    const batch = await next();
    const outputs = await submitBatch(bench.runtime, batch, callsOfStep(bench, batch));
    const read = Promise.all(outputs).then(() => void marks.push(performance.now()));
    // It is awaited some steps later: what failed must not end the process before that.
    read.catch(() => {});
    unread.push(read);
    if (unread.length > mostUnread) await unread.shift();
  }
  await Promise.all(unread);
  return marks.slice(1).map((mark, step) => mark - marks[step]);
}

/** Of what the engine computes. */
function flopsOfStep(bench: Bench, batch: Batch): number {
  const { runtime, programs } = bench;
  return callsOfStep(bench, batch).reduce((sum, { program, inputs }) => {
    return sum + (runtime.flopsOn?.(program, inputs) ?? flopsOf(programs[program]));
  }, 0);
}

async function runStep(bench: Bench, batch: Batch): Promise<Outputs[]> {
  return Promise.all(await submitBatch(bench.runtime, batch, callsOfStep(bench, batch)));
}

/** The rate is 0: the weights stay what they are, and a step takes as long. */
function callsOfStep({ config, stage }: Bench, batch: Batch) {
  return callsOf(batch, stage, 'bench', keyOfSeed(config.seed), 0);
}

/** 0 where the engine knows of none. */
async function peakOf(engine: Engine, options: LoadOptions): Promise<number> {
  return (await engine.measurePeak?.(options)) ?? 0;
}

async function bandwidthOf(engine: Engine, options: LoadOptions) {
  if (!engine.measureBandwidth) return undefined;
  const oneThread = await engine.measureBandwidth({ ...options, threads: 1 });
  return { oneThread, allThreads: options.threads === 1 ? oneThread : await engine.measureBandwidth(options) };
}

/** Microseconds an operation, the median of some runs. */
async function measureTape(engine: Engine, options: LoadOptions): Promise<number> {
  const build = new ProgramBuilder();
  const x = build.input('x', float32(1, 16));
  let y = x;
  for (let i = 0; i < tinyOperations; i++) y = scale(build, y, 0.5);
  build.output('y', y);
  const runtime = await engine.load({ chain: build.finish() }, options);
  try {
    const times: number[] = [];
    for (let run = 0; run < 25; run++) {
      const start = performance.now();
      await (await runtime.submit('chain', { x: new Float32Array(16) })).outputs;
      times.push(performance.now() - start);
    }
    return (1000 * median(times)) / tinyOperations;
  } finally {
    await runtime.close();
  }
}

/** Operation by operation, the median of its times in several profiles of one program. */
function mediansOf(profiles: readonly (readonly OperationTime[])[]): OperationTime[] {
  return profiles[0].map((time, i) => ({ ...time, ms: median(profiles.map((profile) => profile[i].ms)) }));
}

function describeTraffic(runtime: Runtime, before: Traffic | undefined, steps: number, tokens: number) {
  const after = runtime.traffic?.();
  if (before === undefined || after === undefined) return {};
  const since = (name: keyof Traffic) => after[name] - before[name];
  return {
    deviceMs: since('deviceMs') / steps,
    hostMs: since('hostMs') / steps,
    callsPerStep: since('calls') / steps,
    arraysPerStep: since('tensors') / steps,
    uploadedBytesPerToken: since('uploadedBytes') / tokens,
    downloadedBytesPerStep: since('downloadedBytes') / steps,
  };
}

function describeOperations(
  times: readonly OperationTime[],
  stepMs: number,
  peak: number,
  bandwidth: Bandwidth | undefined,
): Pick<StepFigures, 'operationsShare' | 'operations'> {
  if (times.length === 0) return { operations: [] };
  const total = times.reduce((sum, { ms }) => sum + ms, 0);
  const groups = new Map<string, OperationTime[]>();
  for (const time of times) groups.set(time.name, [...(groups.get(time.name) ?? []), time]);
  const operations = [...groups].map(([name, calls]): OperationFigures => {
    const sum = (of: (time: OperationTime) => number) => calls.reduce((total, time) => total + of(time), 0);
    const ms = sum((time) => time.ms);
    const limitMs = (limit: Bandwidth) =>
      sum(({ flops, bytes }) => Math.max(flops / peak, bytes / Math.max(limit.read, limit.copy)) / 1e6);
    return {
      ...{ name, calls: calls.length, ms, share: ms / total },
      gflops: sum(({ flops }) => flops) / ms / 1e6,
      bandwidth: sum(({ bytes }) => bytes) / ms / 1e6,
      ...(peak > 0 && bandwidth && { limitShare: limitMs(bandwidth) / ms }),
    };
  });
  return { operationsShare: total / stepMs, operations: operations.sort((a, b) => b.ms - a.ms) };
}
