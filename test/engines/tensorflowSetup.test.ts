/** The setup's steps: what is done is skipped, what was cut off is not trusted, what fails says why and where. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { setupFolder } from '../../src/engines/tensorflow/binding.js';
import { runSteps } from '../../src/engines/tensorflow/setup.js';
import { type SetupStep, setupSteps } from '../../src/engines/tensorflow/setupSteps.js';
import { GalvaniError } from '../../src/errors.js';

const scratch = mkdtempSync(path.join(os.tmpdir(), 'galvani setup ')); // with a blank: the commands must quote it
const cacheBefore = process.env.XDG_CACHE_HOME;
process.env.XDG_CACHE_HOME = scratch;
after(() => {
  if (cacheBefore === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = cacheBefore;
  rmSync(scratch, { recursive: true });
});

/** A step that makes a file; `file` is also the test of whether it is done. */
function makeStep(title: string, command: string): SetupStep {
  return { title, command, isDone: () => existsSync(path.join(scratch, title)), hint: 'A hint.' };
}

const prelude = `home='${scratch}'`;

function isDone(title: RegExp, device: 'cpu' | 'gpu' = 'cpu'): boolean {
  const step = setupSteps(device).find((one) => title.test(one.title));
  assert.ok(step, `no step ${title}`);
  return step.isDone();
}

function place(file: string, content = ''): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
}

test('steps run in order, each once: a second run does nothing', () => {
  const steps = ['first', 'second'].map((name) => makeStep(name, `echo ${name} >> "$home/log"; touch "$home/${name}"`));
  const said: string[] = [];
  runSteps(steps, prelude, scratch, (line) => said.push(line));
  runSteps(steps, prelude, scratch, (line) => said.push(line));
  assert.equal(readFileSync(path.join(scratch, 'log'), 'utf8'), 'first\nsecond\n');
  assert.deepEqual(said, ['first …', 'second …', 'first: there already', 'second: there already']);
});

test('a step whose commands fail ends the setup with its hint, and the next run goes on there', () => {
  const steps = [
    makeStep('good', 'touch "$home/good"'),
    makeStep('bad', 'test -e "$home/repaired"\ntouch "$home/bad"'),
  ];
  assert.throws(
    () => runSteps(steps, prelude, scratch, () => {}),
    (error) =>
      error instanceof GalvaniError &&
      error.kind === 'tryAgain' &&
      error.message.startsWith(`setup: expected bad, got commands that ended with code 1 (${scratch}). `) &&
      error.message.includes('A hint.'),
  );
  place(path.join(scratch, 'repaired'));
  const said: string[] = [];
  runSteps(steps, prelude, scratch, (line) => said.push(line));
  assert.deepEqual(said, ['good: there already', 'bad …']);
});

test('commands that end well and leave nothing are an error', () => {
  assert.throws(() => runSteps([makeStep('absent', ':')], prelude, scratch, () => {}), /ended well without it/);
});

test('a wheel counts when pip has written its last file, not before, and only in its version', () => {
  const site = path.join(setupFolder('cpu'), 'python/lib/python3.12/site-packages');
  assert.equal(isDone(/^TensorFlow/), false);
  place(path.join(site, 'tensorflow/libtensorflow_cc.so.2'));
  place(path.join(site, 'tensorflow_cpu-2.21.0.dist-info/METADATA'));
  place(path.join(site, 'tensorflow_cpu-2.20.0.dist-info/INSTALLER'));
  assert.equal(isDone(/^TensorFlow/), false);
  place(path.join(site, 'tensorflow_cpu-2.21.0.dist-info/INSTALLER'), 'pip\n');
  assert.equal(isDone(/^TensorFlow/), true);
});

test('the CUDA libraries count all together', () => {
  const site = path.join(setupFolder('gpu'), 'python/lib/python3.12/site-packages');
  place(path.join(site, 'tensorflow-2.21.0.dist-info/INSTALLER'));
  assert.equal(isDone(/^TensorFlow/, 'gpu'), false);
  const step = setupSteps('gpu').find(({ title }) => title.startsWith('TensorFlow'));
  for (const [, name, version] of step!.command.matchAll(/ ([\w-]+)==([\w.]+)/g)) {
    place(path.join(site, `${name.replaceAll('-', '_')}-${version}.dist-info/INSTALLER`));
  }
  assert.equal(isDone(/^TensorFlow/, 'gpu'), true);
});

test('a package counts in its version only', () => {
  const file = path.join(setupFolder('cpu'), 'node_modules/@tensorflow/tfjs-node/package.json');
  place(file, '{"version":"4.21.0"}');
  assert.equal(isDone(/source of the binding/), false);
  place(file, '{"vers');
  assert.equal(isDone(/source of the binding/), false);
  place(file, '{"version":"4.22.0"}');
  assert.equal(isDone(/source of the binding/), true);
});

test('links are made as they are told, through folders with blanks, and count while they lead somewhere', () => {
  const step = setupSteps('cpu').find(({ title }) => title.startsWith('links'));
  assert.ok(step);
  const tensorflow = path.join(setupFolder('cpu'), 'python/lib/python3.12/site-packages/tensorflow');
  for (const name of ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2', 'include/tensorflow/c/c_api.h']) {
    place(path.join(tensorflow, name));
  }
  const bare = `home='${setupFolder('cpu')}'\npackage="$home/node_modules/@tensorflow/tfjs-node"`;
  runSteps([step], bare, scratch, () => {});
  assert.equal(step.isDone(), true);
  rmSync(path.join(tensorflow, 'libtensorflow_framework.so.2'));
  assert.equal(step.isDone(), false);
});
