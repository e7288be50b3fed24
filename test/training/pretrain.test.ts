/** The loop itself, called as a program calls it: threads that die, and what it reports while it runs. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { GalvaniError } from '../../src/errors.js';
import { listCheckpoints } from '../../src/training/checkpoint.js';
import { presetTraining, settingsOf, withSettings } from '../../src/training/config.js';
import { readMetrics } from '../../src/training/metrics.js';
import { type PretrainEvent, type PretrainOptions, pretrain } from '../../src/training/pretrain.js';
import { makeFolder, settings, writeDataset } from './runs.js';

const folder = makeFolder('pretrain');
const data = path.join(folder, 'data');

before(() => writeDataset(data));

function optionsOf(run: string, onEvent?: (event: PretrainEvent) => void): PretrainOptions {
  const wanted = settingsOf({ ...settings, num_train_steps: 300, evaluate_every: 300 }, 'test');
  return {
    data,
    output: path.join(folder, run),
    configure: (size, saved) => saved ?? withSettings(presetTraining('tiny', size), wanted),
    threads: 2,
    workers: 2,
    onEvent,
  };
}

/** Ends one of the threads of a run after its first checkpoint; they come in this order: 2 that compute, 2 that make batches. */
async function trainWithDeath(run: string, thread: number): Promise<void> {
  const threads: Worker[] = [];
  const note = (worker: Worker) => threads.push(worker);
  process.on('worker', note);
  try {
    await pretrain(
      optionsOf(run, ({ kind }) => {
        if (kind === 'checkpoint') void threads[thread].terminate();
      }),
    );
  } finally {
    process.off('worker', note);
  }
}

for (const [what, thread, message] of [
  ['computes', 1, /^wasm: expected 2 compute threads that work until they are closed, got thread 1 ended with code 1/],
  ['makes batches', 3, /^batch: expected a worker that makes batches, got .* \(worker \d, step \d+\)/],
] as const) {
  test(`a thread that ${what} and dies ends the run with an error; the checkpoint stays and the run goes on`, async () => {
    const run = path.join(folder, what);
    await assert.rejects(trainWithDeath(what, thread), (error) => {
      assert.ok(error instanceof GalvaniError);
      assert.match(error.message, message);
      assert.equal(error.kind, 'failure');
      return true;
    });
    assert.equal(existsSync(path.join(run, 'lock')), false);
    assert.deepEqual((await listCheckpoints(run)).slice(0, 1), [70]);
    const { isDone, step } = await pretrain(optionsOf(what));
    assert.deepEqual({ isDone, step }, { isDone: true, step: 300 });
  });
}

test('every line of metrics says what it is about and carries timings under one name', async () => {
  const events: PretrainEvent[] = [];
  await pretrain(optionsOf('metrics', (event) => events.push(event)));
  const lines = await readMetrics(path.join(folder, 'metrics'));
  assert.deepEqual(
    events.flatMap((event) => (event.kind === 'metrics' ? [event.line] : [])),
    lines,
  );
  const train = lines.filter(({ kind }) => kind === 'train');
  assert.deepEqual(
    train.map(({ step }) => step),
    [...Array.from({ length: 33 }, (_, i) => 9 * (i + 1)), 300],
  );
  assert.deepEqual(new Set(train.map(({ replacement }) => replacement)), new Set(['unigram', 'generator']));
  for (const line of train) {
    const names = ['seconds', 'step_ms', 'tokens_per_second', 'stall_fraction', 'stalled_ms', 'longest_stall_ms'];
    assert.deepEqual(Object.keys(line.timing), [...names, 'event_loop_delay_p99_ms']);
    for (const value of Object.values(line.timing)) assert.ok(Number.isFinite(value) && value >= 0);
    const { loss, mlm_loss, rtd_loss, timing: _, ...others } = line as Record<string, number>;
    assert.ok(Math.abs(loss - (mlm_loss + 50 * rtd_loss)) < 1e-9 * loss);
    for (const [name, value] of Object.entries(others)) assert.ok(value !== null, name);
  }
  const last = lines.at(-1)!;
  assert.deepEqual([last.step, last.kind], [300, 'evaluation']);
  for (const name of ['unigram', 'generator']) {
    const { masked, replaced, tokens, rtd_auc } = last[name] as Record<string, number>;
    assert.ok(0 < replaced && replaced <= masked && masked < tokens && 0 < rtd_auc && rtd_auc < 1);
  }
});
