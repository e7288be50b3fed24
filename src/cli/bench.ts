/** `galvani bench`: throughput of each room, as one object with machine, versions, settings and figures. */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { type Command, Option } from 'commander';
import { measureBatches } from '../batching/benchmark.js';
import { replacements } from '../batching/options.js';
import { benchmarkPrepare } from '../corpus/benchmark.js';
import { engineNames } from '../engines/index.js';
import { formatTable } from '../report/table.js';
import { benchmarkTokenize } from '../text/benchmark.js';
import { profileNames, resolveSettings } from '../text/profile.js';
import { measureStep, type OperationFigures } from '../training/benchmark.js';
import {
  bucketHelp,
  cacheHelp,
  collectData,
  dataHelp,
  defaultThreads,
  examplesOption,
  inputHelp,
  parseAmount,
  parseCount,
} from './options.js';

export function define(command: Command): void {
  command.addHelpText(
    'after',
    `
Examples:
  $ galvani bench step --model tiny --batch-size 64 --sequence-length 16
  $ galvani bench batches --data data --json`,
  );
  command
    .command('tokenize')
    .description('text → ids, cold and warm, on one thread and on all')
    .requiredOption('--input <file>', 'UTF-8 text')
    .requiredOption('--vocab <path>', 'vocab.txt, tokenizer.json, or the folder of a model')
    .addOption(
      new Option('--profile <name>', 'whose tokenization to equal').choices(profileNames).default('huggingface'),
    )
    .option('--cased', 'keep case and accents')
    .option('--threads <n>', 'threads beside one', parseCount, defaultThreads())
    .option('--json', 'print one JSON object')
    .action(async ({ input, vocab, profile, cased, threads, json }) => {
      const settings = resolveSettings({ profile, lowercase: !cased });
      print(json, { input, vocab, threads }, await benchmarkTokenize({ input, vocab, settings, threads }));
    });
  command
    .command('prepare')
    .description('text files → token shards')
    .requiredOption('--input <path...>', inputHelp)
    .requiredOption('--vocab <path>', 'vocab.txt, tokenizer.json, or the folder of a model')
    .option('--threads <n>', 'preparing threads', parseCount, defaultThreads())
    .option('--json', 'print one JSON object')
    .action(async ({ input, vocab, threads, json }) => {
      print(json, { input, vocab, threads }, await benchmarkPrepare({ inputs: input, vocabulary: vocab, threads }));
    });
  command
    .command('batches')
    .description('token shards → batches')
    .requiredOption('--data <dir[:weight]>', dataHelp, collectData)
    .option('--batch-size <b>', 'rows of a batch', parseCount, 128)
    .option('--sequence-length <t>', 'places of a row', parseCount, 128)
    .addOption(examplesOption())
    .option('--bucket', bucketHelp)
    .option('--cache-bytes <n>', cacheHelp, parseCount)
    .addOption(
      new Option('--replacement <name>', 'who replaces masked tokens').choices(replacements).default('generator'),
    )
    .option('--workers <n>', 'threads that make batches', parseCount, 1)
    .option(
      '--device-ms <ms>',
      'what a simulated device takes a batch (default: none, batches are read and given back)',
      parseAmount,
      0,
    )
    .option('--seconds <s>', 'how long to measure (default: 3, or as long as the steps take)', parseAmount)
    .option('--steps <n>', 'batches to measure (default: as many as there is time for)', parseCount)
    .option('--warm-up-steps <n>', 'batches before that', parseCount, 64)
    .option('--json', 'print one JSON object')
    .action(async ({ json, ...settings }) => {
      print(json, settings, await measureBatches(settings));
    });
  command
    .command('step')
    .description('one training step: on synthetic full rows, operation by operation, or on batches of a dataset')
    .option('--engine <name>', engineNames.join(', '), 'wasm')
    .option(
      '--data <dir>',
      'dataset made by "galvani prepare": steps as training takes them, one behind the other, and what the loop adds to the engine’s own',
    )
    .option('--model <name>', 'tiny, small, base or large', 'small')
    .option('--batch-size <b>', 'rows of a batch', parseCount, 16)
    .option('--sequence-length <t>', 'places of a row', parseCount, 128)
    .option('--precision <name>', 'float32 or bfloat16 (engine tensorflow): of products and attention')
    .option('--deterministic', 'results that repeat bit for bit, on every engine')
    .option('--threads <n>', 'compute threads (default: all cores, where the engine takes more than one)', parseCount)
    .option('--steps <n>', 'steps to time', parseCount, 7)
    .option('--json', 'print one JSON object')
    .action(async ({ json, ...settings }) => {
      print(json, settings, await measureStep(settings));
    });
}

function print(isJson: boolean | undefined, settings: object, figures: object): void {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  const [cpu] = os.cpus();
  const whole = {
    machine: { cpu: cpu?.model ?? 'unknown', cores: os.availableParallelism(), memoryBytes: os.totalmem() },
    versions: { galvani: version, node: process.versions.node, v8: process.versions.v8 },
    settings,
    figures,
  };
  process.stdout.write(isJson ? `${JSON.stringify(whole)}\n` : describe(whole));
}

function describe({ machine, versions, figures }: { machine: object; versions: object; figures: object }): string {
  const { operations, ...rest } = figures as { operations?: OperationFigures[] };
  const named = (group: string, values: object): [string, unknown][] =>
    Object.entries(values).flatMap(([name, value]) =>
      value?.constructor === Object ? named(`${group}${name}.`, value) : [[group + name, value] as [string, unknown]],
    );
  const entries = [...named('machine.', machine), ...named('versions.', versions), ...named('', rest)];
  const rows = entries.map(([name, value]) => [name, shorten(value)]);
  const width = Math.max(28, ...rows.map(([name]) => name.length));
  const table = rows.map(([name, value]) => `${name.padEnd(width)} ${value}\n`).join('');
  if (!operations) return table;
  if (operations.length === 0)
    return `${table}\nThis engine runs a program as one call and cannot tell its operations apart.\n`;
  const lines = operations.map(({ name, calls, ms, share, gflops, bandwidth, limitShare }) => [
    name,
    String(calls),
    ms.toFixed(2),
    `${(share * 100).toFixed(1)}%`,
    gflops.toFixed(1),
    bandwidth.toFixed(1),
    limitShare === undefined ? '-' : `${(limitShare * 100).toFixed(0)}%`,
  ]);
  return `${table}\n${formatTable([['operation', 'calls', 'ms', 'share', 'GFLOP/s', 'GB/s', 'of its limit'], ...lines])}`;
}

function shorten(value: unknown): string {
  if (Array.isArray(value)) return value.map(shorten).join(' ');
  return typeof value === 'number' && !Number.isInteger(value) ? value.toPrecision(4) : String(value);
}
