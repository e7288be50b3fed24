/** What a run may be told about its data: how rows are formed, several datasets, masks, replacements, trimmed batches. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { exitCodes } from '../../src/errors.js';
import { listCheckpoints, readCheckpoint } from '../../src/training/checkpoint.js';
import { writeSyntheticDataset } from '../dataset/synthetic.js';
import { argumentsOf, makeFolder, randomDocuments, readUntimed, runGalvani, vocabularySize } from './runs.js';

const folder = makeFolder('data');
const data = path.join(folder, 'data');
const other = path.join(folder, 'other');

before(async () => {
  // Documents of several lines, so that official examples have second parts.
  const documents = randomDocuments(120).map(([ids]) => [ids.slice(0, 3), ids.slice(3, 9), ids.slice(9)]);
  const lines = documents.map((lines) => lines.filter((line) => line.length > 0));
  await writeSyntheticDataset(data, lines, { vocabularySize });
  await writeSyntheticDataset(other, randomDocuments(50, 400), { vocabularySize });
});

const short = { num_train_steps: 60, checkpoint_every: 40, evaluate_every: 30, validation_fraction: 0.2 };

function train(name: string, changed: object, ...more: string[]): string {
  const run = path.join(folder, name);
  const { status, stderr } = runGalvani(argumentsOf(data, run, { ...short, ...changed }, ...more));
  assert.equal(status, exitCodes.done, stderr);
  return run;
}

async function assertSameRun(actual: string, expected: string): Promise<void> {
  assert.deepEqual(readUntimed(actual), readUntimed(expected));
  const [one, two] = await Promise.all(
    [actual, expected].map(async (run) =>
      readCheckpoint(path.join(run, 'checkpoints', `step-${(await listCheckpoints(run)).at(-1)}`)),
    ),
  );
  for (const [name, { values }] of one.tensors) assert.deepEqual(values, two.tensors.get(name)!.values, name);
}

const variants: [string, object, ...string[]][] = [
  ['official', { examples: 'official' }],
  ['official-strict', { examples: 'official-strict', mask_with_replacement: true }],
  ['packed', { examples: 'packed', micro_batch_size: 4, mask_replace_prob: 0.8, random_replace_prob: 0.1 }],
  ['bucket', { bucket: true, whole_word_mask: true, micro_batch_size: 4 }],
  [
    'given',
    {
      stages: [
        { until: 0.5, replacement: 'uniform' },
        { until: 1, replacement: 'ngram' },
      ],
      disallow_correct: true,
    },
  ],
  ['mixture', {}, '--data', `${other}:0.25`],
];

for (const [name, changed, ...more] of variants) {
  test(`${name}: a run that is stopped and goes on, with other workers, ends with the same bits`, async () => {
    const expected = train(`${name}-whole`, changed, ...more);
    const actual = path.join(folder, name);
    cpSync(expected, actual, { recursive: true });
    rmSync(path.join(actual, 'checkpoints', 'step-60'), { recursive: true });
    train(name, changed, ...more, '--workers', '3');
    await assertSameRun(actual, expected);
    for (const line of readUntimed(expected) as Record<string, unknown>[]) {
      if (line.kind === 'train') assert.ok(Number.isFinite(line.loss));
    }
  });
}

test('trimmed batches give the losses of whole ones, where nothing is dropped', () => {
  const still = Object.fromEntries(
    ['generator', 'discriminator'].flatMap((part) =>
      ['hidden_dropout_prob', 'attention_probs_dropout_prob'].map((name) => [`model.${part}.${name}`, 0]),
    ),
  );
  const flags = Object.entries(still).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  const given = { stages: [{ until: 1, replacement: 'unigram' }] };
  const whole = readUntimed(train('untrimmed', given, ...flags)) as Record<string, number>[];
  const trimmed = readUntimed(train('trimmed', { ...given, bucket: true }, ...flags)) as Record<string, number>[];
  assert.equal(trimmed.length, whole.length);
  for (const [i, line] of whole.entries()) {
    if (line.kind !== ('train' as unknown)) continue;
    for (const name of ['loss', 'mlm_loss', 'rtd_loss', 'gradient_norm']) {
      const [a, b] = [line[name], trimmed[i][name]];
      assert.ok(Math.abs(a - b) <= 2e-4 * Math.abs(a), `step ${line.step}, ${name}: ${a}, trimmed ${b}`);
    }
  }
});

test('a mixture is written down with its weights, counts epochs of each dataset, and cannot be another one later', () => {
  const run = train('mixed', {}, '--data', `${other}:0.25`);
  const { datasets } = JSON.parse(readFileSync(path.join(run, 'config.json'), 'utf8'));
  assert.deepEqual(
    datasets.map(({ directory, weight }: Record<string, unknown>) => [directory, weight]),
    [
      [data, 1],
      [other, 0.25],
    ],
  );
  const last = (readUntimed(run) as Record<string, unknown>[]).findLast(({ kind }) => kind === 'train')!;
  assert.equal((last.epoch as number[]).length, 2);
  const { status, stderr } = runGalvani(argumentsOf(data, run, short, '--data', `${other}:0.5`));
  assert.match(
    stderr,
    /run: expected the data that the run was begun with \(manifest \w+…:1, \w+…:0\.25\), got other data/,
  );
  assert.equal(status, exitCodes.wrongUse);
});
