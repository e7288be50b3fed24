/**
 * How TensorFlow comes to a machine: one list of steps, each a piece of shell with a test of whether it is done.
 * `galvani doctor` prints what is left of them, `galvani setup` runs it.
 *
 * Library and headers come with the Python wheel; no Python runs afterwards. The binding is compiled from the source
 * that the npm package carries, unpacked without its hundred dependencies and without its install script (which would
 * download an older library). On disk 1.4 GB, with CUDA 6 GB; of the wheel two libraries are loaded (0.8 and 1.3 GB)
 * and the headers compiled against (0.3 GB).
 *
 * A step that was cut off counts as not done and begins anew: pip writes INSTALLER last, what is unpacked or compiled
 * gets its name last.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Device, packageNames, setupFolder, tensorflowVersion } from './binding.js';

export interface SetupStep {
  readonly title: string;
  /** For `sh -e`, after `setupPrelude`. */
  readonly command: string;
  readonly tool?: SetupTool;
  /** Of room on the disk that it needs while it runs; a few MB where absent. */
  readonly bytes?: number;
  isDone(): boolean;
  /** What most likely hinders it. */
  readonly hint: string;
}

export type SetupTool = 'python3' | 'npm' | 'g++';

const bindingVersion = '4.22.0';
const headers = { name: 'node-api-headers', version: '1.9.0' };

/**
 * What `tensorflow[and-cuda]` asks for, as pip resolves it, less curand, which neither library names (read in their
 * run paths and strings). --no-deps leaves out what only TensorFlow's Python needs.
 */
const wheels: Record<Device, readonly string[]> = {
  cpu: [`tensorflow-cpu==${tensorflowVersion}`],
  gpu: [
    `tensorflow==${tensorflowVersion}`,
    'nvidia-cublas-cu12==12.9.3.13',
    'nvidia-cuda-cupti-cu12==12.9.79',
    'nvidia-cuda-nvcc-cu12==12.9.86',
    'nvidia-cuda-nvrtc-cu12==12.9.86',
    'nvidia-cuda-runtime-cu12==12.9.79',
    'nvidia-cudnn-cu12==9.28.0.42',
    'nvidia-cufft-cu12==11.4.1.4',
    'nvidia-cusolver-cu12==11.7.5.82',
    'nvidia-cusparse-cu12==12.5.10.65',
    'nvidia-nccl-cu12==2.32.3',
    'nvidia-nvjitlink-cu12==12.9.86',
  ],
};

const cusolver = `-Wl,--no-as-needed,-rpath,'$ORIGIN/../../deps/nvidia/cusolver/lib' "$package/deps/nvidia/cusolver/lib/libcusolver.so.11"`;

/** Why the steps cannot work on this machine, whatever is installed on it; undefined where they can. */
export function setupHindrance(): string | undefined {
  if (process.platform === 'linux' && process.arch === 'x64') return undefined;
  return `${process.platform} on ${process.arch}, for which the steps were not written (they are for linux on x64)`;
}

/** The variables that the steps' commands share. */
export function setupPrelude(device: Device): string {
  return `home=${quote(setupFolder(device))}\npackage="$home/node_modules/${packageNames[device]}"`;
}

export function setupSteps(device: Device): SetupStep[] {
  const home = setupFolder(device);
  const bindingPackage = packageNames[device];
  const packageFolder = path.join(home, 'node_modules', bindingPackage);
  const libraries = ['libtensorflow.so', 'libtensorflow_cc.so.2', 'libtensorflow_framework.so'];
  const links = ['include', ...libraries.map((name) => `lib/${name}`), ...(device === 'gpu' ? ['nvidia'] : [])];
  const binding = path.join(packageFolder, 'lib', 'napi-v8', 'tfjs_binding.node');
  const network = 'It needs the network, and room on the disk.';
  return [
    {
      title: 'a Python environment of its own',
      tool: 'python3',
      command: `${findPython() ?? 'python3'} -m venv --clear "$home/python"`,
      isDone: () => hasWheel(home, 'pip'),
      hint: 'On Debian and Ubuntu venv is a package of its own: "apt install python3-venv".',
    },
    {
      title: device === 'cpu' ? 'TensorFlow (1.3 GB)' : 'TensorFlow and the CUDA libraries (6 GB)',
      tool: 'python3',
      command: `"$home/python/bin/pip" install --disable-pip-version-check --no-deps --no-compile --ignore-installed ${wheels[device].join(' ')}`,
      // What it leaves and, while pip works, the wheels.
      bytes: device === 'cpu' ? 2e9 : 10e9,
      isDone: () => wheels[device].every((wheel) => hasWheel(home, wheel)),
      hint: `${network} The wheels are made for glibc 2.27 and newer.`,
    },
    {
      title: 'the source of the binding',
      tool: 'npm',
      command: unpack(bindingPackage, bindingVersion, '$package'),
      isDone: () => hasPackage(packageFolder, bindingVersion),
      hint: network,
    },
    {
      title: 'the headers of the Node-API',
      tool: 'npm',
      command: unpack(headers.name, headers.version, `$home/node_modules/${headers.name}`),
      isDone: () => hasPackage(path.join(home, 'node_modules', headers.name), headers.version),
      hint: network,
    },
    {
      title: 'links to library and headers, where the package looks for them',
      command: [
        'tensorflow=$(echo "$home"/python/lib/python3*/site-packages/tensorflow)',
        'mkdir -p "$package/deps/lib"',
        'ln -sfn "$tensorflow/include" "$package/deps/include"',
        'ln -sfn "$tensorflow/libtensorflow_cc.so.2" "$package/deps/lib/libtensorflow.so"',
        'ln -sfn "$tensorflow/libtensorflow_cc.so.2" "$package/deps/lib/libtensorflow_cc.so.2"',
        'ln -sfn "$tensorflow/libtensorflow_framework.so.2" "$package/deps/lib/libtensorflow_framework.so.2"',
        'ln -sfn libtensorflow_framework.so.2 "$package/deps/lib/libtensorflow_framework.so"',
        // The library looks for CUDA at $ORIGIN/../nvidia, and $ORIGIN is the folder of the link.
        ...(device === 'gpu' ? ['ln -sfn "$tensorflow/../nvidia" "$package/deps/nvidia"'] : []),
      ].join('\n'),
      isDone: () => links.every((link) => existsSync(path.join(packageFolder, 'deps', link))),
      hint: 'The folder must be on a file system that has symbolic links.',
    },
    {
      title: 'the binding, compiled (ten seconds)',
      tool: 'g++',
      command: [
        'mkdir -p "$package/lib/napi-v8"',
        [
          'g++ -O2 -std=c++17 -fPIC -shared -DNAPI_VERSION=8',
          `-I "$home/node_modules/${headers.name}/include" -I "$package/deps/include" -I "$package"`,
          '"$package"/binding/*.cc',
          `-L "$package/deps/lib" -ltensorflow -ltensorflow_framework -Wl,-rpath,'$ORIGIN/../../deps/lib'`,
          // The library opens cuSOLVER by name alone and does not know its folder: without it, no GPU is registered.
          // (Seen with a stand-in for the driver.) What the binding needs is loaded already and found by its name.
          ...(device === 'gpu' ? [cusolver] : []),
          '-o "$package/lib/napi-v8/compiled.node"',
        ].join(' \\\n  '),
        'mv "$package/lib/napi-v8/compiled.node" "$package/lib/napi-v8/tfjs_binding.node"',
      ].join('\n'),
      isDone: () => existsSync(binding),
      hint: 'It needs a g++ that knows C++17.',
    },
  ];
}

/** Why a tool cannot be used, as an order to the reader; undefined where it can. */
export function missingTool(tool: SetupTool): string | undefined {
  if (tool === 'python3') {
    return findPython() ? undefined : 'Python 3.10 to 3.13, for which the wheel is made ("apt install python3-venv")';
  }
  if (spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0) return undefined;
  return tool === 'g++' ? 'g++ ("apt install g++")' : tool;
}

/** The first Python on the path for which there is a wheel. */
function findPython(): string | undefined {
  const hasWheel = 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))';
  const names = ['python3', 'python3.13', 'python3.12', 'python3.11', 'python3.10'];
  return names.find((name) => spawnSync(name, ['-c', hasWheel], { stdio: 'ignore' }).status === 0);
}

/** Whether pip has finished installing a wheel: `name` in any version, or `name==version`. */
function hasWheel(home: string, wheel: string): boolean {
  const [name, version = ''] = wheel.split('==');
  const begin = `${name.replaceAll('-', '_')}-${version}`;
  return list(path.join(home, 'python', 'lib')).some((python) => {
    const site = path.join(home, 'python', 'lib', python, 'site-packages');
    return list(site).some(
      (entry) =>
        entry.startsWith(begin) && entry.endsWith('.dist-info') && existsSync(path.join(site, entry, 'INSTALLER')),
    );
  });
}

function hasPackage(folder: string, version: string): boolean {
  try {
    return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')).version === version;
  } catch {
    return false;
  }
}

/** An npm package alone: no dependencies, no scripts. */
function unpack(name: string, version: string, folder: string): string {
  const archive = `${name.replace('@', '').replace('/', '-')}-${version}.tgz`;
  return [
    `rm -rf "$home/package" "${folder}"`,
    `mkdir -p "$(dirname "${folder}")"`,
    `npm pack --silent --pack-destination "$home" ${name}@${version}`,
    `tar -xzf "$home/${archive}" -C "$home"`,
    `mv "$home/package" "${folder}"`,
    `rm "$home/${archive}"`,
  ].join('\n');
}

function list(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
