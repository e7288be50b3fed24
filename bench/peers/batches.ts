/**
 * Token shards → masked batches: the loader beside a hand-vectorised NumPy loop and PyTorch's DataLoader with transformers'
 * collator for masked language modelling (python_batches.py), in one run and in turn.
 *
 *   node dist/bench/peers/batches.js DATASET        --help lists the settings
 *
 * First it is shown that they do the same: an epoch of ours and one of NumPy's have the same rows, as a multiset, and
 * exactly round-half-even(0.15 × length) masked places in each; the DataLoader's rows are NumPy's before its collator masked
 * them. Then rounds: every contestant runs once a round, in processes pinned to one core or two (taskset), whatever it has
 * of threads or processes among them: the loader's consumer, its simulated device and its workers share them.
 * The table has medians over the rounds; quotients are medians over runs of the same round.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { type Batch, openLoader } from '../../src/batching/loader.js';
import { defaultMasking, maskedPerRow } from '../../src/batching/masking.js';
import { parseAmount, parseCount } from '../../src/cli/options.js';
import { median } from '../../src/median.js';
import { formatTable } from '../../src/report/table.js';
import { needPython } from '../../test/python.js';
import { runCommand } from './command.js';

interface Settings {
  readonly batchSize: number;
  readonly sequenceLength: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly json?: boolean;
}

/** What can be compared of some rows, in whatever order, and what of them was masked. */
interface Epoch {
  readonly rows: number;
  readonly tokens: number;
  readonly digest: number;
  readonly maskedTokens: number;
}

interface Speed {
  readonly tokensPerSecond: number;
  readonly batchesPerSecond: number;
}

interface Contestant {
  readonly name: string;
  /** Its threads or processes that make batches; 0: they are made where they are taken. */
  readonly workers: number;
  readonly cores: number;
  readonly run: (cores: readonly number[]) => Speed;
}

interface Result {
  readonly name: string;
  readonly workers: number;
  readonly cores: number;
  readonly tokensPerSecond: readonly number[];
  readonly batchesPerSecond: readonly number[];
}

const here = path.dirname(fileURLToPath(import.meta.url));
const script = path.join(here, '..', '..', '..', 'bench', 'peers', 'python_batches.py');
const galvani = path.join(here, '..', '..', 'src', 'cli', 'main.js');
const peer = needPython('numpy', 'pyarrow', 'torch', 'transformers');

async function main(data: string, settings: Settings): Promise<void> {
  if (peer.skip) console.error(`The rivals are left out: ${peer.skip}`);
  const cores = usableCores();
  const proof = await prove(data, settings);
  const contestants = contestantsOf(data, settings).filter((contestant) => contestant.cores <= cores.length);
  const results = runRounds(contestants, cores, settings.rounds);
  const cpu = os.cpus()[0]?.model ?? 'unknown';
  const machine = { cpu, cores: os.availableParallelism(), node: process.versions.node };
  process.stdout.write(
    settings.json ? `${JSON.stringify({ machine, settings, proof, results })}\n` : describe(proof, results, settings),
  );
}

/** Numbers of the cores that this process may run on; none where processes cannot be pinned. */
function usableCores(): number[] {
  if (spawnSync('taskset', ['-c', '-p', `${process.pid}`]).status !== 0) {
    console.error('Nothing is pinned: there is no taskset here.');
    return [];
  }
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1];
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

function contestantsOf(data: string, settings: Settings): Contestant[] {
  const { batchSize, sequenceLength, seconds } = settings;
  const shape = [`${batchSize}`, `${sequenceLength}`];
  const ours = (workers: number): Contestant => ({
    name: 'galvani',
    workers,
    cores: workers,
    run: (cores) => {
      const flags = [
        '--data',
        data,
        '--batch-size',
        shape[0],
        '--sequence-length',
        shape[1],
        '--workers',
        `${workers}`,
      ];
      const bench = [galvani, 'bench', 'batches', ...flags, '--seconds', `${seconds}`, '--json'];
      return (ask(process.execPath, bench, cores) as { figures: Speed }).figures;
    },
  });
  const rival = (name: string, rival: string, workers: number): Contestant => ({
    name,
    workers,
    cores: Math.max(1, workers),
    run: (cores) =>
      ask(peer.python, [script, 'time', rival, data, ...shape, `${seconds}`, `${workers}`], cores) as Speed,
  });
  if (peer.skip) return [ours(1), ours(2)];
  return [
    ours(1),
    rival('NumPy', 'numpy', 0),
    rival('DataLoader, tensors', 'tensors', 0),
    rival('DataLoader, dicts', 'dicts', 0),
    ours(2),
    rival('DataLoader, tensors', 'tensors', 2),
    rival('DataLoader, dicts', 'dicts', 2),
  ];
}

/** The line of JSON that a process on these cores prints. */
function ask(command: string, parameters: readonly string[], cores: readonly number[]): unknown {
  const [first, ...others] = [...(cores.length > 0 ? ['taskset', '-c', cores.join()] : []), command, ...parameters];
  const { status, stdout, stderr } = spawnSync(first, others, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${[first, ...others].join(' ')} ended with ${status}:\n${stderr}`);
  return JSON.parse(stdout);
}

interface Proof {
  readonly ours: Epoch;
  readonly numpy?: Epoch;
  /** Of the DataLoader's rows: on the average, since each token is masked by a coin of its own. */
  readonly dataLoaderMasked?: number;
}

/** @throws where an epoch of ours is not what NumPy makes of the same dataset, or a row has too many masks or too few. */
async function prove(data: string, settings: Settings): Promise<Proof> {
  const ours = await readEpoch(data, settings);
  if (peer.skip) return { ours };
  const shape = [`${settings.batchSize}`, `${settings.sequenceLength}`];
  const prove = (rival: string) => ask(peer.python, [script, 'prove', rival, data, ...shape], []) as Epoch;
  const numpy = prove('numpy');
  if (JSON.stringify(numpy) !== JSON.stringify(ours)) {
    throw new Error(`NumPy makes other rows: ${JSON.stringify(numpy)}, ours ${JSON.stringify(ours)}`);
  }
  const shares = ['tensors', 'dicts'].map(prove).map(({ maskedTokens, tokens }) => maskedTokens / tokens);
  return { ours, numpy, dataLoaderMasked: Math.max(...shares) };
}

async function readEpoch(data: string, { batchSize, sequenceLength }: Settings): Promise<Epoch> {
  const loader = await openLoader({ data, batchSize, sequenceLength });
  const sums = new RowSums(sequenceLength);
  while (sums.rows < loader.examples) {
    const batch = (await loader.next())!;
    sums.add(batch, Math.min(batch.B, loader.examples - sums.rows));
    batch.release();
  }
  await loader.close();
  const { rows, tokens, digest, maskedTokens } = sums;
  return { rows, tokens, digest, maskedTokens };
}

/** A row's hash is a mixed sum of its ids with weights by place; the digest is the sum of all rows' modulo 2³². */
class RowSums {
  rows = 0;
  tokens = 0;
  digest = 0;
  maskedTokens = 0;
  readonly #weights: Int32Array;

  constructor(T: number) {
    this.#weights = Int32Array.from({ length: T }, (_, place) => mix(place + 1));
  }

  /** The first rows of a batch. @throws for a masked count that is not the rule's. */
  add({ T, N, ids, lengths, counts }: Batch, rows: number): void {
    for (let row = 0; row < rows; row++) {
      let hash = 0;
      for (let place = 0; place < lengths[row]; place++) {
        hash = (hash + Math.imul(ids[row * T + place], this.#weights[place])) | 0;
      }
      const wanted = Math.min(Math.max(1, roundHalfEven(defaultMasking.maskProb * lengths[row])), N, lengths[row] - 2);
      if (counts[row] !== wanted) {
        throw new Error(`${counts[row]} masked places in a row of ${lengths[row]} tokens, not ${wanted}`);
      }
      this.digest = (this.digest + mix(hash)) >>> 0;
      this.tokens += lengths[row];
      this.maskedTokens += counts[row];
    }
    this.rows += rows;
  }
}

/** The finalizer of MurmurHash3. */
function mix(word: number): number {
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return (word ^ (word >>> 16)) >>> 0;
}

function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

function runRounds(contestants: readonly Contestant[], cores: readonly number[], rounds: number): Result[] {
  const runs = contestants.map((): Speed[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, contestant] of contestants.entries()) runs[i].push(contestant.run(cores.slice(0, contestant.cores)));
  }
  return contestants.map(({ name, workers, cores }, i) => ({
    ...{ name, workers, cores },
    tokensPerSecond: runs[i].map(({ tokensPerSecond }) => tokensPerSecond),
    batchesPerSecond: runs[i].map(({ batchesPerSecond }) => batchesPerSecond),
  }));
}

/** Quotients: of our speed on one core by the rival's, and of our speed with more workers by that with one. */
function describe({ ours, numpy, dataLoaderMasked }: Proof, results: readonly Result[], settings: Settings): string {
  const { batchSize, sequenceLength } = settings;
  const filled = (100 * ours.tokens) / (ours.rows * sequenceLength);
  const places = maskedPerRow(defaultMasking.maskProb, sequenceLength);
  const lines = [
    `An epoch: ${ours.rows} rows of ${sequenceLength} places, ${filled.toFixed(1)} % real tokens (${ours.tokens}), ` +
      `${ours.maskedTokens} masked, at most ${places} a row.`,
    ...(numpy ? ["NumPy's epoch has the same rows, and both mask the exact count in each."] : []),
    ...(dataLoaderMasked ? [`The DataLoader masks ${(100 * dataLoaderMasked).toFixed(2)} % of the tokens.`] : []),
  ];
  const rows = results.map(({ name, workers, cores, tokensPerSecond: speeds, batchesPerSecond }) => {
    const quotient = median(speeds.map((speed, round) => results[0].tokensPerSecond[round] / speed));
    return [
      name,
      `${workers}`,
      `${cores}`,
      (median(speeds) / 1e6).toFixed(2),
      `${(Math.min(...speeds) / 1e6).toFixed(2)}–${(Math.max(...speeds) / 1e6).toFixed(2)}`,
      (1e6 / median(batchesPerSecond)).toFixed(0),
      name === results[0].name ? '' : quotient.toFixed(2),
      name === results[0].name && workers > 1 ? (1 / quotient).toFixed(2) : '',
    ];
  });
  const heads = [`B ${batchSize}`, 'workers', 'cores', 'M tokens/s', 'runs', 'µs a batch', 'we are ×', 'of one'];
  return `${lines.join('\n')}\n\n${formatTable([heads, ...rows])}`;
}

const command = new Command('batches')
  .description(
    'Token shards → masked batches beside NumPy and PyTorch’s DataLoader: proved equal, and measured in turn.',
  )
  .argument('<dataset>', 'made by "galvani prepare" from text without special tokens')
  .option('--batch-size <b>', 'rows of a batch', parseCount, 128)
  .option('--sequence-length <t>', 'places of a row', parseCount, 128)
  .option('--seconds <s>', 'of each run', parseAmount, 3)
  .option('--rounds <n>', 'runs of each, in turn', parseCount, 5)
  .option('--json', 'print one JSON object')
  .action(main);
await runCommand(command);
