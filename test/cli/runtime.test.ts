/** A runtime that lacks what the modules of WebAssembly need: every command says so before it touches anything. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { exitCodes } from '../../src/errors.js';

const scratch = mkdtempSync(path.join(os.tmpdir(), 'galvani-runtime-'));
after(() => rmSync(scratch, { recursive: true }));
const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

function galvani(flag: string, ...args: string[]) {
  return spawnSync(process.execPath, [flag, main, ...args], { encoding: 'utf8', cwd: scratch, timeout: 60_000 });
}

/** Flags of Node under which it lacks something. V8 has a switch of its own for SIMD on x64 alone. */
const lacking: readonly (readonly [string, string])[] = [
  ['SharedArrayBuffer', '--import=data:text/javascript,delete globalThis.SharedArrayBuffer'],
  process.arch === 'x64'
    ? ['WebAssembly SIMD', '--no-enable-sse4-1']
    : ['WebAssembly SIMD', '--import=data:text/javascript,WebAssembly.validate = () => false'],
];

for (const [feature, flag] of lacking) {
  test(`without ${feature} commands say so and leave no trace; doctor still answers`, () => {
    const text = path.join(scratch, 'text.txt');
    const vocab = path.join(scratch, 'vocab.txt');
    writeFileSync(text, 'a word\n');
    writeFileSync(vocab, '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nword\n');
    const commands = [
      ['tokenize', '--vocab', vocab, text],
      ['prepare', '--input', text, '--vocab', vocab, '--output', 'data'],
      ['bench', 'step', '--model', 'tiny', '--batch-size', '1', '--sequence-length', '8', '--steps', '1'],
      ['pretrain', '--data', 'absent', '--output', 'run', '--model', 'tiny', '--engine', 'tensorflow'],
    ];
    for (const command of commands) {
      const { status, stdout, stderr } = galvani(flag, ...command);
      assert.equal(
        stderr,
        `wasm: expected a runtime with ${feature}, got Node ${process.versions.node} without it. ` +
          'Use Node 20.19 or newer on a 64-bit machine, without flags that turn it off.\n',
      );
      assert.deepEqual([status, stdout], [exitCodes.failure, ''], command[0]);
    }
    for (const made of ['data', 'data.partial', 'run']) assert.ok(!existsSync(path.join(scratch, made)), made);
    const { status, stdout } = galvani(flag, 'doctor', '--engine', 'wasm');
    assert.match(stdout, new RegExp(`wasm +cannot run +expected a runtime with ${feature}`));
    assert.notEqual(status, exitCodes.done);
    assert.equal(galvani(flag, 'prepare', '--help').status, exitCodes.done);
  });
}
