/**
 * ELECTRA's joint step: ours beside PyTorch with Hugging Face's models (torch_step.py) and, where asked for, beside plain
 * TensorFlow.js (tfjsStep.ts), in turn.
 *
 *   node dist/bench/peers/step.js [--data DIR] [--compiled] [--json] …        --help lists the settings
 *
 * First all answer one question (question.ts) and are held against PyTorch in float64. Then rounds: every contestant runs
 * once a round, alone, in a process of its own, so that PyTorch and TensorFlow never meet. A run gives the median of its
 * steps, the table the median of the runs; memory is the most that the process had resident at any time.
 * What is not installed is left out, and how to get it is said.
 *
 * ELECTRA-Small on real text, its rows 97 % full, behind `npm start` (which leaves runs/brown/text):
 *   galvani vocab --input runs/brown/text --size 30522 --output runs/bench/vocab.txt
 *   galvani prepare --input runs/brown/text --documents file --vocab runs/bench/vocab.txt --output runs/bench/data
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { defaultThreads, parseCount } from '../../src/cli/options.js';
import type { Precision } from '../../src/engines/engine.js';
import { loadEngine } from '../../src/engines/index.js';
import { GalvaniError } from '../../src/errors.js';
import { median } from '../../src/median.js';
import { formatBytes, formatTable } from '../../src/report/table.js';
import { needPython } from '../../test/python.js';
import { runCommand } from './command.js';
import { type Answer, Question, type QuestionSettings, type StepAnswer } from './question.js';

interface Settings extends QuestionSettings {
  readonly threads: number;
  readonly steps: number;
  readonly rounds: number;
  readonly engines: readonly string[];
  readonly peers: readonly string[];
  readonly precisions: readonly Precision[];
  readonly compiled?: boolean;
  readonly device: string;
  readonly json?: boolean;
}

/** What a process that ran some steps says of itself. */
interface Run {
  readonly stepMs: number;
  readonly peakResidentBytes: number;
  readonly peakDeviceBytes?: number;
}

interface Contestant {
  readonly name: string;
  readonly isPeer: boolean;
  readonly precision: Precision;
  readonly answer: () => Answer | Promise<Answer>;
  readonly run: () => Run;
}

interface Result {
  readonly name: string;
  readonly isPeer: boolean;
  readonly precision: Precision;
  readonly stepMs: number;
  readonly runs: readonly Run[];
  readonly peakResidentBytes: number;
  readonly peakDeviceBytes?: number;
}

const root = fileURLToPath(new URL('../../../', import.meta.url));
const answeredSteps = 4;
/** As it was before a library that runs in this process could change it. */
const environment = { ...process.env, HF_HUB_OFFLINE: '1', TRANSFORMERS_VERBOSITY: 'error' };

/**
 * How far from float64 losses and gradient norms may be, relatively.
 * float32: the limits of the parity fixtures' README, §5, for steps behind updates. bfloat16: a rounding is 2⁻⁹ at most,
 * and about 64 in a row lie between an id and a loss (12 layers, 5 or 6 products each); at random they add up to √64 · 2⁻⁹.
 */
const limits: Readonly<Record<string, { losses: number; gradientNorm: number }>> = {
  float32: { losses: 2e-6, gradientNorm: 4e-5 },
  bfloat16: { losses: 2 ** -6, gradientNorm: 2 ** -6 },
};

async function main(settings: Settings): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-peers-'));
  try {
    const question = await Question.make(settings);
    await question.write(folder);
    const peer = new Peer(folder, settings);
    const referee = peer.skip === false ? peer.answer(['--precision', 'float64']) : undefined;
    const contestants: Contestant[] = [];
    const proofs: Proof[] = [];
    const peers = settings.peers.flatMap((name) => (name === 'tfjs' ? tfjsOf(folder, settings) : peer.contestants()));
    for (const contestant of [...(await oursOf(question, settings)), ...peers]) {
      try {
        const answer = await contestant.answer();
        if (referee) proofs.push(prove(contestant, answer, referee));
        contestants.push(contestant);
      } catch (error) {
        if (!(error instanceof GalvaniError)) throw error;
        console.error(`${contestant.name} is left out. ${error.message}`);
      }
    }
    if (!settings.json) process.stdout.write(describeProofs(proofs));
    const results = runRounds(contestants, settings.rounds);
    const cpu = os.cpus()[0]?.model ?? 'unknown';
    const machine = { cpu, cores: os.availableParallelism(), node: process.versions.node };
    process.stdout.write(
      settings.json
        ? `${JSON.stringify({ machine, settings, proofs, results })}\n`
        : `\n${describeResults(results, settings)}`,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** PyTorch, asked through torch_step.py. */
class Peer {
  readonly #python = needPython('torch', 'transformers', 'safetensors');

  constructor(
    private readonly folder: string,
    private readonly settings: Settings,
  ) {
    if (this.skip) console.error(`PyTorch is left out: ${this.skip}`);
  }

  get skip(): string | false {
    return this.#python.skip;
  }

  contestants(): Contestant[] {
    if (this.skip) return [];
    const isCompiled = this.settings.compiled && canCompile() ? [false, true] : [false];
    return this.settings.precisions.flatMap((precision) =>
      ['sdpa', 'eager'].flatMap((attention) =>
        isCompiled.map((compiled): Contestant => {
          const flags = ['--attention', attention, '--precision', precision, ...(compiled ? ['--compile'] : [])];
          return {
            name: `PyTorch ${attention}${compiled ? ' compiled' : ''}`,
            isPeer: true,
            precision,
            answer: () => this.answer(flags),
            run: () => this.#ask('time', [...flags, '--steps', `${this.settings.steps}`]) as Run,
          };
        }),
      ),
    );
  }

  answer(flags: string[]): Answer {
    return this.#ask('answer', [...flags, '--steps', `${answeredSteps}`]) as Answer;
  }

  #ask(task: string, flags: string[]): unknown {
    const script = path.join(root, 'bench', 'peers', 'torch_step.py');
    const common = ['--threads', `${this.settings.threads}`, '--device', this.settings.device];
    return runJson(this.#python.python, [script, task, this.folder, ...common, ...flags]);
  }
}

/** On a CPU torch.compile writes C++. */
function canCompile(): boolean {
  const compiler = process.env.CXX ?? 'g++';
  const isThere = spawnSync(compiler, ['--version']).status === 0;
  if (!isThere)
    console.error(`PyTorch compiled is left out: expected a C++ compiler, got none called ${compiler}. Set CXX.`);
  return isThere;
}

/** TensorFlow.js, asked through tfjsStep.ts. */
function tfjsOf(folder: string, { precisions, steps }: Settings): Contestant[] {
  const script = path.join(root, 'dist', 'bench', 'peers', 'tfjsStep.js');
  const ask = (task: string, count: number) =>
    runJson(process.execPath, [script, task, folder, '--steps', `${count}`]) as unknown;
  const contestant: Contestant = {
    name: 'TensorFlow.js wasm',
    isPeer: true,
    precision: 'float32',
    answer: () => ask('answer', answeredSteps) as Answer,
    run: () => ask('time', steps) as Run,
  };
  return precisions.includes('float32') ? [contestant] : [];
}

async function oursOf(question: Question, settings: Settings): Promise<Contestant[]> {
  const { model, batchSize, sequenceLength, data, steps, precisions } = settings;
  const contestants: Contestant[] = [];
  for (const engine of settings.engines) {
    const { capabilities } = await loadEngine(engine);
    const threads = Math.min(settings.threads, capabilities.mostThreads);
    for (const precision of precisions.filter((one) => capabilities.precisions.includes(one))) {
      const flags = { engine, precision, model, batchSize, sequenceLength, threads, steps, data };
      contestants.push({
        name: `galvani ${engine}`,
        isPeer: false,
        precision,
        answer: () => question.answer(engine, { threads, precision }, answeredSteps),
        run: () => runBench(flags),
      });
    }
  }
  return contestants;
}

/** `galvani bench step` with these settings. */
function runBench(flags: Readonly<Record<string, string | number | undefined>>): Run {
  const given = Object.entries(flags).filter(([, value]) => value !== undefined);
  const options = given.flatMap(([name, value]) => [
    `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    `${value}`,
  ]);
  const main = path.join(root, 'dist', 'src', 'cli', 'main.js');
  return (runJson(process.execPath, [main, 'bench', 'step', ...options, '--json']) as { figures: Run }).figures;
}

function runJson(command: string, parameters: string[]): unknown {
  const { status, stdout, stderr } = spawnSync(command, parameters, {
    encoding: 'utf8',
    env: environment,
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Error(`${command} ${parameters.join(' ')} ended with ${status}:\n${stderr}`);
  return JSON.parse(stdout);
}

interface Proof {
  readonly name: string;
  readonly precision: Precision;
  readonly parameters: number;
  /** Largest relative difference from the referee, over the steps. */
  readonly losses: number;
  readonly gradientNorm: number;
}

/** @throws for an answer that is beyond the limits of its precision. */
function prove({ name, precision }: Contestant, answer: Answer, referee: Answer): Proof {
  if (answer.parameters !== referee.parameters) {
    throw new Error(`${name} has ${answer.parameters} parameters, the referee ${referee.parameters}`);
  }
  const relative = (actual: number, expected: number) => Math.abs(actual - expected) / Math.abs(expected);
  const off = (name: keyof StepAnswer) =>
    Math.max(...answer.steps.map((step, i) => relative(step[name], referee.steps[i][name])));
  const losses = Math.max(off('mlmLoss'), off('rtdLoss'));
  const gradientNorm = off('gradientNorm');
  if (losses <= limits[precision].losses && gradientNorm <= limits[precision].gradientNorm) {
    return { name, precision, parameters: answer.parameters, losses, gradientNorm };
  }
  const said = `${JSON.stringify(answer.steps)}, not ${JSON.stringify(referee.steps)}`;
  throw new Error(`${name} in ${precision} computes something else: ${said}`);
}

function runRounds(contestants: readonly Contestant[], rounds: number): Result[] {
  const runs = contestants.map((): Run[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, contestant] of contestants.entries()) runs[i].push(contestant.run());
  }
  const most = (values: (number | undefined)[]) => Math.max(...values.map((value) => value ?? 0));
  return contestants.map(({ name, isPeer, precision }, i) => {
    const device = most(runs[i].map(({ peakDeviceBytes }) => peakDeviceBytes));
    return {
      ...{ name, isPeer, precision },
      stepMs: median(runs[i].map(({ stepMs }) => stepMs)),
      runs: runs[i],
      peakResidentBytes: most(runs[i].map(({ peakResidentBytes }) => peakResidentBytes)),
      ...(device > 0 && { peakDeviceBytes: device }),
    };
  });
}

function describeProofs(proofs: readonly Proof[]): string {
  if (proofs.length === 0) return 'Nothing was compared.\n';
  const rows = proofs.map(({ name, precision, losses, gradientNorm }) => [
    name,
    precision,
    losses.toExponential(1),
    gradientNorm.toExponential(1),
  ]);
  const title = `${answeredSteps} steps from the same weights, ${proofs[0].parameters} parameters, against PyTorch in float64:`;
  return `${title}\n${formatTable([['', '', 'losses off by', 'gradient norm by'], ...rows])}`;
}

/** Quotients are against the fastest peer of the same precision: its time by ours, our memory by its. */
function describeResults(results: readonly Result[], { batchSize, sequenceLength }: Settings): string {
  const rows = results.map(({ name, precision, stepMs, runs, peakResidentBytes, peakDeviceBytes }) => {
    const peers = results.filter((other) => other.isPeer && other.precision === precision);
    const peer = peers.sort((a, b) => a.stepMs - b.stepMs).at(0);
    const times = runs.map((run) => run.stepMs);
    return [
      name,
      precision,
      stepMs.toFixed(1),
      `${Math.min(...times).toFixed(1)}–${Math.max(...times).toFixed(1)}`,
      ((1000 * batchSize * sequenceLength) / stepMs).toFixed(0),
      formatBytes(peakDeviceBytes ?? peakResidentBytes),
      peer ? (peer.stepMs / stepMs).toFixed(2) : '–',
      peer ? (peakResidentBytes / peer.peakResidentBytes).toFixed(2) : '–',
    ];
  });
  const heads = ['', '', 'ms a step', 'runs', 'places/s', 'memory', 'faster by', 'memory by'];
  return formatTable([heads, ...rows]);
}

const list = (text: string) => text.split(',');

function parsePeers(text: string): string[] {
  const unknown = list(text).filter((name) => !['pytorch', 'tfjs'].includes(name));
  if (unknown.length > 0) throw new InvalidArgumentError(`Expected pytorch or tfjs, got ${unknown}.`);
  return list(text);
}

const command = new Command('step')
  .description('The joint step of ELECTRA beside those of others: proved equal, then measured in turn.')
  .option('--model <name>', 'tiny, small, base or large', 'small')
  .option('--data <dir>', 'dataset made by "galvani prepare" (default: full rows of random ids)')
  .option('--batch-size <b>', 'rows of a batch', parseCount, 16)
  .option('--sequence-length <t>', 'places of a row', parseCount, 128)
  .option('--threads <n>', 'compute threads of each that takes so many', parseCount, defaultThreads())
  .option('--steps <n>', 'steps a run', parseCount, 9)
  .option('--rounds <n>', 'runs of each', parseCount, 5)
  .option('--engines <names>', 'of ours', list, ['wasm', 'tensorflow'])
  .option('--peers <names>', 'of pytorch and tfjs, which is very slow', parsePeers, ['pytorch'])
  .option('--precisions <names>', 'of all that have them', list, ['float32', 'bfloat16'])
  .option('--compiled', 'PyTorch with torch.compile, too')
  .option('--device <name>', 'of PyTorch: cpu or cuda', 'cpu')
  .option('--json', 'print one JSON object')
  .action(main);
await runCommand(command);
