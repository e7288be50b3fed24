/**
 * Runs the steps that bring TensorFlow to this machine, those that are not done. What the tools print goes to standard
 * error as it comes; a step that fails ends it, with what most likely hindered, and the next run goes on from there.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, statfsSync } from 'node:fs';
import { GalvaniError } from '../../errors.js';
import { explainWriteError } from '../../files.js';
import { formatBytes } from '../../report/table.js';
import { type Candidate, type Device, findCandidates, setupFolder } from './binding.js';
import { probeBinding } from './probe.js';
import { missingTool, type SetupStep, setupHindrance, setupPrelude, setupSteps } from './setupSteps.js';

/** A binding that was built elsewhere is used as it is. @throws GalvaniError for the first thing that hinders. */
export function setUp(device: Device, say: (line: string) => void): void {
  const folder = setupFolder(device);
  const candidates = findCandidates().filter((one) => one.device === device);
  const isOurs = ({ directory }: Candidate) => directory.startsWith(folder);
  const existing = candidates.find((one) => one.state === 'built' && !isOurs(one));
  if (existing !== undefined) {
    const version = checkOpens(existing, 'Repair that package or remove it, and run the same command again.');
    say(`TensorFlow ${version} is there already and is used as it is: ${existing.directory}`);
    return;
  }
  const hindrance = setupHindrance();
  if (hindrance !== undefined) {
    throw new GalvaniError({
      stage: 'setup',
      expected: 'a machine that the TensorFlow wheels are made for',
      got: hindrance,
      remedy: 'Build @tensorflow/tfjs-node there yourself, which the engine will find, or use "--engine wasm".',
    });
  }
  const steps = setupSteps(device);
  const left = steps.filter((step) => !step.isDone());
  if (left.length > 0) checkMachine(left, folder);
  runSteps(steps, setupPrelude(device), folder, say);
  const [ours] = candidates.filter(isOurs);
  const version = checkOpens(ours, 'Remove that folder and run the same command again.');
  say(`TensorFlow ${version} is ready: ${folder}`);
}

/** On the CPU: a machine without a GPU may be set up for one that has it. @returns the library's version */
function checkOpens(candidate: Candidate, remedy: string): string {
  const { version, error } = probeBinding(candidate, { CUDA_VISIBLE_DEVICES: '-1' });
  if (version !== undefined) return version;
  throw new GalvaniError({
    stage: 'setup',
    ...error!,
    where: candidate.directory,
    remedy,
  });
}

function checkMachine(steps: readonly SetupStep[], folder: string): void {
  const missing = [...new Set(steps.flatMap(({ tool }) => (tool && missingTool(tool)) ?? []))];
  if (missing.length > 0) {
    throw new GalvaniError({
      stage: 'setup',
      expected: 'the tools that the steps call',
      got: `a machine without ${missing.join(', without ')}`,
      remedy: 'Install what is missing and run the same command again.',
    });
  }
  makeFolder(folder);
  const bytes = steps.reduce((sum, step) => sum + (step.bytes ?? 0), 0);
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < bytes) {
    throw new GalvaniError({
      stage: 'setup',
      expected: `${formatBytes(bytes)} of free space`,
      got: formatBytes(bavail * bsize),
      where: folder,
      remedy: 'Free some, or set XDG_CACHE_HOME to a folder on another disk, for this and every later command.',
    });
  }
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw explainWriteError(error, folder);
  }
}

/** Runs what is left of `steps`, in order. @throws GalvaniError when one fails, or says it went well and did nothing. */
export function runSteps(
  steps: readonly SetupStep[],
  prelude: string,
  folder: string,
  say: (line: string) => void,
): void {
  for (const { title, command, isDone, hint } of steps) {
    if (isDone()) {
      say(`${title}: there already`);
      continue;
    }
    say(`${title} …`);
    const { status, signal } = spawnSync('sh', ['-ec', `${prelude}\n${command}`], { stdio: ['ignore', 2, 2] });
    if (status === 0 && isDone()) continue;
    throw new GalvaniError({
      stage: 'setup',
      expected: title,
      got:
        status === 0 ? 'commands that ended well without it' : `commands that ended with ${signal ?? `code ${status}`}`,
      where: folder,
      remedy: `What they printed stands above. ${hint} Run the same command again: it goes on from this step.`,
      kind: 'tryAgain',
    });
  }
}
