/** `galvani inspect` on what a run leaves: the run, its checkpoints, and the model folders made of it. */
import assert from 'node:assert/strict';
import { truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { exitCodes } from '../../src/errors.js';
import { readMetrics } from '../../src/training/metrics.js';
import { argumentsOf, makeFolder, runGalvani, writeDataset } from './runs.js';

const folder = makeFolder('inspect');
const run = path.join(folder, 'run');
const model = path.join(folder, 'model');

before(async () => {
  const data = await writeDataset(path.join(folder, 'data'));
  const change = { num_train_steps: 30, checkpoint_every: 20, evaluate_every: 30 };
  for (const more of [{}, { num_train_steps: 40, learning_rate: 1e-3 }]) {
    assert.equal(runGalvani(argumentsOf(data, run, { ...change, ...more })).status, exitCodes.done);
  }
  assert.equal(runGalvani(['export', run, '--output', model]).status, exitCodes.done);
});

function inspect(...args: string[]): string {
  const { status, stdout, stderr } = runGalvani(['inspect', ...args]);
  assert.equal(status, exitCodes.done, stderr);
  return stdout;
}

test('a run tells its settings, what was changed on the way, its step, its last metrics and its checkpoints', async () => {
  const value = JSON.parse(inspect(run, '--json'));
  const lines = await readMetrics(run);
  assert.deepEqual(value.metrics, { train: lines.at(-2), evaluation: lines.at(-1) });
  assert.deepEqual([value.kind, value.step, value.parameters], ['run', 40, 2733]);
  assert.deepEqual(
    value.checkpoints.map(({ step }: { step: number }) => step),
    [20, 30, 40],
  );
  assert.equal(value.training.learning_rate, 1e-3);
  assert.deepEqual(value.changes, [
    { step: 30, name: 'num_train_steps', from: 30, to: 40 },
    { step: 30, name: 'learning_rate', from: 2e-3, to: 1e-3 },
  ]);
  const text = inspect(run);
  assert.match(text, /^steps +40 of 40 are in a checkpoint$/m);
  assert.match(text, /^stages +unigram to step 16 \(B 8, T 16\), generator to step 40 \(B 8, T 11\)$/m);
  assert.match(text, /^from step 30 +learning_rate 0\.002 → 0\.001$/m);
  assert.match(text, /^step 40 {2}loss \d+\.\d+ .*\nstep 40 held out.*AUC 0\.\d+/m);
  assert.match(text, /^step-40 +\d+\.\d kB$/m);
});

test('a checkpoint tells its step and the shape of every tensor, moments included; a damaged one is refused', () => {
  const checkpoint = path.join(run, 'checkpoints', 'step-20');
  const { kind, step, values, tensors } = JSON.parse(inspect(checkpoint, '--json'));
  assert.deepEqual([kind, step], ['checkpoint', 20]);
  // Weights, two moments each; and what else the optimizer counts.
  assert.ok(values >= 3 * 2733 && values < 3 * 2733 + 10);
  const table = { name: 'shared.electra.embeddings.word_embeddings.weight', shape: [60, 8] };
  for (const prefix of ['', 'adam_m/', 'adam_v/']) {
    const name = `${prefix}${table.name}`;
    assert.deepEqual(
      tensors.find((tensor: { name: string }) => tensor.name === name),
      { ...table, name },
    );
  }
  assert.match(inspect(checkpoint), /^shared\.electra\.embeddings\.word_embeddings\.weight +60 × 8$/m);
  truncateSync(path.join(checkpoint, 'model.safetensors'), 100);
  const { status, stderr } = runGalvani(['inspect', checkpoint]);
  assert.match(stderr, /^checkpoint: expected SHA-256 .*step-20.model\.safetensors/);
  assert.equal(status, exitCodes.badInput);
});

test('a model folder tells the configuration and the weights of the model or models in it', () => {
  const { kind, models } = JSON.parse(inspect(model, '--json'));
  assert.equal(kind, 'model folder');
  const [discriminator, generator] = models;
  assert.deepEqual([discriminator.part, discriminator.config.num_hidden_layers], ['discriminator', 2]);
  assert.deepEqual([generator.part, generator.config.num_hidden_layers], ['generator', 1]);
  // Both folders hold the embeddings that the models share.
  assert.deepEqual([discriminator.parameters, generator.parameters], [704 + 1281, 704 + 748]);
  assert.match(inspect(model), /^discriminator +2 × 8 wide, heads 2.*\n(.*\n)+\ngenerator +1 × 8 wide/);
  assert.match(inspect(path.join(model, 'generator')), /^generator +1 × 8 wide/);
});

test('a program of a run, and the same from the file that it was written to', () => {
  const text = inspect(run, '--program', '0.train');
  assert.match(text, /= embed\(.*# generator\/embeddings$/m);
  assert.match(text, /^total +\d+\.\d+ MFLOP, \d+ operations, \d+\.\d+ MiB of values$/m);
  const json = inspect(run, '--program', '0.train', '--json');
  const file = path.join(folder, 'step.json');
  writeFileSync(file, json);
  assert.equal(inspect(file), text);
  assert.equal(inspect(file, '--json'), json);
  assert.equal(inspect(run, '--program', '1.train', '--json'), inspect(run, '--program', '1.train', '--json'));

  const refused = (args: string[], message: RegExp, code: number) => {
    const { status, stderr } = runGalvani(['inspect', ...args]);
    assert.match(stderr, message);
    assert.equal(status, code);
  };
  refused([run, '--program', '0.trian'], /got "0\.trian" \(.*Did you mean "0\.train"\?/, exitCodes.wrongUse);
  refused([model, '--program', '0.train'], /expected .*run/, exitCodes.badInput);
  truncateSync(file, json.length - 10);
  refused([file], /^program: expected JSON, got .*step\.json/, exitCodes.badInput);
});

test('another folder is refused with the kinds that there are', () => {
  const { status, stderr } = runGalvani(['inspect', folder]);
  assert.match(stderr, /^inspect: expected a dataset \(with manifest\.json\), a run \(.*\), .*, got none of these/);
  assert.equal(status, exitCodes.badInput);
});
