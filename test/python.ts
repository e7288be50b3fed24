/**
 * The Python environment that some tests ask for a second opinion (pyarrow, Polars, torch, transformers).
 * Looked for at $GALVANI_PYTHON, then where test/python/install.sh puts it; absent, such a test is skipped and says so.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export interface Python {
  /** Path of the interpreter. */
  python: string;
  /** Those of `knownModules` that it can import. */
  modules: Set<string>;
}

const knownModules = [
  'kubernetes_validate',
  'mmh3',
  'numpy',
  'polars',
  'pyarrow',
  'pyspark',
  'safetensors',
  'tokenizers',
  'torch',
  'transformers',
];

export function findPython(): Python | undefined {
  const installed = path.join(os.homedir(), '.cache', 'galvani', 'python', 'bin', 'python');
  const python = process.env.GALVANI_PYTHON ?? installed;
  if (!existsSync(python)) return undefined;
  const script = `import importlib.util as u; print(*[m for m in ${JSON.stringify(knownModules)} if u.find_spec(m)])`;
  const { status, stdout } = spawnSync(python, ['-c', script], { encoding: 'utf8' });
  return status === 0 ? { python, modules: new Set(stdout.trim().split(' ')) } : undefined;
}

/** The interpreter when it has all of `modules`, or why the test is skipped: `test(name, { skip: needed.skip }, …)`. */
export function needPython(...modules: string[]): { python: string; skip: string | false } {
  const found = findPython();
  const missing = modules.filter((name) => !found?.modules.has(name));
  if (found !== undefined && missing.length === 0) return { python: found.python, skip: false };
  return { python: '', skip: `needs Python with ${missing.join(', ')}: run "bash test/python/install.sh" once` };
}
