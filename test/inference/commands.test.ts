/** `galvani detect` and `galvani fill` as a person or a program runs them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, truncate } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { writeModelFolders } from '../../src/formats/huggingface.js';
import { loadModel } from '../../src/inference/model.js';
import { pieces, tinyModel, trainedPair } from '../formats/pair.js';

const galvani = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
let folder: string;
let pair: string;
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'galvani-commands-'));
  pair = path.join(folder, 'pair');
  await writeModelFolders(pair, await trainedPair());
});
after(() => rm(folder, { recursive: true }));

function run(args: string[], input = ''): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [galvani, ...args, '--engine', 'reference'], { input, encoding: 'utf8' });
}

test('detect --json prints tokens, ids and probabilities of every text', async () => {
  const texts = ['The jury walked.', 'naïve cats'];
  const { status, stdout, stderr } = run(['detect', '--model', pair, '--json', ...texts]);
  assert.equal(status, 0, stderr);
  const [first, second] = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(first.tokens, ['the', 'jury', 'walk', '##ed', '.']);
  assert.deepEqual(
    first.ids,
    first.tokens.map((token: string) => pieces.indexOf(token)),
  );
  assert.deepEqual(second.tokens, ['naive', 'cat', '##s']);
  const model = await loadModel(pair, { engine: 'reference' });
  const framed = texts.map((text) => model.tokenizer.encode(text, { specialTokens: true }));
  const logits = await model.discriminate(framed);
  for (const [i, { probabilities }] of [first, second].entries()) {
    assert.deepEqual(
      probabilities,
      Array.from(logits[i].subarray(1, -1), (logit) => 1 / (1 + Math.exp(-logit))),
    );
  }
});

test('detect reads lines of standard input, empty ones too, and gives arguments the same answer', () => {
  const lines = run(['detect', '--model', pair, '--json'], 'the cat\r\n\nthe jury said it was a cat that walked\n');
  const [first, empty, long] = lines.stdout.trimEnd().split('\n');
  assert.deepEqual(JSON.parse(empty), { tokens: [], ids: [], probabilities: [] });
  assert.ok(JSON.parse(long).tokens.length > 8);
  assert.equal(run(['detect', '--model', pair, '--json', 'the cat']).stdout, `${first}\n`);
});

test('lines of standard input end at LF alone, as for tokenize', () => {
  const { stdout } = run(['detect', '--model', pair, '--json'], 'the\u2028cat\rwalked\u2029.\nthe cat');
  const lines = stdout.trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).tokens),
    [
      ['the', 'cat', 'walk', '##ed', '.'],
      ['the', 'cat'],
    ],
  );
});

test('detect computes on the wasm engine unless another is named, and ends', () => {
  const args = ['detect', '--model', pair, '--json', 'the jury walked'];
  const { status, stdout, stderr } = spawnSync(process.execPath, [galvani, ...args], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const [ours, reference] = [stdout, run(args).stdout].map((line) => JSON.parse(line).probabilities as number[]);
  for (const [i, value] of reference.entries()) assert.ok(Math.abs(ours[i] - value) < 1e-5);
});

test('detect for people joins the words and prints no colour where there is no terminal', () => {
  const { status, stdout } = run(['detect', '--model', pair, 'The jury walked.']);
  assert.equal(status, 0);
  assert.ok(!stdout.includes('\x1b'));
  assert.equal(stdout.replaceAll(/\(\d+%\)/g, ''), 'the jury walked .\n');
});

test('fill --json gives five candidates a mask, best first, and their probabilities', () => {
  const { status, stdout, stderr } = run(['fill', '--model', pair, '--json', 'the [MASK] was a[MASK].']);
  assert.equal(status, 0, stderr);
  const { tokens, masks } = JSON.parse(stdout);
  assert.deepEqual(tokens, ['the', '[MASK]', 'was', 'a', '[MASK]', '.']);
  assert.deepEqual(
    masks.map(({ place }: { place: number }) => place),
    [1, 4],
  );
  for (const { candidates } of masks) {
    assert.equal(candidates.length, 5);
    const probabilities = candidates.map(({ probability }: { probability: number }) => probability);
    assert.deepEqual(
      probabilities,
      probabilities.toSorted((a: number, b: number) => b - a),
    );
    for (const { token, id } of candidates) assert.equal(token, pieces[id]);
  }
});

test('fill for people shows the text and a line a mask', () => {
  const { stdout } = run(['fill', '--model', path.join(pair, 'generator')], 'the [MASK] .\n');
  assert.match(stdout, /^the \[MASK\] \.\n {2}1\. (\S+ \d+\.\d %, ){4}\S+ \d+\.\d %\n$/);
});

const failures: [string, string[], number, RegExp][] = [
  ['detect without --model', ['detect', 'x'], 2, /required option '--model <dir>'/],
  [
    'detect with an unknown flag',
    ['detect', '--model', 'PAIR', '--jsn'],
    2,
    /unknown option '--jsn'.*Did you mean --json/s,
  ],
  ['detect without a text', ['detect', '--model', 'PAIR'], 42, /detect: expected a text .*got none/],
  ['detect of an empty text', ['detect', '--model', 'PAIR', ' '], 42, /detect: expected a text .*got none/],
  ['detect with a generator', ['detect', '--model', 'PAIR/generator', 'x'], 42, /folder of a discriminator/],
  ['detect without a folder', ['detect', '--model', 'PAIR/none', 'x'], 42, /model: expected a model folder.*no folder/],
  [
    'fill without [MASK]',
    ['fill', '--model', 'PAIR', 'the cat'],
    42,
    /fill: expected at least one \[MASK\].*"the cat"/,
  ],
  ['fill of an empty text', ['fill', '--model', 'PAIR', ''], 42, /fill: expected a text/],
];
for (const [name, args, code, message] of failures) {
  test(`${name} ends with exit code ${code} and says why`, () => {
    const { status, stdout, stderr } = run(args.map((arg) => arg.replace('PAIR', pair)));
    assert.equal(status, code, stderr);
    assert.match(stderr, message);
    assert.equal(stdout.trim(), '');
  });
}

test('damaged weights end with exit code 42 and their name', async () => {
  const damaged = path.join(folder, 'damaged');
  await writeModelFolders(damaged, await trainedPair(tinyModel()));
  await truncate(path.join(damaged, 'discriminator', 'model.safetensors'), 3000);
  const { status, stderr } = run(['detect', '--model', damaged, 'x']);
  assert.equal(status, 42);
  assert.match(stderr, /safetensors: .*discriminator.model\.safetensors/);
});
