/**
 * Whether a binding opens, found out in a process of its own: a library that does not fit, or that was built for another
 * processor, may end the process that loads it.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Candidate } from './binding.js';

/** `version` of the library, or `error`: why it cannot be used. */
export interface Probed {
  readonly version?: string;
  readonly isUsingGpu?: boolean;
  readonly error?: string;
}

/** Opening takes a quarter of a second on a CPU, and seconds where CUDA starts. */
const probeMs = 120_000;

/** Opens a binding in a process of its own. @param env  beside this process's */
export function probeBinding(
  candidate: Candidate,
  env: Readonly<Record<string, string>> = {},
): Probed & { messages: string[] } {
  const script = fileURLToPath(new URL('probeProcess.js', import.meta.url));
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, [script, JSON.stringify(candidate)], {
    encoding: 'utf8',
    timeout: probeMs,
    env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '0', ...env },
  });
  const lines = stderr.split('\n');
  const messages = lines.filter((line) => /cuda|gpu|dlopen|libcu|driver/i.test(line)).map((line) => line.trim());
  if (status === 0) return { ...JSON.parse(stdout.trim().split('\n').at(-1) ?? ''), messages };
  const got = signal === null ? `exit code ${status}` : signal;
  return { error: `the library ended the process that opened it (${got}): ${lines.at(-2) ?? ''}`, messages };
}
