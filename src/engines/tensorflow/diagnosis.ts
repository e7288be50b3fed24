/**
 * Whether TensorFlow can run on this machine, what was looked at, and what is left to do: the facts behind
 * `galvani doctor`.
 */
import { type Candidate, type Device, findCandidates, setupFolder } from './binding.js';
import { probeBinding } from './probe.js';
import { missingTool, setupHindrance, setupPrelude, setupSteps } from './setupSteps.js';

export interface TensorflowDiagnosis {
  readonly canRun: boolean;
  /** What will be used, or why nothing can be. */
  readonly summary: string;
  /** In the order in which they are looked at. */
  readonly candidates: readonly Candidate[];
  /** Of the library that was opened. */
  readonly version?: string;
  readonly isUsingGpu?: boolean;
  /** The machine has a GPU, and the library is made for CPUs only. */
  readonly lacksGpu: boolean;
  /** What the library said about GPUs when it was opened. */
  readonly messages: readonly string[];
  readonly setup: SetupDiagnosis;
}

export interface SetupDiagnosis {
  readonly device: Device;
  readonly folder: string;
  /** Why it cannot work here. */
  readonly hindrance?: string;
  readonly missingTools: readonly string[];
  /** Shell that does what is not done yet. Empty where all is done. */
  readonly commands: string;
}

/** @param hasGpu  whether the machine has a GPU that the library should use */
export function diagnoseTensorflow(hasGpu: boolean): TensorflowDiagnosis {
  const candidates = findCandidates();
  const chosen = candidates.find(({ state }) => state === 'built');
  const setup = diagnoseSetup(hasGpu || chosen?.device === 'gpu' ? 'gpu' : 'cpu');
  if (chosen === undefined) {
    const isThere = candidates.some(({ state }) => state === 'not built');
    const summary = isThere ? 'the package is there, but its binding is not built' : 'not installed';
    return { canRun: false, summary, candidates, lacksGpu: false, messages: [], setup };
  }
  const { version, isUsingGpu, error, messages } = probeBinding(chosen);
  const where = isUsingGpu ? 'on the GPU' : 'on the CPU';
  const summary = error
    ? `expected ${error.expected}, got ${error.got}`
    : `TensorFlow ${version} ${where}, ${chosen.directory}`;
  const lacksGpu = hasGpu && chosen.device === 'cpu';
  return { canRun: error === undefined, summary, candidates, lacksGpu, version, isUsingGpu, messages, setup };
}

function diagnoseSetup(device: Device): SetupDiagnosis {
  const left = setupSteps(device).filter((step) => !step.isDone());
  const parts = left.map(({ title, command }) => `# ${title}\n${command}`);
  return {
    device,
    folder: setupFolder(device),
    hindrance: setupHindrance(),
    missingTools: [...new Set(left.flatMap(({ tool }) => (tool && missingTool(tool)) ?? []))],
    commands: left.length === 0 ? '' : `${[setupPrelude(device), ...parts].join('\n')}\n`,
  };
}
