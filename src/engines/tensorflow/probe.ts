/**
 * Whether a binding opens, found out in a process of its own: a library that does not fit the driver, or was built for
 * another processor, may end the process that loads it.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Complaint } from '../../errors.js';
import type { Candidate } from './binding.js';

/** `version` of the library, or `error`: why it cannot be used. */
export interface Probed {
  readonly version?: string;
  readonly isUsingGpu?: boolean;
  readonly error?: Complaint;
}

export interface Probe extends Probed {
  /** Whether the library ended its process. */
  readonly hasCrashed: boolean;
  /** What the library said about GPUs. */
  readonly messages: readonly string[];
}

/** Opening takes a quarter of a second on a CPU, and seconds where CUDA starts. */
const probeMs = 120_000;

/** Blocks until the process has ended. @param env  beside this process's */
export function probeBinding(candidate: Candidate, env: Readonly<Record<string, string>> = {}): Probe {
  const script = fileURLToPath(new URL('probeProcess.js', import.meta.url));
  const { status, signal, error, stdout, stderr } = spawnSync(process.execPath, [script, JSON.stringify(candidate)], {
    encoding: 'utf8',
    timeout: probeMs,
    env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '0', ...env },
  });
  const lines = (stderr ?? '').trimEnd().split('\n');
  const messages = lines.filter((line) => /cuda|gpu|dlopen|libcu|driver/i.test(line)).map((line) => line.trim());
  if (status === 0) return { ...JSON.parse(stdout.trim().split('\n').at(-1)!), hasCrashed: false, messages };
  // It could not be begun, or took too long.
  if (error) return { error: { expected: 'a process that opens it', got: error.message }, hasCrashed: false, messages };
  // A fatal line of its log is followed by the stack.
  const reason = lines.find((line) => /^F\d{4} /.test(line)) ?? lines.at(-1);
  const got = `one that ended the process that opened it (${signal ?? `exit code ${status}`}): ${reason}`;
  return {
    error: { expected: 'a library that fits the driver and the processor', got },
    // The others are sent by somebody: Ctrl-C reaches this process too.
    hasCrashed: !['SIGINT', 'SIGTERM', 'SIGKILL', 'SIGHUP'].includes(signal ?? ''),
    messages,
  };
}
