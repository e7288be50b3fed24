/** `galvani pretrain`: token shards → a run folder. The same command again goes on where the run was. */
import { readFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError } from 'commander';
import type { WeightedData } from '../batching/options.js';
import type { Precision } from '../engines/engine.js';
import { engineNames } from '../engines/index.js';
import { exitCodes, GalvaniError } from '../errors.js';
import { formatBytes, formatCount, formatSeconds } from '../report/table.js';
import { presetTraining, type Setting, settingsOf, type TrainingConfig, withSettings } from '../training/config.js';
import { describeMetrics } from '../training/describe.js';
import { planRun } from '../training/dryRun.js';
import { type PretrainEvent, type PretrainResult, pretrain } from '../training/pretrain.js';
import { onClosedOutput } from './closedOutput.js';
import { bucketHelp, cacheHelp, collectData, dataHelp, examplesOption, parseAmount, parseCount } from './options.js';

interface Options {
  data: WeightedData[];
  output: string;
  model?: string;
  engine: string;
  precision?: Precision;
  deterministic?: boolean;
  checkFinite?: boolean;
  threads?: number;
  workers: number;
  maxMinutes?: number;
  config?: string;
  set: Setting[];
  dryRun?: boolean;
  json?: boolean;
  [name: string]: unknown;
}

/** Flags that are settings of the run, with their names in config.json. */
const settingFlags: Record<string, string> = {
  steps: 'num_train_steps',
  batchSize: 'batch_size',
  microBatchSize: 'micro_batch_size',
  sequenceLength: 'sequence_length',
  examples: 'examples',
  bucket: 'bucket',
  cacheBytes: 'cache_bytes',
  validationFraction: 'validation_fraction',
  seed: 'seed',
  checkpointEvery: 'checkpoint_every',
  evaluateEvery: 'evaluate_every',
};

export function define(command: Command): void {
  command
    .requiredOption('--data <dir[:weight]>', dataHelp, collectData)
    .requiredOption('--output <run>', 'run folder; one that is there is continued')
    .option('--model <name>', 'tiny, small, base or large (default: small)')
    .option('--engine <name>', engineNames.join(', '), 'wasm')
    .option('--precision <name>', 'float32 or bfloat16 (engine tensorflow): of products and attention')
    .option('--deterministic', 'results that repeat bit for bit, on every engine')
    .option('--check-finite', 'name the first operation whose result is not finite (engine wasm); steps are slower')
    .option('--steps <n>', 'training steps', parseCount)
    .option('--batch-size <b>', 'rows of a batch', parseCount)
    .option('--micro-batch-size <m>', 'rows that run at a time; gradients add up', parseCount)
    .option('--sequence-length <t>', 'places of a row', parseCount)
    .addOption(examplesOption())
    .option('--bucket', bucketHelp)
    .option('--cache-bytes <n>', cacheHelp, parseCount)
    .option('--validation-fraction <f>', 'share of the documents that is held out', parseNumber)
    .option('--seed <s>', 'of weights, order, masks and draws', parseNumber)
    .option('--checkpoint-every <n>', 'steps between checkpoints', parseCount)
    .option('--evaluate-every <n>', 'steps between evaluations', parseCount)
    .option('--threads <n>', 'compute threads (default: all cores, where the engine takes more than one)', parseCount)
    .option('--workers <n>', 'threads that make batches', parseCount, 1)
    .option('--max-minutes <m>', 'write a checkpoint and stop after so long (exit code 75)', parseAmount)
    .option('--config <file>', 'settings as JSON, named as in a run’s config.json')
    .option('--set <name=value>', 'one setting, named as in config.json; may be repeated', collectSetting, [])
    .option('--dry-run', 'print parameters, memory, FLOPs and time, and stop')
    .option('--json', 'print one JSON object a line')
    .addHelpText(
      'after',
      `
Example:
  $ galvani pretrain --data data --output runs/tiny --model tiny --steps 2000

Ctrl-C and SIGTERM write a checkpoint first (exit code 75); a second one ends at once.`,
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  const settings = await readSettings(options);
  const configure = (vocabularySize: number, saved: TrainingConfig | undefined) => {
    if (saved && options.model !== undefined) {
      const wanted = presetTraining(options.model, vocabularySize).model;
      return withSettings({ ...saved, model: wanted }, settings);
    }
    return withSettings(saved ?? presetTraining(options.model ?? 'small', vocabularySize), settings);
  };
  if (options.dryRun) {
    print(await planRun({ ...options, configure }), options.json, describePlan);
    return;
  }
  const result = await pretrain({
    ...options,
    configure,
    signal: stopSignal(),
    onEvent: (event) => printEvent(event, options.json),
  });
  print({ kind: 'end', ...result }, options.json, describeEnd);
  if (!result.isDone) process.exitCode = exitCodes.tryAgain;
}

/** Settings in the order in which they win: file, flags, --set. */
async function readSettings(options: Options): Promise<Setting[]> {
  const settings: Setting[] = [];
  if (options.config !== undefined) settings.push(...settingsOf(await readConfigFile(options.config), options.config));
  for (const [flag, name] of Object.entries(settingFlags)) {
    const from = `--${flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    if (options[flag] !== undefined) settings.push({ name, value: options[flag], from });
  }
  return [...settings, ...options.set];
}

async function readConfigFile(file: string): Promise<object> {
  let got: string;
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
    got = 'another kind of value';
  } catch (error) {
    got = error instanceof Error ? error.message : String(error);
  }
  throw new GalvaniError({
    stage: 'config',
    expected: 'a JSON file with an object of settings',
    got,
    where: file,
    remedy: 'Check the path and the JSON.',
    kind: 'wrongUse',
  });
}

/**
 * The first signal asks the loop to stop, as does a reader of the output that is gone; the handlers of signals are gone
 * then, so that the second ends the process.
 */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const names = ['SIGINT', 'SIGTERM'] as const;
  const stop = () => {
    for (const name of names) process.off(name, stop);
    if (!controller.signal.aborted)
      process.stderr.write('stopping: what was trained is written as a checkpoint first\n');
    controller.abort();
  };
  onClosedOutput(stop);
  for (const name of names) process.on(name, stop);
  return controller.signal;
}

function printEvent(event: PretrainEvent, isJson: boolean | undefined): void {
  if (event.kind === 'warning' && !isJson) process.stderr.write(`${event.message}\n`);
  else print(event, isJson, describeEvent);
}

function print<T extends object>(value: T, isJson: boolean | undefined, describe: (value: T) => string): void {
  process.stdout.write(`${isJson ? JSON.stringify(value) : describe(value)}\n`);
}

function describeEvent(event: PretrainEvent): string {
  if (event.kind === 'metrics') return describeMetrics(event.line);
  if (event.kind === 'checkpoint') return `checkpoint ${event.directory}`;
  if (event.kind === 'warning' || event.kind === 'notice') return event.message;
  const begins = event.step === 0 ? 'begins' : `goes on after step ${event.step}`;
  return `pretrain ${begins}: ${event.steps} steps on ${formatCount(event.documents)} documents (${event.build})`;
}

function describeEnd({ isDone, step, timing }: PretrainResult): string {
  if (!isDone) return `stopped after step ${step}; the same command goes on`;
  return timing ? `done: ${step} steps` : `done already: ${step} steps; more --steps go on from there`;
}

function describePlan(plan: Awaited<ReturnType<typeof planRun>>): string {
  return [
    `parameters  ${formatCount(plan.parameters)} (generator ${formatCount(plan.generatorParameters)}, discriminator ${formatCount(plan.discriminatorParameters)}, shared ${formatCount(plan.sharedParameters)})`,
    `memory      ${formatBytes(plan.totalBytes)} (weights and moments ${formatBytes(plan.variableBytes)}, values ${formatBytes(plan.valueBytes)})`,
    `a step      ${(plan.flopsPerStep / 1e9).toPrecision(3)} GFLOP, ${plan.stepMs.toFixed(1)} ms on this machine (${(plan.flopsPerStep / plan.stepMs / 1e6).toFixed(1)} GFLOP/s)`,
    `the run     ${formatCount(plan.steps)} steps, ${formatSeconds(plan.seconds)}`,
  ].join('\n');
}

function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('Expected a number.');
  return value;
}

function collectSetting(text: string, previous: Setting[]): Setting[] {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Expected name=value.');
  const raw = text.slice(at + 1);
  let value: unknown = raw;
  try {
    value = JSON.parse(raw);
  } catch {
    // Not JSON: a word, such as the name of a schedule.
  }
  return [...previous, { name: text.slice(0, at), value, from: `--set ${text}` }];
}
