/** Runs on the tensorflow engine: from one engine to another, the same bits when that was asked for, and signals. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { exitCodes } from '../../src/errors.js';
import { listCheckpoints, readCheckpoint } from '../../src/training/checkpoint.js';
import { needTensorflow } from '../tensorflow.js';
import { argumentsOf, makeFolder, readUntimed, runGalvani, startGalvani, writeDataset } from './runs.js';

const folder = makeFolder('tensorflow-runs');
const data = path.join(folder, 'data');

/** One program to load, with dropout and masks in it; samples are in that of the tests that compare bits. */
const settings = {
  num_train_steps: 90,
  stages: [{ until: 1, replacement: 'unigram' }],
  validation_fraction: 0,
  checkpoint_every: 30,
  keep_checkpoint_max: 100,
  log_every: 1,
};

function pathOf(name: string): string {
  return path.join(folder, name);
}

function train(name: string, changed: object, ...flags: string[]) {
  const result = runGalvani(argumentsOf(data, pathOf(name), { ...settings, ...changed }, ...flags));
  assert.equal(result.status, exitCodes.done, result.stderr);
  return result;
}

interface Line {
  readonly step: number;
  readonly loss: number;
}

describe('a run with the tensorflow engine', needTensorflow(), () => {
  before(() => writeDataset(data));

  test('goes on where another engine stopped, and another one where it stopped, to the same losses', () => {
    const part = { num_train_steps: 30 };
    train('wasm', part);
    train('wasm', {});
    const losses = (readUntimed(pathOf('wasm')) as Line[]).map(({ loss }) => loss);
    for (const [first, then] of [
      ['wasm', 'tensorflow'],
      ['tensorflow', 'wasm'],
    ]) {
      const name = `${first}-${then}`;
      train(name, part, '--engine', first);
      const { stdout, stderr } = train(name, {}, '--engine', then);
      assert.match(stdout, /pretrain goes on after step 30: 90 steps/);
      assert.match(
        stderr,
        new RegExp(`run: the checkpoint is by ${first} .*, this is ${then} .*: last bits will differ`),
      );
      const lines = readUntimed(pathOf(name)) as Line[];
      assert.deepEqual(
        lines.map(({ step }) => step),
        Array.from({ length: 90 }, (_, i) => i + 1),
      );
      for (const [i, { loss }] of lines.entries()) {
        const error = Math.abs(loss - losses[i]) / losses[i];
        assert.ok(error < 1e-4, `${name}, step ${i + 1}: ${loss}, ${losses[i]} with wasm alone`);
      }
    }
  });

  test('is stopped by a signal, goes on, and ends in the same bits when those were asked for', async () => {
    const flags = ['--engine', 'tensorflow', '--deterministic'];
    const samples = { ...settings, stages: [{ until: 1, replacement: 'generator' }] };
    const whole = train('whole', samples, ...flags);
    assert.match(whole.stdout, /^pretrain begins: .* \(tensorflow .* float32 (threads 1|deterministic)\)$/m);
    const { child, said, finished } = startGalvani(argumentsOf(data, pathOf('stopped'), samples, ...flags));
    await said('step 40 ');
    child.kill('SIGINT');
    const { status, stderr } = await finished;
    assert.equal(status, exitCodes.tryAgain, stderr);
    train('stopped', samples, ...flags, '--workers', '2');
    await assertSameRun(pathOf('stopped'), pathOf('whole'));
  });

  test('that is refused after the library was loaded ends with its message and exit code, and is no run yet', () => {
    const absent = pathOf('absent');
    const before = process.env.TMPDIR;
    process.env.TMPDIR = absent;
    const { status, stderr } = runGalvani(argumentsOf(data, pathOf('refused'), settings, '--engine', 'tensorflow'));
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    assert.match(stderr, /^tensorflow: expected a temporary folder that takes a graph .*absent/m);
    assert.equal(status, exitCodes.failure);
    assert.equal(existsSync(pathOf('refused')), false);
  });

  test('says what takes long before its first step, and a second Ctrl-C ends it at once', async () => {
    const args = argumentsOf(data, pathOf('twice'), settings, '--engine', 'tensorflow');
    const { child, said, finished } = startGalvani(args, 'hang rename \\.step-');
    await said('step 9 ');
    child.kill('SIGINT');
    await said('fault');
    child.kill('SIGINT');
    const { status, signal, stdout } = await finished;
    assert.deepEqual({ status, signal }, { status: null, signal: 'SIGINT' });
    assert.match(stdout, /^tensorflow \S+ (cpu|gpu): loads 1 program /m);
  });
});

async function assertSameRun(actual: string, expected: string): Promise<void> {
  assert.deepEqual(readUntimed(actual), readUntimed(expected));
  const last = (await listCheckpoints(expected)).at(-1);
  const [one, other] = await Promise.all(
    [actual, expected].map((run) => readCheckpoint(path.join(run, 'checkpoints', `step-${last}`))),
  );
  // The state holds the checksum of the tensors' file too.
  assert.deepEqual(one.state, other.state);
}
