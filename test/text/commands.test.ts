/** `galvani tokenize` and `galvani vocab` as a shell runs them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { vocabPath } from './oracles.js';

const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const vocab = path.resolve(vocabPath);
const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-commands-'));
after(() => rmSync(folder, { recursive: true }));

function galvani(args: string[], input: string | Buffer = '') {
  return spawnSync(process.execPath, [main, ...args], { input, cwd: folder, encoding: 'utf8', maxBuffer: 1 << 28 });
}

for (const command of ['tokenize', 'vocab']) {
  test(`the example of "galvani ${command} --help" runs as written and prints what it shows`, () => {
    const { stdout, status } = galvani([command, '--help']);
    assert.equal(status, 0);
    const example = stdout.split('Example:\n')[1].split('\n');
    const lines = example.filter((line) => line.startsWith('  $ ')).map((line) => line.slice(4));
    const shown = example
      .filter((line) => line.startsWith('  ') && !line.startsWith('  $ '))
      .map((line) => line.trim());
    const script = `galvani() { "${process.execPath}" "${main}" "$@"; }\nset -e\n${lines.join('\n')}`;
    const ran = spawnSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8' });
    assert.equal(ran.status, 0, ran.stderr);
    for (const line of shown) assert.ok(ran.stdout.split('\n').includes(line), `${line} in ${ran.stdout}`);
  });
}

test('tokenize prints a line of ids or pieces for each line, from standard input and from files', () => {
  const text = 'Hello, world\n\nunaffable\r\nlast \xff line';
  writeFileSync(path.join(folder, 'text.txt'), text, 'latin1');
  const expected = '7592 1010 2088\n\n14477 20961 3468\n2197 2240\n';
  assert.equal(galvani(['tokenize', '--vocab', vocab], Buffer.from(text, 'latin1')).stdout, expected);
  assert.equal(galvani(['tokenize', '--vocab', vocab, 'text.txt', 'text.txt']).stdout, expected + expected);
  const pieces = galvani(['tokenize', '--vocab', vocab, '--tokens', 'text.txt']).stdout;
  assert.equal(pieces, 'hello , world\n\nuna ##ffa ##ble\nlast line\n');
  assert.equal(galvani(['tokenize', '--vocab', vocab]).stdout, '');
});

test('tokenize --jsonl reads strings with any character and prints arrays', () => {
  const input = [JSON.stringify('two\nlines "q"'), '""', '"\\ud800 x"'].join('\n');
  assert.equal(
    galvani(['tokenize', '--vocab', vocab, '--jsonl', '--tokens'], input).stdout,
    '["two","lines","\\"","q","\\""]\n[]\n["x"]\n',
  );
  const bad = galvani(['tokenize', '--vocab', vocab, '--jsonl'], '"fine"\n{"not": "a string"}\n');
  assert.equal(bad.status, 42);
  assert.match(
    bad.stderr,
    /^tokenize: expected one JSON string a line, got \{"not": "a string"\} \(standard input, line 2\)\./,
  );
});

test('tokenize follows --profile and --cased', () => {
  const run = (...flags: string[]) =>
    galvani(['tokenize', '--vocab', vocab, '--tokens', ...flags], 'x[MASK] é A\n').stdout;
  assert.equal(run(), 'x [MASK] e a\n');
  assert.equal(run('--profile', 'electra'), 'x [ mask ] e a\n');
  assert.equal(run('--cased'), 'x [MASK] [UNK] [UNK]\n');
});

test('tokenize streams: many lines come out whole and in order', () => {
  const lines = Array.from({ length: 200_000 }, (_, n) => (n % 10 === 0 ? '' : `the ${'a '.repeat(n % 9)}end`));
  const { stdout } = galvani(['tokenize', '--vocab', vocab, '--tokens'], lines.join('\n'));
  assert.ok(stdout === `${lines.join('\n')}\n`);
});

test('tokenize stops with 0 when its reader does', () => {
  writeFileSync(path.join(folder, 'many.txt'), 'the same line again\n'.repeat(100_000));
  const script = `"${process.execPath}" "${main}" tokenize --vocab "${vocab}" many.txt | head -n 1; echo "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8' });
  assert.equal(stdout, '1996 2168 2240 2153\n0\n');
  assert.equal(stderr, '');
});

test('tokenize takes a tokenizer.json or a model folder for its vocabulary, and prepare does', () => {
  const pieces = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'The', 'end', 'the'];
  const json = {
    normalizer: { type: 'BertNormalizer', lowercase: false },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    model: { type: 'WordPiece', vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])) },
  };
  mkdirSync(path.join(folder, 'model'));
  writeFileSync(path.join(folder, 'model', 'tokenizer.json'), JSON.stringify(json));
  for (const source of ['model', 'model/tokenizer.json']) {
    assert.equal(galvani(['tokenize', '--vocab', source], 'The end the\n').stdout, '5 6 7\n');
  }
  writeFileSync(path.join(folder, 'end.txt'), 'The end the\n');
  const made = galvani(['prepare', '--input', 'end.txt', '--vocab', 'model/tokenizer.json', '--output', 'ends']);
  assert.equal(made.status, 0, made.stderr);
  const { tokenizer } = JSON.parse(readFileSync(path.join(folder, 'ends', 'manifest.json'), 'utf8'));
  assert.equal(tokenizer.lowercase, false);
  assert.equal(
    readFileSync(path.join(folder, 'ends', 'vocab.txt'), 'utf8'),
    pieces.map((piece) => `${piece}\n`).join(''),
  );
});

test('wrong use ends in 2, bad input in 42, and neither leaves a file', () => {
  assert.equal(galvani(['tokenize']).status, 2);
  assert.equal(galvani(['tokenize', '--vocab', vocab, '--profile', 'bert']).status, 2);
  assert.equal(galvani(['tokenize', '--vocab', vocab, '--unknown-flag']).status, 2);
  assert.equal(galvani(['tokenize', '--vocab', 'absent.txt']).status, 42);
  const absent = galvani(['tokenize', '--vocab', vocab, 'absent.txt']);
  assert.equal(absent.status, 42);
  assert.match(absent.stderr, /^tokenize: expected a readable text file, got ENOENT/);
  writeFileSync(path.join(folder, 'little.txt'), 'just a few words\n');
  assert.equal(galvani(['vocab', '--input', 'little.txt', '--size', 'many', '--output', 'out.txt']).status, 2);
  assert.equal(galvani(['vocab', '--input', 'little.txt', '--size', '8', '--output', 'out.txt']).status, 2);
  assert.equal(galvani(['vocab', '--input', 'little.txt', '--size', '9000', '--output', 'out.txt']).status, 42);
  assert.equal(galvani(['vocab', '--input', 'absent.txt', '--size', '100', '--output', 'out.txt']).status, 42);
  assert.ok(!existsSync(path.join(folder, 'out.txt')));
});

test('vocab writes the vocabulary that its report describes', () => {
  writeFileSync(path.join(folder, 'corpus.txt'), 'low lower lowest new newer newest wide wider widest É\n'.repeat(20));
  const args = ['vocab', '--input', 'corpus.txt', '--size', '32', '--output', 'learned.txt', '--json'];
  const report = JSON.parse(galvani(args).stdout);
  const pieces = readFileSync(path.join(folder, 'learned.txt'), 'utf8').split('\n').slice(0, -1);
  assert.equal(pieces.length, 32);
  assert.equal(report.pieces, 32);
  assert.equal(report.words, 200);
  assert.ok(pieces.includes('lowest') && pieces.includes('e') && !pieces.includes('É'));
  assert.ok(JSON.parse(galvani([...args, '--cased']).stdout).alphabet > report.alphabet);
});

test('vocab does not read its own output, makes its folder, and says where it cannot write', () => {
  mkdirSync(path.join(folder, 'texts'));
  writeFileSync(path.join(folder, 'texts', 'corpus.txt'), 'low lower lowest new newer newest wide wider widest\n');
  const learn = (output: string) => galvani(['vocab', '--input', 'texts', '--size', '27', '--output', output]);
  const made = learn('texts/made/vocab.txt');
  assert.equal(made.status, 0, made.stderr);
  const bytes = readFileSync(path.join(folder, 'texts/made/vocab.txt'));
  assert.equal(learn('texts/made/vocab.txt').status, 0);
  assert.ok(readFileSync(path.join(folder, 'texts/made/vocab.txt')).equals(bytes));
  assert.match(learn('texts').stderr, /^write: expected a place that may be written, got a folder of that name/);
  const overInput = galvani(['vocab', '--input', 'texts/corpus.txt', '--size', '27', '--output', 'texts/corpus.txt']);
  assert.equal(overInput.status, 2);
  assert.match(overInput.stderr, /^vocab: expected an output that is no input/);
});
