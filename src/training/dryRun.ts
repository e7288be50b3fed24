/** What a run would take on this machine: parameters, memory, FLOPs, and the time of real steps on real batches. */
import { maskedPerRow } from '../batching/masking.js';
import { openDataset } from '../dataset/dataset.js';
import { loadEngine } from '../engines/index.js';
import { parametersOf } from '../model/parameters.js';
import { sizeOf } from '../ops/operation.js';
import { flopsOf } from '../program/print.js';
import { keyOfSeed } from '../random/philox.js';
import { openBatches } from './batches.js';
import { stagesOf } from './config.js';
import type { PretrainOptions } from './pretrain.js';
import { buildStage, callsOf } from './programs.js';
import { readRun } from './run.js';

export interface RunPlan {
  readonly parameters: number;
  readonly sharedParameters: number;
  readonly generatorParameters: number;
  readonly discriminatorParameters: number;
  readonly variableBytes: number;
  readonly valueBytes: number;
  readonly totalBytes: number;
  /** Of a step of the last stage. */
  readonly flopsPerStep: number;
  readonly stepMs: number;
  readonly steps: number;
  readonly seconds: number;
}

/** Steps that are timed, after one that is not. */
const timedSteps = 3;

export async function planRun(
  options: Pick<PretrainOptions, 'data' | 'output' | 'configure' | 'engine' | 'threads'>,
): Promise<RunPlan> {
  const dataset = await openDataset(options.data);
  const saved = await readRun(options.output);
  const config = options.configure(dataset.manifest.vocabulary.size, saved?.training);
  const stage = stagesOf(config)[config.stages.length - 1];
  const programs = buildStage(config, stage, maskedPerRow(config.mask_prob, stage.sequenceLength), 'last');
  const runtime = await (await loadEngine(options.engine ?? 'wasm')).load(programs, { threads: options.threads });
  const loader = await openBatches(dataset, config, stage);
  const stepTimes: number[] = [];
  let flopsPerStep = 0;
  try {
    for (let step = 0; step <= timedSteps; step++) {
      const batch = await loader.next();
      if (!batch) break;
      const start = performance.now();
      const calls = callsOf(batch, stage, 'last', keyOfSeed(0), 0);
      flopsPerStep = calls.reduce((sum, { program }) => sum + flopsOf(programs[program]), 0);
      for (const { program, inputs } of calls) await (await runtime.submit(program, inputs)).outputs;
      batch.release();
      if (step > 0) stepTimes.push(performance.now() - start);
    }
    const stepMs = stepTimes.sort((a, b) => a - b)[Math.floor(stepTimes.length / 2)];
    return {
      ...countParameters(parametersOf(config.model)),
      ...runtime.memory(),
      flopsPerStep,
      stepMs,
      steps: config.num_train_steps,
      seconds: (config.num_train_steps * stepMs) / 1000,
    };
  } finally {
    await loader.close();
    await runtime.close();
  }
}

function countParameters(parameters: ReturnType<typeof parametersOf>) {
  const count = (prefix: string) =>
    parameters.filter(({ name }) => name.startsWith(prefix)).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  return {
    parameters: count(''),
    sharedParameters: count('shared.'),
    generatorParameters: count('generator.'),
    discriminatorParameters: count('discriminator.'),
  };
}
