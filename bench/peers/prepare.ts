/**
 * Text → token shards: `galvani prepare` beside Hugging Face `datasets.map`, with transformers' fast tokenizer and with
 * nanotoken inside (python_prepare.py), in one run and in turn, each with the same number of threads or processes.
 *
 *   node dist/bench/peers/prepare.js TEXT --vocab FILE        --help lists the settings
 *
 * Give it a text of 100 MB or more: a run also starts threads, once. A line is a document. Every run is a process of its
 * own, and its ids are held against galvani's before its time counts. transformers gets the beginning of the text
 * alone, as much as it can do in a while; the table says how much.
 * Seconds are those of the command itself and of `map` alone: the start of Node and the imports of Python are left out, and
 * so is the time in which datasets reads the text into Arrow. The table has medians over the rounds; quotients are medians
 * over runs of the same round. What is not installed is left out.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, readSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { cacheFolder } from '../../src/cacheFolder.js';
import { parseCount } from '../../src/cli/options.js';
import { writeTokenizerFiles } from '../../src/formats/tokenizerFiles.js';
import { median } from '../../src/median.js';
import { formatBytes, formatTable } from '../../src/report/table.js';
import { Tokenizer } from '../../src/text/tokenizer.js';
import { runCommand } from './command.js';
import { MemoryWatch } from './processTree.js';

interface Settings {
  readonly vocab: string;
  readonly processes: readonly number[];
  readonly rounds: number;
  readonly sample: number;
  readonly json?: boolean;
}

/** What was made of a text. */
interface Ids {
  readonly documents: number;
  readonly tokens: number;
  readonly digest: string;
}

interface Run {
  readonly seconds: number;
  readonly peakBytes: number;
  readonly ids: Ids;
}

interface Contestant {
  readonly name: string;
  readonly text: string;
  readonly run: (processes: number) => Promise<Run>;
}

interface Result {
  readonly name: string;
  readonly processes: number;
  readonly bytes: number;
  readonly megabytesPerSecond: readonly number[];
  readonly peakBytes: number;
}

const here = path.dirname(fileURLToPath(import.meta.url));
const script = path.join(here, '..', '..', '..', 'bench', 'peers', 'python_prepare.py');
const galvani = path.join(here, '..', '..', 'src', 'cli', 'main.js');
const python = path.join(cacheFolder('rivals-datasets'), 'bin', 'python');
const isInstalled = existsSync(python);

async function main(text: string, settings: Settings): Promise<void> {
  if (!isInstalled) console.error('Rivals of Python are left out: run "bash bench/peers/install.sh" once.');
  const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-peers-'));
  try {
    await writeTokenizerFiles(folder, await Tokenizer.fromVocab(settings.vocab), 512);
    const contestants = contestantsOf(text, folder, settings);
    const results: Result[] = [];
    for (const processes of settings.processes) {
      results.push(...(await measure(contestants, processes, settings.rounds)));
    }
    const cpu = os.cpus()[0]?.model ?? 'unknown';
    const machine = { cpu, cores: os.availableParallelism(), node: process.versions.node };
    process.stdout.write(settings.json ? `${JSON.stringify({ machine, settings, results })}\n` : describe(results));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Ours first: of the whole text, which the others' ids are held against; then of the sample, if a rival gets that. */
function contestantsOf(text: string, folder: string, { sample }: Settings): Contestant[] {
  const name = 'galvani prepare';
  const ours = (input: string) => ({ name, text: input, run: (threads: number) => runOurs(input, folder, threads) });
  if (!isInstalled) return [ours(text)];
  const beginning = path.join(folder, 'sample.txt');
  writeFileSync(beginning, readWholeLines(text, sample));
  const rival = (name: string, rival: string, input: string): Contestant => ({
    name: `datasets.map, ${name}`,
    text: input,
    run: (processes) => runPython([rival, `${processes}`, folder, input]),
  });
  return [
    ours(text),
    rival('nanotoken, Arrow tables', 'nanotoken-arrow', text),
    rival('nanotoken, lists', 'nanotoken', text),
    ours(beginning),
    rival('transformers', 'transformers', beginning),
  ];
}

function readWholeLines(file: string, mostBytes: number): Buffer {
  const bytes = Buffer.alloc(Math.min(mostBytes, statSync(file).size));
  readSync(openSync(file, 'r'), bytes);
  return bytes.subarray(0, bytes.lastIndexOf('\n') + 1 || bytes.length);
}

async function runOurs(input: string, folder: string, threads: number): Promise<Run> {
  const output = path.join(folder, 'tokens');
  const flags = ['--input', input, '--vocab', path.join(folder, 'vocab.txt'), '--output', output];
  const more = ['--documents', 'line', '--threads', `${threads}`, '--json'];
  const { answers, peakBytes } = await ask(process.execPath, [galvani, 'prepare', ...flags, ...more]);
  const { seconds } = answers[0] as { seconds: number };
  const read = isInstalled ? await ask(python, [script, 'shards', output]) : undefined;
  rmSync(output, { recursive: true });
  return { seconds, peakBytes, ids: (read?.answers[0] ?? answers[0]) as Ids };
}

async function runPython(parameters: readonly string[]): Promise<Run> {
  const { answers, peakBytes } = await ask(python, [script, ...parameters]);
  const [{ seconds }, ids] = answers as [{ seconds: number }, Ids];
  return { seconds, peakBytes, ids };
}

/** The lines of JSON that a process prints, and its peak memory until the first of them. */
async function ask(command: string, parameters: readonly string[]): Promise<{ answers: unknown[]; peakBytes: number }> {
  const child = spawn(command, parameters, { stdio: ['ignore', 'pipe', 'pipe'] });
  const watch = new MemoryWatch(child.pid!);
  let said = '';
  child.stderr.on('data', (bytes) => {
    said += bytes;
  });
  const ended = once(child, 'close');
  const answers: unknown[] = [];
  let peakBytes = 0;
  for await (const line of createInterface(child.stdout)) {
    if (answers.length === 0) peakBytes = watch.stop();
    answers.push(JSON.parse(line));
  }
  watch.stop();
  const [status] = await ended;
  if (status !== 0) throw new Error(`${command} ${parameters.join(' ')} ended with ${status}:\n${said}`);
  return { answers, peakBytes };
}

/** @throws where a contestant's ids are not ours. */
async function measure(contestants: readonly Contestant[], processes: number, rounds: number): Promise<Result[]> {
  const runs = contestants.map((): Run[] => []);
  for (let round = 0; round < rounds; round++) {
    const expected = new Map<string, Ids>();
    for (const [i, { name, text, run }] of contestants.entries()) {
      const made = await run(processes);
      runs[i].push(made);
      const ours = expected.get(text) ?? made.ids;
      expected.set(text, ours);
      if (made.ids.digest === ours.digest) continue;
      const tell = ({ documents, tokens }: Ids) => `${documents} documents with ${tokens} tokens`;
      throw new Error(`${name} makes other ids of ${text}: ${tell(made.ids)}, ours ${tell(ours)}`);
    }
  }
  return contestants.map(({ name, text }, i) => {
    const bytes = statSync(text).size;
    return {
      ...{ name, processes, bytes },
      megabytesPerSecond: runs[i].map(({ seconds }) => bytes / 1e6 / seconds),
      peakBytes: Math.max(...runs[i].map((run) => run.peakBytes)),
    };
  });
}

/** The quotient is our speed on the whole text by the rival's. */
function describe(results: readonly Result[]): string {
  const rows = results.map((result) => {
    const { name, processes, bytes, megabytesPerSecond: speeds, peakBytes } = result;
    const ours = results.find((other) => other.processes === processes)!;
    const quotient = median(speeds.map((speed, round) => ours.megabytesPerSecond[round] / speed));
    return [
      name,
      `${processes}`,
      (bytes / 1e6).toFixed(1),
      median(speeds).toFixed(1),
      `${Math.min(...speeds).toFixed(1)}–${Math.max(...speeds).toFixed(1)}`,
      name === ours.name ? '' : quotient.toFixed(2),
      formatBytes(peakBytes),
    ];
  });
  return formatTable([['', 'processes', 'MB', 'MB/s', 'runs', 'we are ×', 'memory'], ...rows]);
}

const command = new Command('prepare')
  .description('Text → token shards beside Hugging Face datasets: proved equal, and measured in turn.')
  .argument('<text>', 'UTF-8 text, a document a line')
  .requiredOption('--vocab <file>', 'vocab.txt of an uncased vocabulary of at most 65,536 pieces')
  .option('--processes <counts>', 'processes of datasets, threads of ours', parseCounts, [1, 2])
  .option('--rounds <n>', 'runs of each, in turn', parseCount, 3)
  .option('--sample <bytes>', 'of the text, for transformers', parseCount, 20e6)
  .option('--json', 'print one JSON object')
  .action(main);
await runCommand(command);

function parseCounts(text: string): number[] {
  return text.split(',').map((count) => parseCount(count));
}
