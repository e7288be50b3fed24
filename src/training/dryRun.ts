/** What a run would take on this machine: parameters, memory, FLOPs, and the time of real steps on real batches. */
import { openData, type WeightedDataset } from '../batching/planning.js';
import type { LoadOptions, Runtime } from '../engines/engine.js';
import { loadEngine } from '../engines/index.js';
import { median } from '../median.js';
import { parametersOf } from '../model/parameters.js';
import { sizeOf } from '../ops/operation.js';
import { flopsOf } from '../program/print.js';
import { keyOfSeed } from '../random/philox.js';
import type { RunStage, TrainingConfig } from './config.js';
import { openBatches, surveyStages } from './data.js';
import type { PretrainOptions } from './pretrain.js';
import { buildPrograms, callsOf } from './programs.js';
import { readRun } from './run.js';
import { submitBatch } from './submit.js';

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

/** Steps of a stage that are timed, after one that is not. */
const timedSteps = 3;

/** Writes nothing. @throws what the run itself would be refused for. */
export async function planRun(
  options: Pick<PretrainOptions, 'data' | 'output' | 'configure' | 'engine'> & LoadOptions,
): Promise<RunPlan> {
  const data = await openData(options.data);
  const engine = await loadEngine(options.engine ?? 'wasm', options);
  const saved = await readRun(options.output);
  const config = options.configure(data[0].data.manifest.vocabulary.size, saved?.training);
  const stages = await surveyStages(data, config);
  const programs = buildPrograms(config, stages);
  const runtime = await engine.load(programs, options);
  try {
    const plan = { flopsPerStep: 0, stepMs: 0, steps: config.num_train_steps, seconds: 0 };
    for (const [index, stage] of stages.entries()) {
      const { programs: called, ms } = await timeStage(runtime, data, config, stage, `${index}`);
      plan.flopsPerStep = called.reduce((sum, name) => sum + flopsOf(programs[name]), 0);
      plan.stepMs = ms;
      plan.seconds += ((stage.end - stage.first) * ms) / 1000;
    }
    return { ...countParameters(parametersOf(config.model)), ...runtime.memory(), ...plan };
  } finally {
    await runtime.close();
  }
}

/** The programs of a step of the stage, and the median of its time. The weights are 0: a step takes as long with them. */
async function timeStage(
  runtime: Runtime,
  data: readonly WeightedDataset[],
  config: TrainingConfig,
  stage: RunStage,
  prefix: string,
): Promise<{ programs: string[]; ms: number }> {
  const loader = await openBatches(data, config, stage);
  try {
    let programs: string[] = [];
    const times: number[] = [];
    for (let step = 0; step <= timedSteps; step++) {
      const batch = await loader.next();
      if (!batch) throw new Error('internal: the training split ended');
      const start = performance.now();
      const calls = callsOf(batch, stage, prefix, keyOfSeed(0), 0);
      await Promise.all(await submitBatch(runtime, batch, calls));
      if (step > 0) times.push(performance.now() - start);
      programs = calls.map(({ program }) => program);
    }
    return { programs, ms: median(times) };
  } finally {
    await loader.close();
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
