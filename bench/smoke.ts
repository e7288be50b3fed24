/**
 * `npm run bench`: every bench once, at a small size, on some documents of the Brown corpus. Shows that each of them runs
 * and what it prints, not how fast anything is: for figures, run them one by one, as LOG.md names them.
 * learning.ts is left out, since it has no small size: it trains the main job three times.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeBrownText } from '../examples/brown-text.js';

const documents = 20;
const dist = fileURLToPath(new URL('../', import.meta.url));
const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-bench-'));
const corpus = path.join(folder, 'text');
const text = path.join(folder, 'text.txt');
const vocab = path.join(folder, 'vocab.txt');
const data = path.join(folder, 'data');
const tiny = ['--model', 'tiny', '--batch-size', '4', '--sequence-length', '16', '--steps', '2'];

try {
  const ids = writeBrownText(corpus);
  for (const id of ids.slice(documents)) rmSync(path.join(corpus, `${id}.txt`));
  writeFileSync(
    text,
    ids
      .slice(0, documents)
      .map((id) => readFileSync(path.join(corpus, `${id}.txt`), 'utf8'))
      .join(''),
  );
  galvani('vocab', '--input', corpus, '--size', '1024', '--output', vocab);
  galvani('prepare', '--input', corpus, '--documents', 'file', '--vocab', vocab, '--output', data);
  galvani('bench', 'tokenize', '--input', text, '--vocab', vocab);
  galvani('bench', 'prepare', '--input', corpus, '--vocab', vocab);
  galvani('bench', 'batches', '--data', data, '--batch-size', '16', '--sequence-length', '32');
  galvani('bench', 'step', ...tiny);
  run('bench/jsonLines.js', text, vocab);
  run('bench/gemm.js', '64', '64', '64');
  run('bench/shuffle.js', '--examples', '5000');
  run('bench/peers/tokenize.js', text, '--vocab', vocab, '--rounds', '1', '--passes', '1');
  run('bench/peers/prepare.js', text, '--vocab', vocab, '--rounds', '1', '--processes', '1');
  run(
    'bench/peers/batches.js',
    data,
    ...['--batch-size', '16', '--sequence-length', '32', '--rounds', '1', '--seconds', '0.1'],
  );
  run(
    'bench/peers/step.js',
    ...tiny,
    ...['--rounds', '1', '--engines', 'wasm', '--precisions', 'float32', '--peers', 'pytorch,tfjs'],
  );
} finally {
  rmSync(folder, { recursive: true });
}

function galvani(...parameters: string[]): void {
  run('src/cli/main.js', ...parameters);
}

function run(script: string, ...parameters: string[]): void {
  console.log(`\n$ ${[script, ...parameters].join(' ').replaceAll(folder, '…')}`);
  const { status } = spawnSync(process.execPath, [path.join(dist, script), ...parameters], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`${script} ended with ${status}`);
}
