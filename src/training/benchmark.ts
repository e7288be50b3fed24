/**
 * How long a training step takes on an engine, and where in it the time goes: the figures of `galvani bench step`.
 * The batch is synthetic (rows full, ids by Philox), so the step alone is measured; per-operation times are medians over
 * profiled steps of the same run, in turns with the others. The engine's own ceiling is measured before and after.
 */

import { maskedPerRow } from '../batching/masking.js';
import type { Engine, Inputs, OperationTime, Runtime } from '../engines/engine.js';
import { loadEngine } from '../engines/index.js';
import { median } from '../median.js';
import { flopsOf } from '../program/print.js';
import type { Program } from '../program/program.js';
import { drawWords, keyOfSeed } from '../random/philox.js';
import { streams } from '../random/streams.js';
import { presetTraining, stagesOf, withSettings } from './config.js';
import { writeInitialWeights } from './initialWeights.js';
import { buildStage } from './programs.js';

export interface StepFigures {
  readonly engine: string;
  readonly build: string;
  readonly model: string;
  readonly batchSize: number;
  readonly sequenceLength: number;
  /** Median of `steps` steps. */
  readonly stepMs: number;
  readonly steps: number;
  readonly tokensPerSecond: number;
  readonly gflopPerStep: number;
  readonly gflops: number;
  /** GFLOP/s of multiply-adds that the engine could do at most, and what the step reaches of it; where it is known. */
  readonly peakGflops?: number;
  readonly peakShare?: number;
  readonly memoryBytes: number;
  /** Σ of the operations' times over stepMs: what the clocks between them cost, and what a step does outside them. */
  readonly operationsShare: number;
  /** By operation, largest first. */
  readonly operations: readonly OperationFigures[];
}

export interface OperationFigures {
  readonly name: string;
  readonly calls: number;
  readonly ms: number;
  readonly share: number;
  readonly gflops: number;
}

const vocabularySize = 30522;

export async function measureStep(options: {
  engine: string;
  model: string;
  batchSize: number;
  sequenceLength: number;
  threads?: number;
  steps?: number;
}): Promise<StepFigures> {
  const { model, batchSize, sequenceLength, steps = 7 } = options;
  const preset = presetTraining(model, model === 'tiny' ? 1024 : vocabularySize);
  const settings = { batch_size: batchSize, micro_batch_size: batchSize, sequence_length: sequenceLength };
  const config = withSettings(
    { ...preset, stages: [{ until: 1, replacement: 'generator' }] },
    Object.entries(settings).map(([name, value]) => ({ name, value, from: 'bench' })),
  );
  const [stage] = stagesOf(config);
  const programs = buildStage(config, stage, maskedPerRow(config.mask_prob, sequenceLength), 'bench');
  const program = programs['bench.train'];
  const engine = await loadEngine(options.engine);
  const runtime = await engine.load(programs, { threads: options.threads });
  try {
    await writeInitialWeights(runtime, config, new Float64Array(config.model.generator.vocab_size));
    const inputs = syntheticBatch(program, config.model.generator.vocab_size);
    await runStep(runtime, inputs, 0);
    const peakBefore = await peakOf(engine, options.threads);
    const times: number[] = [];
    const profiles: (readonly OperationTime[])[] = [];
    for (let step = 1; step <= steps; step++) {
      times.push(await runStep(runtime, inputs, step));
      profiles.push((await runtime.profile('bench.train', inputs)).operations);
    }
    const peak = Math.max(peakBefore, await peakOf(engine, options.threads));
    const stepMs = median(times);
    const operations = mediansOf(profiles);
    const gflop = flopsOf(program) / 1e9;
    return {
      engine: options.engine,
      build: runtime.build,
      model,
      batchSize,
      sequenceLength,
      stepMs,
      steps,
      tokensPerSecond: (batchSize * sequenceLength * 1000) / stepMs,
      gflopPerStep: gflop,
      gflops: (gflop * 1000) / stepMs,
      ...(peak > 0 && { peakGflops: peak, peakShare: (gflop * 1000) / stepMs / peak }),
      memoryBytes: runtime.memory().totalBytes,
      operationsShare: operations.reduce((sum, { ms }) => sum + ms, 0) / stepMs,
      operations: groupTimes(operations),
    };
  } finally {
    await runtime.close();
  }
}

/** 0 where the engine knows of none. */
async function peakOf(engine: Engine, threads: number | undefined): Promise<number> {
  return (await engine.measurePeak?.(threads)) ?? 0;
}

/** Operation by operation, the median of its times in several profiles of one program. */
function mediansOf(profiles: readonly (readonly OperationTime[])[]): OperationTime[] {
  return profiles[0].map((time, i) => ({ ...time, ms: median(profiles.map((profile) => profile[i].ms)) }));
}

async function runStep(runtime: Runtime, inputs: Inputs, step: number): Promise<number> {
  const start = performance.now();
  const { outputs } = await runtime.submit('bench.train', { ...inputs, draw: Int32Array.of(1, 0, step, 0) });
  await outputs;
  return performance.now() - start;
}

/** A full batch: every row T long, N places masked in each. */
function syntheticBatch(program: Program, pieces: number): Inputs {
  const [rows, places] = program.tensors[program.inputs.ids].shape;
  const masked = program.tensors[program.inputs.places].shape[1];
  const ids = (count: number, stream: number) => {
    const words = new Uint32Array(count);
    drawWords(words, keyOfSeed(1), stream, 0);
    return Int32Array.from(words, (word) => Math.floor((word / 2 ** 32) * pieces));
  };
  return {
    ids: ids(rows * places, streams.replacement),
    lengths: new Int32Array(rows).fill(places),
    seconds: new Int32Array(rows).fill(places),
    places: Int32Array.from({ length: rows * masked }, (_, i) => Math.floor(((i % masked) * places) / masked)),
    seen: ids(rows * masked, streams.masks),
    counts: new Int32Array(rows).fill(masked),
    draw: new Int32Array(4),
    denominators: Float32Array.of(rows * masked, rows * places),
    rate: new Float32Array(1),
  };
}

function groupTimes(times: readonly OperationTime[]): OperationFigures[] {
  const total = times.reduce((sum, { ms }) => sum + ms, 0);
  const groups = new Map<string, { calls: number; ms: number; flops: number }>();
  for (const { name, ms, flops } of times) {
    const group = groups.get(name) ?? { calls: 0, ms: 0, flops: 0 };
    groups.set(name, { calls: group.calls + 1, ms: group.ms + ms, flops: group.flops + flops });
  }
  return [...groups]
    .map(([name, { calls, ms, flops }]) => ({ name, calls, ms, share: ms / total, gflops: flops / ms / 1e6 }))
    .sort((a, b) => b.ms - a.ms);
}
