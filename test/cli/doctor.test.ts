/** What `galvani doctor` says of a machine in every state that TensorFlow may be in, and that it outlives all of them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { EngineDiagnosis, Machine } from '../../src/engines/diagnosis.js';
import { engineNames } from '../../src/engines/index.js';
import { findBinding } from '../../src/engines/tensorflow/binding.js';
import { exitCodes } from '../../src/errors.js';
import { compile, needCompiler } from '../nativeBinding.js';
import { needTensorflow } from '../tensorflow.js';

const scratch = mkdtempSync(path.join(os.tmpdir(), 'galvani-doctor-'));
after(() => rmSync(scratch, { recursive: true }));

/** A machine of its own: an empty cache, and a working directory without packages. */
function makeMachine(name: string): { cwd: string; cache: string; packageFolder: string; bin: string } {
  const cwd = path.join(scratch, name);
  const cache = path.join(cwd, 'cache');
  const bin = path.join(cwd, 'bin');
  const packageFolder = path.join(cache, 'galvani/tensorflow-2.21.0-cpu/node_modules/@tensorflow/tfjs-node');
  for (const folder of [cwd, bin]) mkdirSync(folder, { recursive: true });
  return { cwd, cache, packageFolder, bin };
}

type Home = ReturnType<typeof makeMachine>;

function galvani({ cwd, cache, bin }: Home, args: string[], env: NodeJS.ProcessEnv = {}) {
  const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
  return spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
    cwd,
    env: { ...process.env, XDG_CACHE_HOME: cache, PATH: `${bin}:${process.env.PATH}`, ...env },
  });
}

/** `doctor --engine tensorflow`, as a program reads it. */
function examine(home: Home): { status: number | null; machine: Machine; engine: EngineDiagnosis } {
  const { status, stdout, stderr } = galvani(home, ['doctor', '--engine', 'tensorflow', '--json']);
  assert.equal(stderr, '');
  const { machine, engines } = JSON.parse(stdout) as { machine: Machine; engines: EngineDiagnosis[] };
  assert.equal(engines.length, 1);
  return { status, machine, engine: engines[0] };
}

function placePackage({ packageFolder }: Home): string {
  mkdirSync(path.join(packageFolder, 'lib', 'napi-v8'), { recursive: true });
  writeFileSync(path.join(packageFolder, 'package.json'), '{"name":"@tensorflow/tfjs-node","version":"4.22.0"}');
  return path.join(packageFolder, 'lib', 'napi-v8', 'tfjs_binding.node');
}

test('every engine is told of, and without a question there is no bad answer', () => {
  const { status, stdout } = galvani(makeMachine('all'), ['doctor']);
  assert.equal(status, exitCodes.done);
  assert.match(stdout, new RegExp(`^Node +${process.versions.node.replaceAll('.', '\\.')} `));
  for (const name of engineNames) assert.match(stdout, new RegExp(`^${name} +can`, 'm'));
  assert.match(stdout, /^wasm +can run +(relaxed )?SIMD/m);
});

test('an engine that is none is wrong use', () => {
  const { status, stderr } = galvani(makeMachine('wrong'), ['doctor', '--engine', 'tensorflw']);
  assert.equal(status, exitCodes.wrongUse);
  assert.match(stderr, /tensorflow/);
});

test('nothing installed: exit code 1, where it looked, and shell that installs all of it', () => {
  const home = makeMachine('nothing');
  const { status, stdout } = galvani(home, ['doctor', '--engine', 'tensorflow']);
  assert.equal(status, exitCodes.failure);
  assert.match(stdout, /^tensorflow +cannot run +not installed$/m);
  assert.ok(stdout.includes(`absent  ${home.packageFolder}`), stdout);
  assert.match(stdout, /galvani setup tensorflow/);

  const { engine } = examine(home);
  const { device, commands } = engine.tensorflow!.setup;
  assert.equal(device, 'cpu');
  for (const needed of ['-m venv', 'tensorflow-cpu==2.21.0', '@tensorflow/tfjs-node@4.22.0', 'ln -sfn', 'g++ ']) {
    assert.ok(commands.includes(needed), `no ${needed} in\n${commands}`);
  }
  const { status: syntax, stderr } = spawnSync('sh', ['-n'], { input: commands, encoding: 'utf8' });
  assert.equal(syntax, 0, stderr);
});

function placeGpu({ bin }: Home): void {
  const tool = path.join(bin, 'nvidia-smi');
  writeFileSync(tool, '#!/bin/sh\necho "NVIDIA A100-SXM4-40GB, 550.54.15, 40960, 8.0"\n');
  chmodSync(tool, 0o755);
}

test('a machine with a GPU is told of the library for GPUs', () => {
  const home = makeMachine('gpu');
  placeGpu(home);
  const { machine, engine } = examine(home);
  const gpu = { name: 'NVIDIA A100-SXM4-40GB', driver: '550.54.15', memory: '40960', computeCapability: '8.0' };
  assert.deepEqual(machine.gpus, [gpu]);
  const { device, commands } = engine.tensorflow!.setup;
  assert.equal(device, 'gpu');
  for (const needed of ['tensorflow==2.21.0', 'nvidia-cudnn-cu12==', '@tensorflow/tfjs-node-gpu@4.22.0', 'cusolver']) {
    assert.ok(commands.includes(needed), `no ${needed} in\n${commands}`);
  }
  assert.match(galvani(home, ['doctor', '--engine', 'tensorflow']).stdout, /setup:tensorflow -- --gpu/);
});

test('a package that is not built: only what is left is told', () => {
  const home = makeMachine('unbuilt');
  placePackage(home);
  const { status, engine } = examine(home);
  assert.equal(status, exitCodes.failure);
  assert.match(engine.summary, /not built/);
  assert.ok(!engine.tensorflow!.setup.commands.includes('npm pack --silent --pack-destination "$home" @tensorflow/'));
  assert.ok(engine.tensorflow!.setup.commands.includes('g++ '));
});

test('a binding that is no library is told with the loader’s words', () => {
  const home = makeMachine('broken');
  writeFileSync(placePackage(home), 'not a library');
  const { status, engine } = examine(home);
  assert.equal(status, exitCodes.failure);
  assert.match(engine.summary, /expected a binding .*, got .*(file too short|invalid ELF header)/);
});

test('a binding made for another library is told with the name that is missing', needCompiler, () => {
  const home = makeMachine('abi');
  const source =
    'extern "C" int TF_OfAnotherVersion(); extern "C" int napi_register_module_v1() { return TF_OfAnotherVersion(); }';
  compile(source, placePackage(home));
  const { status, engine } = examine(home);
  assert.equal(status, exitCodes.failure);
  assert.match(engine.summary, /^expected a binding with the library .*, got .*undefined symbol: TF_OfAnotherVersion/);
});

test('a library that ends the process that loads it is told with its last words, not suffered', needCompiler, () => {
  const home = makeMachine('abort');
  const source =
    '#include <stdio.h>\n#include <stdlib.h>\nstatic int now = (fputs("what for\\n", stderr), abort(), 0);';
  compile(source, placePackage(home));
  const { status, engine } = examine(home);
  assert.equal(status, exitCodes.failure);
  assert.match(
    engine.summary,
    /fits the driver .*, got one that ended the process that opened it \(SIGABRT\): what for$/,
  );
});

test('what is installed opens, with its version', needTensorflow(), () => {
  const home = { ...makeMachine('ready'), cache: process.env.XDG_CACHE_HOME ?? '' };
  const { status, engine } = examine(home);
  assert.equal(status, exitCodes.done, engine.summary);
  assert.equal(engine.canRun, true);
  assert.match(engine.summary, /^TensorFlow \d+\.\d+\.\d+ on the (C|G)PU, /);
});

test('a library for CPUs on a machine with a GPU can run, and the other one is offered', needCpuLibrary(), () => {
  const home = { ...makeMachine('idle-gpu'), cache: process.env.XDG_CACHE_HOME ?? '' };
  placeGpu(home);
  const { status, engine } = examine(home);
  assert.equal(status, exitCodes.done, engine.summary);
  assert.equal(engine.tensorflow!.lacksGpu, true);
  assert.equal(engine.tensorflow!.setup.device, 'gpu');
});

function needCpuLibrary(): { skip: string | false } {
  const { skip } = needTensorflow();
  return { skip: skip || (findBinding().device === 'cpu' ? false : 'needs the library for CPUs to be the only one') };
}

test('setup uses a package that was built elsewhere as it is', needTensorflow(), () => {
  const home = makeMachine('elsewhere');
  const { packageName, directory, device } = findBinding();
  mkdirSync(path.join(home.cwd, 'node_modules', '@tensorflow'), { recursive: true });
  symlinkSync(directory, path.join(home.cwd, 'node_modules', packageName));
  const { status, stdout, stderr } = galvani(home, ['setup', 'tensorflow', ...(device === 'gpu' ? ['--gpu'] : [])]);
  assert.equal(status, exitCodes.done, stderr);
  assert.match(stdout, /^TensorFlow \d+\.\d+\.\d+ is there already and is used as it is: /);
  assert.equal(existsSync(home.cache), false);
});

test('setup asks for its tools before it downloads anything', () => {
  const home = makeMachine('tools');
  const { status, stderr } = galvani(home, ['setup', 'tensorflow'], { PATH: home.bin });
  assert.equal(status, exitCodes.failure);
  assert.match(
    stderr,
    /^setup: expected the tools that the steps call, got a machine without Python 3\.10 to 3\.13.*, without npm, without g\+\+/,
  );
  assert.equal(existsSync(home.cache), false);
});

test('setup says so where its folder cannot be made', () => {
  const home = makeMachine('unwritable');
  writeFileSync(home.cache, 'a file where a folder should be');
  for (const tool of ['python3', 'npm', 'g++']) {
    writeFileSync(path.join(home.bin, tool), '#!/bin/sh\n');
    chmodSync(path.join(home.bin, tool), 0o755);
  }
  const { status, stderr } = galvani(home, ['setup', 'tensorflow']);
  assert.equal(status, exitCodes.failure);
  assert.match(stderr, /^write: expected a place that may be written, got a file where a folder should be/);
});
