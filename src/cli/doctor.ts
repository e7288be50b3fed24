/** `galvani doctor`: which engines can run on this machine, and the commands that bring what is missing. */
import { type Command, Option } from 'commander';
import { describeMachine, diagnoseEngines, type EngineDiagnosis, type Machine } from '../engines/diagnosis.js';
import { engineNames } from '../engines/index.js';
import type { TensorflowDiagnosis } from '../engines/tensorflow/diagnosis.js';
import { exitCodes } from '../errors.js';
import { formatBytes, formatTable } from '../report/table.js';

export function define(command: Command): void {
  command
    .addOption(
      new Option('--engine <name>', 'one engine, in detail; exit code 1 if it cannot run').choices(engineNames),
    )
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ galvani doctor --engine tensorflow')
    .action(run);
}

async function run({ engine, json }: { engine?: string; json?: boolean }): Promise<void> {
  const machine = describeMachine();
  const engines = await diagnoseEngines(machine, engine);
  const text = engine === undefined ? describeEngines(engines) : describeEngine(engines[0]);
  process.stdout.write(json ? `${JSON.stringify({ machine, engines })}\n` : `${describe(machine)}\n${text}`);
  if (engine !== undefined && !engines[0].canRun) process.exitCode = exitCodes.failure;
}

function describe({ node, v8, platform, cpu, cores, memoryBytes, freeBytes, gpus }: Machine): string {
  const described = gpus.map(
    (gpu) => `${gpu.name}, ${gpu.memory} MiB, compute capability ${gpu.computeCapability}, driver ${gpu.driver}`,
  );
  return formatTable([
    ['Node', `${node} (V8 ${v8}), ${platform}`],
    ['processor', `${cores} cores, ${cpu}`],
    ['memory', `${formatBytes(memoryBytes)}, ${formatBytes(freeBytes)} of it free`],
    ['NVIDIA GPU', described.join('; ') || 'none seen (nvidia-smi lists none)'],
  ]);
}

function describeEngines(engines: readonly EngineDiagnosis[]): string {
  const rows = engines.map(({ name, canRun, summary }) => [name, canRun ? 'can run' : 'cannot run', summary]);
  return `${formatTable(rows)}\n"galvani doctor --engine <name>" says more, and how to get what is missing.\n`;
}

function describeEngine({ name, canRun, summary, tensorflow }: EngineDiagnosis): string {
  const verdict = formatTable([[name, canRun ? 'can run' : 'cannot run', summary]]);
  return tensorflow === undefined ? verdict : `${verdict}${describeTensorflow(tensorflow)}`;
}

function describeTensorflow({
  canRun,
  candidates,
  isUsingGpu,
  lacksGpu,
  messages,
  setup,
}: TensorflowDiagnosis): string {
  const rows = candidates.map(({ directory, state }) => [`  ${state}`, directory]);
  const parts = [`\nLooked at, in this order:\n${formatTable(rows)}`];
  if (messages.length > 0 && !isUsingGpu)
    parts.push(`The library says:\n${messages.map((line) => `  ${line}\n`).join('')}`);
  if (lacksGpu) parts.push('There is a GPU, and this library is made for CPUs only.\n');
  if (!canRun || lacksGpu) parts.push(describeSetup(setup));
  return parts.join('\n');
}

function describeSetup({ device, folder, hindrance, missingTools, commands }: TensorflowDiagnosis['setup']): string {
  if (hindrance !== undefined) return `It cannot be set up here: ${hindrance}.\n`;
  const flag = device === 'gpu' ? ' --gpu' : '';
  if (commands === '') {
    const again = `remove ${folder} and run "galvani setup tensorflow${flag}" again`;
    return `All steps of the setup are done: what is wrong lies elsewhere (driver, processor); else ${again}.\n`;
  }
  const tools = missingTools.length === 0 ? '' : `Install first: ${missingTools.join(', ')}.\n`;
  const indented = commands.replaceAll(/^(?=.)/gm, '  ');
  return `${tools}"galvani setup tensorflow${flag}" (in a clone: "npm run setup:tensorflow${flag === '' ? '' : ' -- --gpu'}") does this:\n\n${indented}`;
}
