/** `galvani export` of a run folder written by hand: which checkpoint, which weights, what is refused. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { modelParts, readModelFolder } from '../../src/formats/huggingface.js';
import { readTokenizer } from '../../src/formats/tokenizerFiles.js';
import { momentNames } from '../../src/model/electra.js';
import { keysOf, parametersOf } from '../../src/model/parameters.js';
import { writeCheckpoint } from '../../src/training/checkpoint.js';
import { presetTraining } from '../../src/training/config.js';
import { pieces, randomWeights, tinyModel } from '../formats/pair.js';

const galvani = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const model = tinyModel(20);
let folder: string;
let run: string;
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'galvani-export-'));
  run = path.join(folder, 'run');
  await saveCheckpoint(100);
  await saveCheckpoint(20);
  const sum = '0'.repeat(64);
  const training = { ...presetTraining('tiny', pieces.length), model, sequence_length: 16 };
  const config = {
    format: 'galvani-run',
    format_version: 2,
    datasets: [{ directory: 'tokens', manifest_sha256: sum, weight: 1 }],
    vocabulary: { sha256: sum, size: pieces.length },
    tokenizer: { profile: 'huggingface', lowercase: false, stripAccents: false },
    training,
    changes: [],
  };
  await writeFile(path.join(run, 'config.json'), JSON.stringify(config));
  await writeFile(path.join(run, 'vocab.txt'), pieces.map((piece) => `${piece}\n`).join(''));
});
after(() => rm(folder, { recursive: true }));

/** A checkpoint whose weights are seeded by its step. */
async function saveCheckpoint(step: number): Promise<void> {
  const weights = randomWeights(model, step);
  const variables = parametersOf(model).flatMap(({ name, shape }) => [
    { name, shape, dtype: 'float32' as const, role: 'parameter' as const },
    ...momentNames(name).map((moment) => ({ name: moment, shape, dtype: 'float32' as const, role: 'moment' as const })),
  ]);
  const values = new Map(variables.map(({ name }) => [name, weights.get(name.replace(/^adam_[mv]\//, ''))!]));
  await writeCheckpoint(run, { step, build: 'test', sums: {} }, variables, values);
}

function galvaniExport(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [galvani, 'export', ...args], { encoding: 'utf8' });
}

async function assertExported(output: string, step: number): Promise<void> {
  const weights = randomWeights(model, step);
  for (const part of modelParts) {
    const read = await readModelFolder(path.join(output, part));
    assert.deepEqual(read.config, model[part]);
    for (const [key, name] of keysOf(model, part)) assert.deepEqual(read.weights.get(key), weights.get(name), key);
    const { tokenizer, maxLength } = (await readTokenizer(path.join(output, part)))!;
    assert.deepEqual(tokenizer.vocabulary.pieces, pieces);
    assert.equal(tokenizer.settings.lowercase, false);
    assert.equal(maxLength, 16);
    assert.deepEqual((await readdir(path.join(output, part))).sort(), [
      'config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
      'vocab.txt',
    ]);
  }
}

test('the newest checkpoint is exported, as both models, and again in its place', async () => {
  const output = path.join(run, 'model');
  const first = galvaniExport(run, '--output', output, '--json');
  assert.equal(first.status, 0, first.stderr);
  const parameters = parametersOf(model).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  assert.deepEqual(JSON.parse(first.stdout), { directory: output, step: 100, parameters });
  await assertExported(output, 100);
  const second = galvaniExport(run, '--output', output);
  assert.equal(
    second.stdout.slice(output.length),
    ` holds both models after 100 steps (${parameters.toLocaleString('en-US')} weights).\n`,
  );
});

test('a damaged checkpoint is named and the one before it is exported', async () => {
  const damaged = path.join(run, 'checkpoints', 'step-100', 'model.safetensors');
  const whole = await readFile(damaged);
  await appendFile(damaged, 'x');
  const output = path.join(folder, 'older');
  const { status, stderr } = galvaniExport(run, '--output', output);
  assert.equal(status, 0);
  assert.match(stderr, /checkpoint: expected SHA-256 .*step-100/);
  await assertExported(output, 20);
  await writeFile(damaged, whole);
});

test('no run, no checkpoint and an occupied output are told', async () => {
  const none = galvaniExport(path.join(folder, 'none'), '--output', path.join(folder, 'x'));
  assert.equal(none.status, 42);
  assert.match(none.stderr, /expected a run folder made by "galvani pretrain"/);
  const occupied = galvaniExport(run, '--output', path.join(run, 'checkpoints'));
  assert.equal(occupied.status, 2);
  assert.match(occupied.stderr, /export: expected an output folder .* got one that holds step-/);
  await rm(path.join(run, 'checkpoints'), { recursive: true });
  const empty = galvaniExport(run, '--output', path.join(folder, 'x'));
  assert.equal(empty.status, 42);
  assert.match(empty.stderr, /run: expected a run with a whole checkpoint, got none/);
});
