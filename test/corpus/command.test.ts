/** The commands as a person types them: the examples of `--help`, run as written, and what goes wrong with flags. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { exitCodes } from '../../src/errors.js';

const galvani = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-command-'));
after(() => rmSync(folder, { recursive: true }));

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [galvani, ...args], { cwd: folder, encoding: 'utf8' });
}

/** The lines of a command's help that begin with `$`, run by a shell in which `galvani` is ours. */
function runExample(command: string): string {
  const help = run(command, '--help').stdout;
  const lines = help.split('\n').flatMap((line) => /^ {2}\$ (.*)/.exec(line)?.[1] ?? []);
  assert.ok(lines.length > 0, help);
  const script = `set -e\ngalvani() { "${process.execPath}" "${galvani}" "$@"; }\n${lines.join('\n')}`;
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout;
}

test('the examples of prepare, verify and inspect run as written', () => {
  assert.match(runExample('prepare'), /^37 B in 1 file → 2 documents, 2 lines, 8 tokens in 1 shard\nunknown tokens: 0/);
  assert.match(runExample('verify'), /^tokens is whole: 6 files/);
  assert.match(runExample('inspect'), /^documents +2$/m);
});

test('"galvani help prepare" is the help of prepare, and a flag beside --help does not hide it', () => {
  const help = run('prepare', '--help').stdout;
  assert.match(help, /--shard-tokens/);
  assert.equal(run('help', 'prepare').stdout, help);
  assert.equal(run('prepare', '--imput', 'x', '--help').stdout, help);
  assert.match(run('help', 'bench', 'batches').stdout, /--sequence-length/);
});

test('output that nobody reads is no error; output that finds no room is', { skip: !existsSync('/dev/full') }, () => {
  const shell = (script: string) => spawnSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8' });
  const tokenize = `"${process.execPath}" "${galvani}" tokenize --vocab vocab.txt`;
  const early = shell(`yes one | ${tokenize} | head -n 1; echo "\${PIPESTATUS[1]}"`);
  assert.equal(early.stdout, '9\n0\n');
  assert.equal(early.stderr, '');
  const full = shell(`echo one | ${tokenize} > /dev/full`);
  assert.equal(full.status, exitCodes.failure);
  assert.match(full.stderr, /^output: expected standard output that takes what is printed, got ENOSPC\. .*\n$/);
  // Messages that nobody reads change no exit code.
  assert.equal(shell(`${tokenize} absent.txt 2>&1 >/dev/null | true; echo "\${PIPESTATUS[0]}"`).stdout, '42\n');
});

test('prepare run again says that it is done, and prints counts as JSON', () => {
  const args = ['prepare', '--input', 'text.txt', '--vocab', 'vocab.txt', '--output'];
  const again = run(...args, 'tokens');
  assert.equal(again.status, 0);
  assert.match(again.stdout, /^tokens is finished already/);
  const { wasThere, tokens, documents, shards } = JSON.parse(run(...args, 'other', '--json').stdout);
  assert.deepEqual({ wasThere, tokens, documents, shards }, { wasThere: false, tokens: 8, documents: 2, shards: 1 });
});

test('flags that do not fit are wrong use, and nothing is written', () => {
  const args = ['prepare', '--input', 'text.txt', '--vocab', 'vocab.txt', '--output', 'none'];
  const cases: [string[], RegExp][] = [
    [[...args, '--documents', 'sentence'], /Allowed choices are line, blank-line, file/],
    [[...args, '--threads', '0'], /Expected a positive whole number/],
    [[...args, '--shard-tokens', '3G'], /Expected at most 2147483648/],
    [[...args, '--shard-token', '3'], /unknown option '--shard-token'\n.*--shard-tokens/],
    // The misspelt flag is told, not that the required one it stands for is missing.
    [['prepare', '--imput=text.txt', '--vocab', 'vocab.txt'], /unknown option '--imput'\n\(Did you mean --input\?\)/],
    [['prepare', '--input', 'text.txt'], /required option '--vocab <path>' not specified/],
  ];
  for (const [wrong, message] of cases) {
    const { status, stderr } = run(...wrong);
    assert.match(stderr, message);
    assert.equal(status, exitCodes.wrongUse);
  }
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('none')),
    [],
  );
});
