/** The Slurm scripts, sent to a Slurm of one machine as docs/many-machines.md sends them. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { exitCodes } from '../../src/errors.js';
import { needSlurm, Slurm } from '../slurm.js';
import { exampleFile, Workplace } from './machines.js';

describe('a corpus in three parts by Slurm', needSlurm(), () => {
  const place = new Workplace();
  let slurm: Slurm;
  before(async () => {
    slurm = await Slurm.start(3);
  });
  after(() => slurm?.close());

  /** `sbatch` with less of the machine than the scripts ask for. @returns what it prints: the job's number. */
  function send(script: string, command: string, variables: Record<string, string>, ...flags: string[]): string {
    const given = Object.entries({ ...variables, PATH: `${command}:${slurm.environment.PATH}` });
    const exported = ['ALL', ...given.map(([name, value]) => `${name}=${value}`)].join(',');
    const small = ['--cpus-per-task=1', '--mem=1G', '--time=5', `--export=${exported}`, '--parsable'];
    return slurm.run('sbatch', ...small, ...flags, exampleFile(`slurm/${script}`)).trim();
  }

  test('a task that is to be tried again goes back to the queue, and the merge waits for it', async () => {
    const command = place.makeCommand('command', { argument: '--part 2/3', exitCode: exitCodes.tryAgain });
    const output = place.at('tokens');
    const variables = { INPUT: place.corpus, VOCAB: place.vocabulary, OUTPUT: output, PARTS: '3' };
    const prepared = send('prepare.sbatch', command.folder, variables, '--array=1-3');
    send('merge.sbatch', command.folder, variables, `--dependency=afterok:${prepared}`, '--kill-on-invalid-dep=yes');
    await slurm.untilDone();
    await place.assertWhole(output, 3);
    const calls = command.calls();
    const expected = ['1/3', '2/3', '2/3', '3/3'].map((part) => `prepare --part ${part}`);
    assert.deepEqual(calls.slice(0, 4).sort(), expected);
    assert.deepEqual(calls.slice(4), ['merge', 'verify']);
  });

  test('bad input is not tried again, and nothing is merged', async () => {
    const command = place.makeCommand('bad');
    const output = place.at('none');
    const variables = { INPUT: place.corpus, VOCAB: place.at('absent.txt'), OUTPUT: output, PARTS: '2' };
    const prepared = send('prepare.sbatch', command.folder, variables, '--array=1-2', '--hold');
    send('merge.sbatch', command.folder, variables, `--dependency=afterok:${prepared}`, '--kill-on-invalid-dep=yes');
    slurm.run('scontrol', 'release', prepared);
    await slurm.untilDone();
    assert.deepEqual(command.calls().sort(), ['prepare --part 1/2', 'prepare --part 2/2']);
    assert.match(slurm.run('scontrol', 'show', 'job', prepared), new RegExp(`ExitCode=${exitCodes.badInput}:0`));
    assert.ok(!existsSync(output));
  });
});
