/**
 * What Galvani and its peers are asked alike: a folder with the settings of a step, first weights, and some batches.
 *
 *   question.json          the training configuration and the rate of every step
 *   weights.safetensors    every parameter, by its name in a checkpoint
 *   batches.safetensors    ids, lengths, seconds, places, seen, counts, given: planes of K batches, (K, …)
 *
 * The answer is what can be compared: losses and gradient norms of steps on these batches, with dropout off and the
 * replacements given, so that nothing in it is drawn. Adam corrects its bias, the only way that PyTorch has it.
 */
import path from 'node:path';
import type { Batch } from '../../src/batching/loader.js';
import { maskedPerRow } from '../../src/batching/masking.js';
import { openData } from '../../src/batching/planning.js';
import type { LoadOptions, Runtime } from '../../src/engines/engine.js';
import { loadEngine } from '../../src/engines/index.js';
import { writeFileDurably } from '../../src/files.js';
import { type StoredTensor, writeSafetensors } from '../../src/formats/safetensors.js';
import { sizeOf } from '../../src/ops/operation.js';
import { keyOfSeed } from '../../src/random/philox.js';
import { benchmarkConfig } from '../../src/training/benchmark.js';
import { type RunStage, stagesOf, type TrainingConfig, withSettings } from '../../src/training/config.js';
import { openBatches, surveyStages } from '../../src/training/data.js';
import { writeInitialWeights } from '../../src/training/initialWeights.js';
import { buildStage, callsOf } from '../../src/training/programs.js';
import { syntheticBatch } from '../../src/training/syntheticBatch.js';

export interface QuestionSettings {
  readonly model: string;
  readonly batchSize: number;
  readonly sequenceLength: number;
  /** A prepared dataset; without one, rows are full and ids random. */
  readonly data?: string;
}

/** Losses and the norm of the gradients before clipping, step by step; each step is on the weights that the last one left. */
export interface Answer {
  readonly parameters: number;
  readonly steps: readonly StepAnswer[];
}

export interface StepAnswer {
  readonly mlmLoss: number;
  readonly rtdLoss: number;
  readonly gradientNorm: number;
}

/** K, batches in the folder: fewer than a ring has slots, so that none need be given back. */
const batchCount = 4;
/** As large as a run's gets, so that what a step changes shows in the next. */
const rate = 5e-4;

export class Question {
  private constructor(
    private readonly config: TrainingConfig,
    private readonly stage: RunStage,
    private readonly batches: readonly Batch[],
  ) {}

  static async make({ model, batchSize, sequenceLength, data }: QuestionSettings): Promise<Question> {
    const sources = data === undefined ? undefined : await openData(data);
    const settings = { model, batchSize, sequenceLength };
    const config = withSettings(benchmarkConfig(settings, 'unigram', sources?.[0].data.manifest.vocabulary.size), [
      { name: 'adam_bias_correction', value: true, from: 'bench' },
    ]);
    const [stage] = sources ? await surveyStages(sources, config) : [{ ...stagesOf(config)[0], segments: 1 }];
    const batches: Batch[] = [];
    if (sources === undefined) {
      for (let step = 0; step < batchCount; step++) batches.push(syntheticBatch(config, stage, step));
    } else {
      const loader = await openBatches(sources, config, stage);
      while (batches.length < batchCount) batches.push((await loader.next())!);
      await loader.close();
    }
    return new Question(config, stage, batches);
  }

  /** As a peer reads it. */
  async write(folder: string): Promise<void> {
    const { config, stage, batches } = this;
    const runtime = await this.load('wasm', {});
    const weights = await runtime.snapshot();
    const parameters = runtime.variables().filter(({ role }) => role === 'parameter');
    await runtime.close();
    await writeFileDurably(path.join(folder, 'question.json'), JSON.stringify({ training: config, rate }));
    await writeSafetensors(
      path.join(folder, 'weights.safetensors'),
      new Map(parameters.map(({ name, shape }) => [name, { shape, values: weights.get(name) as Float32Array }])),
    );
    const { batchSize: B, sequenceLength: T } = stage;
    const N = maskedPerRow(config.mask_prob, T);
    const shapes = {
      ids: [B, T],
      lengths: [B],
      seconds: [B],
      places: [B, N],
      seen: [B, N],
      counts: [B],
      given: [B, N],
    };
    const planes = Object.entries(shapes).map(([name, shape]): [string, StoredTensor] => {
      const values = batches.flatMap((batch) => [...batch[name as keyof typeof shapes]!]);
      return [name, { shape: [batches.length, ...shape], values: Int32Array.from(values) }];
    });
    await writeSafetensors(path.join(folder, 'batches.safetensors'), new Map(planes));
  }

  /** What an engine of ours says to the first `steps` batches. */
  async answer(engine: string, options: LoadOptions, steps: number): Promise<Answer> {
    const runtime = await this.load(engine, options);
    try {
      const answers: StepAnswer[] = [];
      for (const batch of this.batches.slice(0, steps)) {
        const [{ program, inputs }] = callsOf(batch, this.stage, 'question', keyOfSeed(0), rate);
        const { mlmLoss, rtdLoss, gradientNorm } = await (await runtime.submit(program, inputs)).outputs;
        answers.push({ mlmLoss: mlmLoss[0], rtdLoss: rtdLoss[0], gradientNorm: gradientNorm[0] });
      }
      const parameters = runtime.variables().filter(({ role }) => role === 'parameter');
      return { parameters: parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0), steps: answers };
    } finally {
      await runtime.close();
    }
  }

  /** The engine with the step, dropout off, and its first weights. */
  private async load(engine: string, options: LoadOptions): Promise<Runtime> {
    const { config, stage } = this;
    const still = ['generator', 'discriminator'].flatMap((part) =>
      ['hidden_dropout_prob', 'attention_probs_dropout_prob'].map((name) => `model.${part}.${name}`),
    );
    const dry = withSettings(
      config,
      still.map((name) => ({ name, value: 0, from: 'bench' })),
    );
    const programs = buildStage(dry, stage, 'question');
    const runtime = await (await loadEngine(engine)).load(programs, options);
    await writeInitialWeights(runtime, dry, new Float64Array(config.model.generator.vocab_size));
    return runtime;
  }
}
