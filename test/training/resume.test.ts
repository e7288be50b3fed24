/** A run that is killed, stopped and gone on with, however often and wherever, ends with the same bits. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { exitCodes } from '../../src/errors.js';
import { listCheckpoints, readCheckpoint } from '../../src/training/checkpoint.js';
import { randomInts } from '../random.js';
import { argumentsOf, makeFolder, readUntimed, runGalvani, settings, startGalvani, writeDataset } from './runs.js';

const folder = makeFolder('resume');
const data = path.join(folder, 'data');
const { num_train_steps: steps, checkpoint_every: every } = settings;
const micro = { micro_batch_size: 4, num_train_steps: 300 };

before(() => writeDataset(data));

/** A run from its first to its last step, to compare with. */
function runUndisturbed(name: string, changed: object): string {
  const run = path.join(folder, name);
  const { status, stderr } = runGalvani(argumentsOf(data, run, changed));
  assert.equal(status, exitCodes.done, stderr);
  return run;
}

async function newestStep(run: string): Promise<number> {
  return (await listCheckpoints(run)).at(-1) ?? 0;
}

async function assertSameRun(actual: string, expected: string): Promise<void> {
  const last = await newestStep(expected);
  assert.deepEqual(readUntimed(actual), readUntimed(expected));
  assert.deepEqual(await listCheckpoints(actual), await listCheckpoints(expected));
  const [one, other] = await Promise.all(
    [actual, expected].map((run) => readCheckpoint(path.join(run, 'checkpoints', `step-${last}`))),
  );
  // The state holds the checksum of the tensors' file too.
  assert.deepEqual(one.state, other.state);
  assert.deepEqual([...one.tensors.keys()], [...other.tensors.keys()]);
  for (const [name, { values }] of one.tensors) assert.deepEqual(values, other.tensors.get(name)!.values, name);
}

/** Other threads and workers at every attempt. */
const teams = [
  ['2', '2'],
  ['1', '3'],
  ['3', '1'],
  ['2', '1'],
  ['1', '2'],
].map(([threads, workers]) => ['--threads', threads, '--workers', workers]);

test('a run killed five times at random and three times inside a checkpoint ends as an undisturbed one', async () => {
  const expected = runUndisturbed('whole', {});
  const run = path.join(folder, 'killed');
  const pauses = randomInts(5, 17, 25);
  // The first kill comes before any checkpoint; the others after one that the attempt has written itself.
  for (const [i, pause] of pauses.entries()) {
    const reached = await newestStep(run);
    const { child, said, finished } = startGalvani([...argumentsOf(data, run), ...teams[i]]);
    await said(i === 0 ? 'step 27 ' : `step-${reached + every}\n`);
    await delay(pause);
    child.kill('SIGKILL');
    assert.equal((await finished).signal, 'SIGKILL', 'the run ended before it could be killed');
    assert.ok(existsSync(path.join(run, 'lock')));
    if (i > 0) assert.ok((await newestStep(run)) > reached);
  }
  const moments = [
    (step: number) => `kill open \\.step-${step}\\..*safetensors`,
    (step: number) => `kill open \\.step-${step}\\..*state`,
    (step: number) => `kill rename \\.step-${step}\\.tmp-\\d+$`,
  ];
  for (const [i, moment] of moments.entries()) {
    const reached = await newestStep(run);
    const next = Math.min(reached + (i === 1 ? every : 2 * every), steps);
    const { finished } = startGalvani([...argumentsOf(data, run), ...teams[i]], moment(next));
    assert.equal((await finished).signal, 'SIGKILL');
    const names = readdirSync(path.join(run, 'checkpoints'));
    assert.ok(names.some((name) => name.startsWith(`.step-${next}.tmp-`)));
    assert.ok(!names.includes(`step-${next}`));
  }
  const last = runGalvani([...argumentsOf(data, run), ...teams[4]]);
  assert.equal(last.status, exitCodes.done, last.stderr);
  assert.match(last.stdout, /^pretrain goes on after step \d+: 600 steps/);
  await assertSameRun(run, expected);
  assert.deepEqual(readdirSync(run).sort(), ['checkpoints', 'config.json', 'metrics.jsonl', 'vocab.txt']);
  assert.deepEqual(readdirSync(path.join(run, 'checkpoints')).sort(), ['step-490', 'step-560', 'step-600']);
});

test('SIGTERM, SIGINT and --max-minutes write a checkpoint first, and the run goes on to the same end', async () => {
  const expected = runUndisturbed('micro', micro);
  const run = path.join(folder, 'stopped');
  const args = (i: number) => [...argumentsOf(data, run, micro), ...teams[i], '--json'];
  for (const [i, signal] of (['SIGTERM', 'SIGINT'] as const).entries()) {
    const reached = await newestStep(run);
    const { child, said, finished } = startGalvani(args(i));
    await said('"kind":"train"');
    child.kill(signal);
    const { status, stdout, stderr } = await finished;
    assert.equal(status, exitCodes.tryAgain, stderr);
    assert.equal(stderr, 'stopping: what was trained is written as a checkpoint first\n');
    const { kind, step, isDone } = JSON.parse(stdout.trimEnd().split('\n').at(-1)!);
    assert.deepEqual({ kind, isDone }, { kind: 'end', isDone: false });
    assert.ok(step > reached);
    assert.equal(await newestStep(run), step);
    assert.ok(!existsSync(path.join(run, 'lock')));
  }
  const short = runGalvani([...args(2), '--max-minutes', '0.006']);
  assert.equal(short.status, exitCodes.tryAgain, short.stderr);
  assert.equal(await newestStep(run), JSON.parse(short.stdout.trimEnd().split('\n').at(-1)!).step);
  const last = runGalvani(args(3));
  assert.equal(last.status, exitCodes.done, last.stderr);
  assert.deepEqual(readUntimed(run), readUntimed(expected));
  const [one, other] = await Promise.all(
    [run, expected].map((directory) => readCheckpoint(path.join(directory, 'checkpoints', 'step-300'))),
  );
  assert.deepEqual(one.state, other.state);
});

test('a reader of the output that stops early stops the run behind a checkpoint', async () => {
  const run = path.join(folder, 'unread');
  const { child, said, finished } = startGalvani(argumentsOf(data, run, { num_train_steps: 100_000 }));
  await said('step 9 ');
  child.stdout?.destroy();
  assert.equal((await finished).status, exitCodes.tryAgain);
  assert.ok((await newestStep(run)) >= 9);
});

test('a second Ctrl-C ends at once, and what it leaves does not block', async () => {
  const run = path.join(folder, 'twice');
  const args = argumentsOf(data, run, { num_train_steps: 100 });
  // The checkpoint is never done, so only the second signal can end it.
  const { child, said, finished } = startGalvani(args, 'hang rename \\.step-');
  await said('step 9 ');
  child.kill('SIGINT');
  await said('fault');
  child.kill('SIGINT');
  const { status, signal } = await finished;
  assert.deepEqual({ status, signal }, { status: null, signal: 'SIGINT' });
  assert.equal(runGalvani(args).status, exitCodes.done);
});

test('a finished run says that it is done, and goes on when it is given more steps', async () => {
  const run = path.join(folder, 'done');
  const args = argumentsOf(data, run, { num_train_steps: 20 });
  assert.match(runGalvani(args).stdout, /\ndone: 20 steps\n$/);
  const before = readUntimed(run);
  assert.equal(runGalvani(args).stdout, 'done already: 20 steps; more --steps go on from there\n');
  assert.deepEqual(readUntimed(run), before);
  const more = runGalvani([...args, '--steps', '30']);
  assert.match(more.stdout, /^pretrain goes on after step 20: 30 steps .*\ndone: 30 steps\n$/s);
  const lines = readUntimed(run) as { step: number; timing: object }[];
  assert.deepEqual(lines.slice(0, before.length), before);
  assert.equal(lines.at(-1)?.step, 30);
});
