/** A dataset and a model so small that a run takes a second, and `galvani pretrain` on them as a person types it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Documents, writeSyntheticDataset } from '../dataset/synthetic.js';
import { randomInts } from '../random.js';

export const galvani = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
export const vocabularySize = 60;

/** A folder that lasts as long as the test file. */
export function makeFolder(name: string): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), `galvani-${name}-`));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Documents of 4 to 50 tokens in which some tokens follow each other more often than others. */
export function randomDocuments(count: number, seed = 1): Documents {
  const lengths = randomInts(count, seed, 47);
  return Array.from({ length: count }, (_, i) => {
    const draws = randomInts(lengths[i] + 4, seed + 1 + i, vocabularySize - 5);
    const ids = [...draws].map(
      (draw, place) => 5 + (place % 2 === 1 && draw < 40 ? (draws[place - 1] + 1) % 55 : draw),
    );
    return [ids];
  });
}

export async function writeDataset(directory: string, documents = 80): Promise<string> {
  await writeSyntheticDataset(directory, randomDocuments(documents), { vocabularySize });
  return directory;
}

const encoder = {
  embedding_size: 8,
  hidden_size: 8,
  num_attention_heads: 2,
  intermediate_size: 16,
  max_position_embeddings: 24,
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
};

/** Every kind of draw is in it, and no interval divides another. */
export const settings = {
  model: { generator: encoder, discriminator: encoder },
  num_train_steps: 600,
  batch_size: 8,
  micro_batch_size: 8,
  sequence_length: 16,
  stages: [
    { until: 0.4, replacement: 'unigram' },
    { until: 1, replacement: 'generator', sequence_length: 11 },
  ],
  learning_rate: 2e-3,
  warmup_steps: 20,
  validation_fraction: 0.15,
  evaluate_every: 170,
  checkpoint_every: 70,
  keep_checkpoint_max: 3,
  log_every: 9,
};

/** Arguments of `galvani pretrain`, with the settings in a file beside the run. */
export function argumentsOf(data: string, run: string, changed: object = {}, ...more: string[]): string[] {
  const file = `${run}.settings.json`;
  writeFileSync(file, JSON.stringify({ ...settings, ...changed }));
  return ['pretrain', '--data', data, '--output', run, '--model', 'tiny', '--config', file, '--threads', '1', ...more];
}

export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What hangs is ended, by a signal that it cannot wait out: at others a run ends its step first. */
const bounds = { timeout: 60_000, killSignal: 'SIGKILL' } as const;

/** Runs a command to its end; one that hangs is ended, with status null. */
export function runGalvani(args: readonly string[], nodeArgs: readonly string[] = []): Finished {
  return spawnSync(process.execPath, [...nodeArgs, galvani, ...args], { encoding: 'utf8', ...bounds });
}

/** Lines of metrics.jsonl without their timings: what must not depend on how the run was made. */
export function readUntimed(run: string): object[] {
  return readFileSync(path.join(run, 'metrics.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => ({ ...JSON.parse(line), timing: undefined }));
}

export interface Running {
  readonly child: ChildProcess;
  /** Resolves when standard output or error holds the text. @throws when the command ends before. */
  said(text: string): Promise<void>;
  readonly finished: Promise<Finished & { signal: NodeJS.Signals | null }>;
}

const faults = new URL('./faults.js', import.meta.url).href;

/** Starts a command that is to be disturbed; `fault` as faults.ts takes it. */
export function startGalvani(args: readonly string[], fault = ''): Running {
  const nodeArgs = fault === '' ? [] : ['--import', faults];
  const env = { ...process.env, FAULT: fault };
  const child = spawn(process.execPath, [...nodeArgs, galvani, ...args], { env, ...bounds });
  const output = { stdout: '', stderr: '' };
  const heard = new EventEmitter();
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text) => {
      output[name] += text;
      heard.emit('text');
    });
  }
  const finished = once(child, 'close').then(([status, signal]) => ({ status, signal, ...output }));
  void finished.then(() => heard.emit('error', new Error(`the command ended: ${output.stdout}${output.stderr}`)));
  heard.on('error', () => {}); // Nobody may be listening.
  const said = async (text: string) => {
    while (!output.stdout.includes(text) && !output.stderr.includes(text)) await once(heard, 'text');
  };
  return { child, said, finished };
}
