/**
 * Text → ids: ours beside npm tokenizers 0.23.2, nanotoken 0.1.0 and tokenizers 1.0.0rc3, in one run and in turn.
 *
 *   node dist/bench/peers/tokenize.js [TEXT …] --vocab FILE        --help lists the settings
 *
 * TEXT is the name of one of texts.ts, which is fetched, or a path; default: all of texts.ts. First every contestant's ids
 * of the whole text are held against those of npm tokenizers. Then rounds: each contestant, a process of its own, makes a
 * cold pass, then warm ones, all in turn, pass by pass. Figures are medians over all rounds, by wall clock and by the CPU
 * time of the process, which other work on the machine touches less; quotients are medians over neighbouring passes.
 * Rivals of Python are left out where `bash bench/peers/install.sh` has not been run.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { cacheFolder } from '../../src/cacheFolder.js';
import { parseCount } from '../../src/cli/options.js';
import { writeTokenizerFiles } from '../../src/formats/tokenizerFiles.js';
import { median } from '../../src/median.js';
import { formatBytes, formatTable } from '../../src/report/table.js';
import { startPasses, timeInTurn } from '../../src/text/benchmark.js';
import { resolveSettings } from '../../src/text/profile.js';
import { type PassFigures, TimedProcess } from '../../src/text/timedProcess.js';
import { Tokenizer } from '../../src/text/tokenizer.js';
import { fetchTexts, textNames } from '../texts.js';
import { runCommand } from './command.js';

interface Settings {
  readonly vocab: string;
  readonly threads: number;
  readonly rounds: number;
  readonly passes: number;
  readonly rivals: readonly RivalName[];
  readonly json?: boolean;
}

const rivalNames = ['nanotoken', 'tokenizers1', 'tokenizers'] as const;
type RivalName = (typeof rivalNames)[number];

interface Contestant {
  readonly name: string;
  readonly start: () => Promise<TimedProcess>;
}

interface Result {
  readonly text: string;
  readonly name: string;
  readonly bytes: number;
  readonly cold: Speeds;
  readonly warm: Speeds;
  readonly peakResidentBytes: number;
}

/** MB/s (10⁶ bytes of UTF-8) of every pass. */
interface Speeds {
  readonly wall: readonly number[];
  readonly cpu: readonly number[];
}

const here = path.dirname(fileURLToPath(import.meta.url));
const sources = path.join(here, '..', '..', '..', 'bench', 'peers');
const python = path.join(cacheFolder('rivals'), 'bin', 'python');

async function main(names: string[], settings: Settings): Promise<void> {
  if (!existsSync(python)) console.error('Rivals of Python are left out: run "bash bench/peers/install.sh" once.');
  const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-peers-'));
  try {
    await writeTokenizerFiles(folder, await Tokenizer.fromVocab(settings.vocab), 512);
    const results: Result[] = [];
    for (const name of names.length === 0 ? textNames : names) {
      const input = existsSync(name) ? name : (await fetchTexts([name]))[0].path;
      const contestants = contestantsOf(input, folder, settings);
      await prove(contestants, input, folder);
      const timed = settings.rivals.includes('tokenizers') ? contestants : contestants.slice(0, -1);
      const mine = await measure(path.basename(name), timed, settings);
      results.push(...mine);
      if (!settings.json) process.stdout.write(`${describe(mine)}\n`);
    }
    const cpu = os.cpus()[0]?.model ?? 'unknown';
    const machine = { cpu, cores: os.availableParallelism(), node: process.versions.node };
    if (settings.json) process.stdout.write(`${JSON.stringify({ machine, settings, results })}\n`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Ours is the first, the reference (npm tokenizers) the last. */
function contestantsOf(input: string, folder: string, { vocab, threads, rivals }: Settings): Contestant[] {
  const given = [path.join(folder, 'tokenizer.json'), `${threads}`, input];
  const ofPython = (name: string, module: string): Contestant => ({
    name,
    start: () => TimedProcess.start(name, python, [path.join(sources, 'python_tokenize.py'), module, ...given]),
  });
  const isWanted = (rival: RivalName) => rivals.includes(rival) && existsSync(python);
  return [
    { name: 'galvani', start: () => startPasses({ input, vocab, settings: resolveSettings() }, threads) },
    ...(isWanted('nanotoken') ? [ofPython('nanotoken 0.1.0', 'nanotoken')] : []),
    ...(isWanted('tokenizers1') ? [ofPython('tokenizers 1.0.0rc3', 'tokenizers')] : []),
    {
      name: 'tokenizers 0.23.2',
      start: () =>
        TimedProcess.start('tokenizers 0.23.2', process.execPath, [path.join(here, 'tokenizers.js'), ...given]),
    },
  ];
}

/** @throws where the ids of one are not the reference's. */
async function prove(contestants: readonly Contestant[], input: string, folder: string): Promise<void> {
  const idsOf = async ({ start }: Contestant) => {
    const asked = await start();
    const file = path.join(folder, 'ids');
    try {
      await asked.writeIds(file);
    } finally {
      await asked.close();
    }
    const bytes = readFileSync(file);
    return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  };
  const reference = contestants[contestants.length - 1];
  const expected = await idsOf(reference);
  for (const contestant of contestants.slice(0, -1)) {
    const ids = await idsOf(contestant);
    const different = ids.findIndex((id, i) => id !== expected[i]);
    if (different < 0 && ids.length === expected.length) continue;
    const at = different < 0 ? ids.length : different;
    throw new Error(
      `${contestant.name} differs from ${reference.name} in ${input}: ${ids.length} and ${expected.length} tokens; ` +
        `from token ${at} on ${ids.subarray(at, at + 9)}…, not ${expected.subarray(at, at + 9)}…`,
    );
  }
}

async function measure(text: string, contestants: readonly Contestant[], settings: Settings): Promise<Result[]> {
  const cold = contestants.map((): PassFigures[] => []);
  const warm = contestants.map((): PassFigures[] => []);
  for (let round = 0; round < settings.rounds; round++) {
    const processes: TimedProcess[] = [];
    try {
      for (const { start } of contestants) processes.push(await start());
      for (const [i, timed] of (await timeInTurn(processes, settings.passes)).entries()) {
        cold[i].push(timed.cold);
        warm[i].push(...timed.warm);
      }
    } finally {
      for (const one of processes) await one.close();
    }
  }
  return contestants.map(({ name }, i) => ({
    text,
    name,
    bytes: cold[i][0].bytes,
    cold: speedsOf(cold[i]),
    warm: speedsOf(warm[i]),
    peakResidentBytes: Math.max(...warm[i].map((pass) => pass.peakResidentBytes)),
  }));
}

function speedsOf(passes: readonly PassFigures[]): Speeds {
  const by = (secondsOf: (pass: PassFigures) => number) => passes.map((pass) => pass.bytes / 1e6 / secondsOf(pass));
  return { wall: by((pass) => pass.seconds), cpu: by((pass) => pass.cpuSeconds) };
}

/** Our speed by the rival's: the median over passes that followed one another, so that both met the same machine. */
function quotient(ours: readonly number[], theirs: readonly number[]): number {
  return median(ours.map((speed, i) => speed / theirs[i]));
}

function describe(results: readonly Result[]): string {
  const [ours] = results;
  const rows = results.map(({ text, name, bytes, cold, warm, peakResidentBytes }) => {
    const quotients = [
      quotient(ours.cold.wall, cold.wall),
      quotient(ours.cold.cpu, cold.cpu),
      quotient(ours.warm.wall, warm.wall),
      quotient(ours.warm.cpu, warm.cpu),
    ];
    return [
      text,
      name,
      (bytes / 1e6).toFixed(1),
      median(cold.wall).toFixed(1),
      median(warm.wall).toFixed(1),
      `${Math.min(...warm.wall).toFixed(1)}–${Math.max(...warm.wall).toFixed(1)}`,
      median(warm.cpu).toFixed(1),
      formatBytes(peakResidentBytes),
      ...(name === ours.name ? ['', '', '', ''] : quotients.map((value) => value.toFixed(2))),
    ];
  });
  const heads = ['', 'ids equal', 'MB', 'cold MB/s', 'warm', 'runs', 'of CPU', 'memory'];
  return formatTable([[...heads, '× cold', 'of CPU', '× warm', 'of CPU'], ...rows]);
}

const command = new Command('tokenize')
  .description('Text → ids beside npm tokenizers, nanotoken and tokenizers 1.0: proved equal, then measured in turn.')
  .argument('[texts...]', `paths, or of ${textNames.join(', ')} (default: all of these)`)
  .requiredOption('--vocab <file>', 'vocab.txt of an uncased vocabulary, used for every text')
  .option('--threads <n>', 'tokenizing threads of each', parseCount, 1)
  .option('--rounds <n>', 'processes of each, in turn', parseCount, 3)
  .option('--passes <n>', 'warm passes of each process', parseCount, 7)
  .addOption(
    new Option('--rivals <names>', `to measure, of ${rivalNames.join(', ')}; the last is the reference in any case`)
      .default(rivalNames, 'all')
      .argParser((text: string) => text.split(',')),
  )
  .option('--json', 'print one JSON object')
  .action(main);
await runCommand(command);
