/**
 * Equal trainings give equal bits, in float32 and with bfloat16 products. The number of threads is among what must be
 * equal: the library cuts large products by it (ELECTRA-Small on 16 rows of 128 ends in other bits with 1, 2 and 3).
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { needTensorflow } from '../tensorflow.js';

const script = fileURLToPath(new URL('./repeatable.js', import.meta.url));

/** Lines of a precision and the hashes of two trainings. */
async function train(): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [script]);
  return stdout;
}

test('equal trainings give equal bits, in one process and in another', needTensorflow(), async () => {
  const [one, other] = await Promise.all([train(), train()]);
  assert.match(one, /^float32 (\w{64}) \1\nbfloat16 (?!\1)(\w{64}) \2\n$/);
  assert.equal(other, one);
});
