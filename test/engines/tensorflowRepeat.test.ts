/**
 * Equal trainings give equal bits. With bfloat16 products the number of threads must be equal too: the library cuts the
 * sums of some of them by it.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { needTensorflow } from '../tensorflow.js';

const script = fileURLToPath(new URL('./repeatable.js', import.meta.url));

/** A line a precision: its name and the hashes of two trainings. */
async function train(threads: number, ...precisions: string[]): Promise<string[]> {
  const env = { ...process.env, TF_NUM_INTRAOP_THREADS: `${threads}`, TF_NUM_INTEROP_THREADS: `${threads}` };
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...precisions], { env });
  return stdout.trimEnd().split('\n');
}

test(
  'equal trainings give equal bits, in one process and in another; in float32 for any number of threads',
  needTensorflow(),
  async () => {
    const [both, [bfloat16], [float32]] = await Promise.all([
      train(2, 'float32', 'bfloat16'),
      train(2, 'bfloat16'),
      train(3, 'float32'),
    ]);
    assert.match(float32, /^float32 (\w{64}) \1$/);
    assert.match(bfloat16, /^bfloat16 (\w{64}) \1$/);
    assert.deepEqual(both, [float32, bfloat16]);
  },
);
