import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { VariableInfo } from '../../src/engines/engine.js';
import { lockFolder } from '../../src/lock.js';
import {
  listCheckpoints,
  pruneCheckpoints,
  readCheckpoint,
  readNewestCheckpoint,
  writeCheckpoint,
} from '../../src/training/checkpoint.js';
import { MetricsLog, readMetrics } from '../../src/training/metrics.js';
import { randomFloats } from '../random.js';

let run: string;
beforeEach(async () => {
  run = await mkdtemp(path.join(os.tmpdir(), 'galvani-run-'));
});
afterEach(() => rm(run, { recursive: true, force: true }));

const variables: VariableInfo[] = [
  { name: 'a', shape: [2, 3], dtype: 'float32', role: 'parameter' },
  { name: 'adam_m/a', shape: [2, 3], dtype: 'float32', role: 'moment' },
  { name: 'gradient/a', shape: [2, 3], dtype: 'float32', role: 'gradient' },
];

async function write(step: number): Promise<string> {
  const snapshot = new Map(variables.map(({ name }, i) => [name, randomFloats(6, step + i)]));
  return writeCheckpoint(run, { step, build: 'test', sums: { steps: 3, nll: 0.1 + step } }, variables, snapshot);
}

test('a checkpoint holds parameters, moments and sums bit for bit, and no gradients', async () => {
  const { state, tensors } = await readCheckpoint(await write(7));
  assert.equal(state.step, 7);
  assert.deepEqual(state.sums, { steps: 3, nll: 7.1 });
  assert.deepEqual([...tensors.keys()], ['a', 'adam_m/a']);
  assert.deepEqual(tensors.get('a'), { shape: [2, 3], values: randomFloats(6, 7) });
});

test('a damaged checkpoint is named, and the newest whole one is used', async () => {
  await write(10);
  await write(20);
  const newest = await write(30);
  const file = path.join(newest, 'model.safetensors');
  const bytes = await readFile(file);
  bytes[bytes.length - 3] ^= 1;
  await writeFile(file, bytes);
  await truncate(path.join(run, 'checkpoints/step-20/state.json'), 40);
  const messages: string[] = [];
  const found = await readNewestCheckpoint(run, (message) => messages.push(message));
  assert.equal(found?.state.step, 10);
  assert.match(messages[0], /checkpoint: expected SHA-256 .*step-30.model\.safetensors/);
  assert.match(messages[1], /expected the state of a checkpoint.*step-20.state\.json/);
});

test('old checkpoints, half-written ones and those that the run went back behind are cleared', async () => {
  for (const step of [1, 2, 3, 4]) await write(step);
  await writeFile(path.join(run, 'checkpoints/.step-9.tmp-1'), 'left by a killed process');
  await pruneCheckpoints(run, 3, 2);
  assert.deepEqual(await listCheckpoints(run), [2, 3]);
  await assert.rejects(readFile(path.join(run, 'checkpoints/.step-9.tmp-1')));
});

test('metrics are cut back to the checkpoint, and a half-written last line goes', async () => {
  const log = await MetricsLog.open(run, 0);
  for (const step of [1, 2, 3]) await log.append({ step, kind: 'train', loss: 1 / 3 });
  await log.close();
  await writeFile(path.join(run, 'metrics.jsonl'), '{"step":4,"ki', { flag: 'a' });
  await (await MetricsLog.open(run, 2)).close();
  assert.deepEqual(
    (await readMetrics(run)).map(({ step, loss }) => [step, loss]),
    [
      [1, 1 / 3],
      [2, 1 / 3],
    ],
  );
});

test('a living process keeps the lock, a dead one does not', async () => {
  const unlock = await lockFolder(run, 'run');
  await assert.rejects(
    lockFolder(run, 'run'),
    /run: expected a folder that no other process works in, got process \d+ at work \(/,
  );
  await unlock();
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  await writeFile(path.join(run, 'lock'), `${pid} 12345\n`);
  await (await lockFolder(run, 'run'))();
  // The number is in use again, by a process that began at another time.
  await writeFile(path.join(run, 'lock'), `${process.pid} 1\n`);
  await (await lockFolder(run, 'run'))();
  // A process of another host lives while it touches its lock.
  const lock = path.join(run, 'lock');
  await writeFile(lock, `${pid} 12345 elsewhere\n`);
  await assert.rejects(lockFolder(run, 'run'), /got process \d+ at work on elsewhere/);
  const longAgo = new Date(Date.now() - 3_600_000);
  await utimes(lock, longAgo, longAgo);
  await (await lockFolder(run, 'run'))();
});
