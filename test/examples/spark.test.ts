/** The Spark job, by spark-submit in local mode: two slots, four tries of a task. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { exitCodes } from '../../src/errors.js';
import { needPython } from '../python.js';
import { exampleFile, type GalvaniCommand, Workplace } from './machines.js';

const { python, skip } = needPython('pyspark');
const hasJava = spawnSync('java', ['-version']).status === 0;
const needed = skip || (!hasJava && 'needs Java 17 or newer (Debian: apt-get install openjdk-17-jre-headless)');

describe('a corpus in three parts by Spark', { skip: needed }, () => {
  const place = new Workplace();

  function submit(
    { folder }: GalvaniCommand,
    vocabulary: string,
    output: string,
  ): { status: number | null; said: string } {
    const local = ['--master', 'local[2,4]', '--conf', 'spark.ui.enabled=false'];
    const flags = ['--parts', '3', '--input', place.corpus, '--vocab', vocabulary, '--output', output];
    const script = exampleFile('spark/prepare.py');
    const { status, stderr } = spawnSync(
      path.join(path.dirname(python), 'spark-submit'),
      [...local, script, ...flags, '--galvani', path.join(folder, 'galvani')],
      { encoding: 'utf8', env: { ...process.env, PYSPARK_PYTHON: python, SPARK_LOCAL_IP: '127.0.0.1' } },
    );
    return { status, said: stderr };
  }

  test('a task that fails is tried again, and its part is there once', async () => {
    const command = place.makeCommand('command', { argument: '--part 2/3', exitCode: exitCodes.failure });
    const output = place.at('tokens');
    const { status, said } = submit(command, place.vocabulary, output);
    assert.equal(status, 0, said);
    await place.assertWhole(output, 3);
    const calls = command.calls();
    const expected = ['1/3', '2/3', '2/3', '3/3'].map((part) => `prepare --part ${part}`);
    assert.deepEqual(calls.slice(0, 4).sort(), expected);
    assert.deepEqual(calls.slice(4), ['merge']);
  });

  test('bad input ends the job at once, with its message and exit code: no task of it is tried again', () => {
    const command = place.makeCommand('bad');
    const output = place.at('none');
    const { status, said } = submit(command, place.at('absent.txt'), output);
    assert.equal(status, exitCodes.badInput, said);
    assert.match(said, /expected .*absent\.txt/);
    const calls = command.calls();
    assert.equal(new Set(calls).size, calls.length, calls.join());
    assert.ok(!existsSync(output));
  });
});
