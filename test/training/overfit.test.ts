/** One batch, learned by heart through the program that trains: a defect in either model's path could not hide here. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import type { Batch, Loader } from '../../src/batching/loader.js';
import { openData } from '../../src/batching/planning.js';
import { mixTokenCounts } from '../../src/batching/tables.js';
import { loadEngine } from '../../src/engines/index.js';
import { keyOfSeed } from '../../src/random/philox.js';
import { presetTraining, withSettings } from '../../src/training/config.js';
import { openBatches, surveyStages } from '../../src/training/data.js';
import { evaluate } from '../../src/training/evaluation.js';
import { writeInitialWeights } from '../../src/training/initialWeights.js';
import { buildPrograms, callsOf } from '../../src/training/programs.js';
import { makeFolder, vocabularySize, writeDataset } from './runs.js';

const steps = 150;
const rate = 3e-3;

test('one batch with fixed replacements is learned: RTD AUC above 0.99, masked NLL below 0.1', async () => {
  const data = await writeDataset(path.join(makeFolder('overfit'), 'data'));
  const sources = await openData(data);
  const config = withSettings(
    { ...presetTraining('tiny', vocabularySize), stages: [{ until: 1, replacement: 'unigram' }] },
    [
      { name: 'batch_size', value: 16, from: 'test' },
      { name: 'micro_batch_size', value: 16, from: 'test' },
    ],
  );
  const stages = await surveyStages(sources, config);
  const [stage] = stages;
  const loader = await openBatches(sources, config, stage);
  const batch = copyOf((await loader.next())!);
  await loader.close();
  const runtime = await (await loadEngine('wasm')).load(buildPrograms(config, stages), { threads: 2 });
  try {
    await writeInitialWeights(runtime, config, await mixTokenCounts(sources));
    for (let step = 0; step < steps; step++) {
      const [{ program, inputs }] = callsOf(batch, stage, '0', keyOfSeed(step), rate);
      await (await runtime.submit(program, inputs)).outputs;
    }
    const { evaluation } = await evaluate(runtime, 'evaluate.unigram', loaderOf(batch));
    assert.ok(evaluation.replaced >= 16, `${evaluation.replaced} replaced`);
    assert.ok(evaluation.rtd_auc > 0.99, `AUC ${evaluation.rtd_auc}`);
    assert.ok(evaluation.masked_nll < 0.1, `NLL ${evaluation.masked_nll}`);
  } finally {
    await runtime.close();
  }
});

/** A batch that outlives its slot. */
function copyOf(batch: Batch): Batch {
  const planes = Object.entries(batch).map(([name, value]) => [
    name,
    value instanceof Int32Array ? value.slice() : value,
  ]);
  return { ...Object.fromEntries(planes), release: () => {} };
}

/** A pass of one batch. */
function loaderOf(batch: Batch): Pick<Loader, 'next'> {
  const batches = [batch];
  return { next: async () => batches.shift() };
}
