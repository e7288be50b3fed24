/** What goes wrong on the way: each with its exit code, a message that says what to do, and nothing half-written. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { exitCodes } from '../../src/errors.js';
import { listCheckpoints, readCheckpoint } from '../../src/training/checkpoint.js';
import { readShards } from '../dataset/synthetic.js';
import { argumentsOf, type Finished, galvani, makeFolder, runGalvani, startGalvani, writeDataset } from './runs.js';

const folder = makeFolder('errors');
const data = path.join(folder, 'data');
/** Twenty steps, with checkpoints after ten and twenty. */
const begun = path.join(folder, 'begun');
const short = { num_train_steps: 20, checkpoint_every: 10, evaluate_every: 100, log_every: 5 };

before(async () => {
  await writeDataset(data);
  assert.equal(runGalvani(argumentsOf(data, begun, short)).status, exitCodes.done);
});

let made = 0;
const fresh = () => path.join(folder, `run${made++}`);
const stepAt = (run: string, step: number, file = '') => path.join(run, 'checkpoints', `step-${step}`, file);

function copyOfBegun(): string {
  const run = fresh();
  cpSync(begun, run, { recursive: true });
  return run;
}

/** Every file of a folder with its bytes; nothing for one that is not there. */
function contentOf(directory: string): Map<string, string> {
  if (!existsSync(directory)) return new Map();
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  return new Map(files.sort().map((file) => [file, readFileSync(file, 'base64')]));
}

const houseForm = /^\w+: expected .+, got .+\. \S.+\.\n$/s;

/** The command is refused with this exit code and message, and leaves its run folder as it was. */
function assertRefused(args: readonly string[], code: number, message: RegExp): void {
  const run = args[args.lastIndexOf('--output') + 1];
  const existed = existsSync(run);
  const content = contentOf(run);
  const { status, stderr } = runGalvani(args);
  assert.match(stderr, message);
  assert.match(stderr, houseForm);
  assert.equal(status, code, stderr);
  assert.equal(existsSync(run), existed);
  assert.deepEqual(contentOf(run), content);
}

test('an unknown flag, setting, model or engine is refused with the nearest name', () => {
  const run = fresh();
  const flag = runGalvani(argumentsOf(data, run, short, '--stepz', '5'));
  assert.match(flag.stderr, /^galvani: unknown option '--stepz'\n\(Did you mean --steps\?\)/);
  assert.equal(flag.status, exitCodes.wrongUse);
  const cases: [string[], RegExp][] = [
    [['--set', 'learning_rat=1'], /got "learning_rat" \(--set learning_rat=1\)\. Did you mean "learning_rate"\?/],
    [['--model', 'tinny'], /got "tinny" \(--model\)\. Did you mean "tiny"\?/],
    [['--engine', 'wasn'], /got "wasn"\. Did you mean "wasm"\?/],
    [
      ['--precision', 'bfloat16'],
      /expected precision float32 with engine wasm, got bfloat16\. Choose --engine tensorflow/,
    ],
  ];
  for (const [flags, message] of cases) {
    const { status, stderr } = runGalvani(argumentsOf(data, run, short, ...flags));
    assert.match(stderr, message);
    assert.equal(status, exitCodes.wrongUse);
  }
  assert.equal(existsSync(run), false);
});

test('an engine whose library is missing is refused with what to do, and no other one is taken for it', () => {
  const before = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = fresh();
  try {
    const args = argumentsOf(data, fresh(), short, '--engine', 'tensorflow');
    const message =
      /tensorflow: expected .*tfjs-node.*"galvani setup tensorflow" installs it; --engine wasm needs nothing/;
    assertRefused(args, exitCodes.failure, message);
  } finally {
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
  }
});

test('settings that cannot be are refused before anything is written, with the flag that they come from', () => {
  const cases: [string[], RegExp][] = [
    [['--micro-batch-size', '3'], /micro_batch_size to divide batch_size, got 3 and 8 \(.*, --micro-batch-size\)/],
    [['--sequence-length', '32'], /at most max_position_embeddings \(24\), got 32 \(.*, --sequence-length\)/],
    [['--sequence-length', '3'], /at least one masked place a row, got none of 3/],
    [['--validation-fraction', '-1'], /a valid validation_fraction \(number to be >=0\), got -1/],
    [
      ['--set', 'model.generator.vocab_size=61', '--set', 'model.discriminator.vocab_size=61'],
      /vocab_size 60, the pieces of the dataset's vocabulary, got 61/,
    ],
    [['--set', 'stages=[{"until":0.5,"replacement":"unigram"}]'], /the last stage to last until 1, got 0\.5/],
    [
      ['--set', 'model.discriminator.hidden_size=9'],
      /hidden_size to be a multiple of .*num_attention_heads, got 9 and 2/,
    ],
    [['--set', 'model.generator.vocab_size=61'], /generator\.vocab_size to equal discriminator\.vocab_size.*61 and 60/],
  ];
  for (const [flags, message] of cases) {
    assertRefused(argumentsOf(data, fresh(), short, ...flags), exitCodes.wrongUse, message);
  }
  const broken = `${fresh()}.json`;
  writeFileSync(broken, '{"batch_size": 8,}');
  assertRefused(
    argumentsOf(data, fresh(), short, '--config', broken),
    exitCodes.wrongUse,
    /a JSON file with an object/,
  );
});

test('a run is not gone on with under other settings or on another dataset', async () => {
  const other = await writeDataset(path.join(folder, 'other'), 70);
  const refused: [string[], RegExp][] = [
    [
      ['--set', 'mask_prob=0.2', '--seed', '3'],
      /config: expected seed 0, mask_prob 0\.15, got 3, 0\.2 \(.*config\.json\)/,
    ],
    [['--set', 'model.discriminator.num_hidden_layers=3'], /model\.discriminator\.num_hidden_layers 2, got 3/],
    [
      ['--data', other],
      /run: expected the data that the run was begun with \(manifest \w+…\), got other data \(.*other\)/,
    ],
  ];
  assertRefused(
    argumentsOf(other, begun, short),
    exitCodes.wrongUse,
    /was begun with \(manifest \w+…\), got other data/,
  );
  for (const [flags, message] of refused) {
    assertRefused(argumentsOf(data, begun, short, ...flags), exitCodes.wrongUse, message);
  }
});

test('what is no run and what is no dataset is refused, and nothing is put into it', () => {
  const foreign = fresh();
  mkdirSync(foreign);
  writeFileSync(path.join(foreign, 'lock'), 'a file of somebody');
  writeFileSync(path.join(foreign, 'letter.txt'), 'hello');
  assertRefused(
    argumentsOf(data, foreign, short),
    exitCodes.badInput,
    /a run folder .*, got a folder with other things/,
  );
  const file = fresh();
  writeFileSync(file, 'hello');
  const { status, stderr } = runGalvani(argumentsOf(data, file, short));
  assert.match(stderr, /run: expected a run folder made by "galvani pretrain", got a file/);
  assert.equal(status, exitCodes.badInput);
  const none = path.join(folder, 'none');
  assertRefused(argumentsOf(none, fresh(), short), exitCodes.badInput, /dataset: expected a folder made by .*none\)/);
});

test('a damaged checkpoint is named, and the run goes on from the newest whole one to the same end', async () => {
  const run = copyOfBegun();
  truncateSync(stepAt(run, 20, 'model.safetensors'), 1000);
  const { status, stdout, stderr } = runGalvani(argumentsOf(data, run, short));
  assert.equal(status, exitCodes.done);
  assert.match(stderr, /^checkpoint: expected SHA-256 \w+, got \w+ \(.*step-20.model\.safetensors\)/);
  assert.match(stdout, /^pretrain goes on after step 10: 20 steps/);
  const [one, other] = [await readCheckpoint(stepAt(run, 20)), await readCheckpoint(stepAt(begun, 20))];
  assert.deepEqual(one.state, other.state);
});

test('when all checkpoints are damaged the run is not begun again over them', () => {
  const run = copyOfBegun();
  for (const step of [10, 20]) truncateSync(stepAt(run, step, 'state.json'), 7);
  const content = contentOf(run);
  const { status, stderr } = runGalvani(argumentsOf(data, run, short));
  assert.match(stderr, /step-20.state\.json\).*\n.*step-10.state\.json\)/);
  assert.match(
    stderr,
    /checkpoint: expected one that is whole, got damaged ones alone: step-10, step-20 \(.*checkpoints\)/,
  );
  assert.equal(status, exitCodes.badInput);
  assert.deepEqual(contentOf(run), content);
});

test('a damaged shard is named with its place: at once when it is cut, when it is read when ids are wrong', async () => {
  const cut = path.join(folder, 'cut');
  cpSync(data, cut, { recursive: true });
  const [{ path: shard, pieces }] = await readShards(cut);
  const bytes = readFileSync(shard);
  truncateSync(shard, bytes.length - 8);
  assertRefused(
    argumentsOf(cut, fresh(), short),
    exitCodes.badInput,
    /dataset: expected \d+ bytes, got \d+ \(.*\.arrow\)/,
  );
  bytes.writeUInt16LE(60_000, pieces[0].fileOffset + 100);
  writeFileSync(shard, bytes);
  const { status, stderr } = runGalvani(argumentsOf(cut, fresh(), { ...short, num_train_steps: 40 }));
  assert.match(stderr, /shard: expected ids below 60, got 60000 \(.*\.arrow, tokens \d+ to \d+\)/);
  assert.equal(status, exitCodes.badInput);
});

test('a split with an empty side is refused before the first step', () => {
  const cases: [string[], RegExp][] = [
    [['--validation-fraction', '0.0001'], /documents with tokens for validation, got none among 80 documents/],
    [['--validation-fraction', '0.9999'], /documents with tokens for training, got none among 80 documents/],
  ];
  for (const [flags, message] of cases) {
    assertRefused(argumentsOf(data, fresh(), short, ...flags), exitCodes.badInput, message);
  }
});

test('a corpus smaller than a batch is repeated in it, with a warning', () => {
  const { status, stderr } = runGalvani(
    argumentsOf(data, fresh(), { ...short, num_train_steps: 2, batch_size: 512, micro_batch_size: 512 }),
  );
  assert.match(stderr, /batch: expected at least 512 examples for a batch, got \d+ \(.*\)\. Batches repeat examples/);
  assert.equal(status, exitCodes.done);
});

test('a loss that is not finite ends the run with its step, and no checkpoint holds what is not finite', async () => {
  const run = copyOfBegun();
  const wild = { ...short, num_train_steps: 60, checkpoint_every: 1, learning_rate: 1e37, keep_checkpoint_max: 100 };
  const { status, stderr } = runGalvani(argumentsOf(data, run, wild));
  assert.match(stderr, /step: expected .*finite .*, got (NaN|-?Infinity) \(step 2\d\)\. Lower learning_rate/);
  assert.equal(status, exitCodes.failure);
  const checked = runGalvani(argumentsOf(data, copyOfBegun(), wild, '--check-finite'));
  assert.match(
    checked.stderr,
    /step: expected finite results of every operation, got .* first from \w+, operation \d+, in .* \(step 2\d, program 0\.\w+\)/,
  );
  assert.equal(checked.status, exitCodes.failure);
  const steps = await listCheckpoints(run);
  assert.ok(steps.includes(20));
  for (const step of steps) {
    for (const [name, { values }] of (await readCheckpoint(stepAt(run, step))).tensors) {
      assert.ok(values.every(Number.isFinite), `${name}, step ${step}`);
    }
  }
  assert.equal(existsSync(path.join(run, 'lock')), false);
});

test('a run in use is left alone', async () => {
  const run = fresh();
  const args = argumentsOf(data, run, short);
  const { child, said, finished } = startGalvani(args, 'hang rename \\.step-');
  try {
    await said('fault');
    assertRefused(args, exitCodes.tryAgain, /run: expected a folder that no other process works in, got process \d+/);
  } finally {
    child.kill('SIGKILL');
    await finished;
  }
});

test('a full disk while a checkpoint is written keeps the one before', {
  skip: process.platform === 'win32',
}, async () => {
  const run = copyOfBegun();
  // The limit on file sizes, in blocks of 1024 bytes, fails as a full disk does: in the middle of a write.
  const args = argumentsOf(data, run, { ...short, num_train_steps: 40 });
  const limited: Finished = spawnSync(
    'bash',
    ['-c', 'ulimit -f 16; exec "$0" "$@"', process.execPath, galvani, ...args],
    {
      encoding: 'utf8',
    },
  );
  assert.match(limited.stderr, /write: expected room for the whole file, got the limit on file sizes .*safetensors/);
  assert.match(limited.stderr, houseForm);
  assert.equal(limited.status, exitCodes.failure);
  assert.deepEqual(readdirSync(path.join(run, 'checkpoints')).sort(), ['step-10', 'step-20']);
  assert.equal(existsSync(path.join(run, 'lock')), false);
  const { status, stdout } = runGalvani(args);
  assert.match(stdout, /^pretrain goes on after step 20: 40 steps/);
  assert.equal(status, exitCodes.done);
});

test('a model over 4 GiB is refused with what it needs, what there is and what to change', () => {
  const run = fresh();
  const extents = ['--batch-size', '16', '--micro-batch-size', '8', '--sequence-length', '16'];
  const args = [
    'pretrain',
    '--data',
    data,
    '--output',
    run,
    '--model',
    'large',
    ...extents,
    '--validation-fraction',
    '0',
  ];
  const message =
    /wasm: expected programs that fit into 4\.00 GiB.*, got \d\.\d\d GiB: \d\.\d\d GiB of variables.*smaller model/;
  assertRefused(args, exitCodes.wrongUse, message);
});

test('--dry-run tells parameters, memory, FLOPs and time, and writes nothing', () => {
  const run = fresh();
  const text = runGalvani(argumentsOf(data, run, short, '--dry-run'));
  assert.equal(text.status, exitCodes.done, text.stderr);
  assert.match(
    text.stdout,
    /^parameters {2}2,733 \(generator 748, discriminator 1,281, shared 704\)\nmemory .* kB \(.*\)\na step .* GFLOP, .* ms on this machine .*\nthe run .*20 steps, .* s\n$/,
  );
  const { parameters, totalBytes, variableBytes, flopsPerStep, stepMs, steps, seconds } = JSON.parse(
    runGalvani(argumentsOf(data, run, short, '--dry-run', '--json')).stdout,
  );
  assert.deepEqual({ parameters, steps }, { parameters: 2733, steps: 20 });
  // Weights and two moments, 4 bytes each, are the least that a run takes.
  assert.ok(variableBytes >= 12 * parameters && totalBytes > variableBytes);
  assert.ok(flopsPerStep > 0 && stepMs > 0 && seconds > 0);
  assert.equal(existsSync(run), false);
  const content = contentOf(begun);
  assert.equal(runGalvani(argumentsOf(data, begun, short, '--dry-run')).status, exitCodes.done);
  assert.deepEqual(contentOf(begun), content);
});
