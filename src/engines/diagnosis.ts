/** What this machine is, and which engines can run on it: the facts behind `galvani doctor`. */
import { spawnSync } from 'node:child_process';
import os from 'node:os';
import { GalvaniError } from '../errors.js';
import { engineNames } from './index.js';
import { diagnoseTensorflow, type TensorflowDiagnosis } from './tensorflow/diagnosis.js';
import { chooseBuild, compileModule } from './wasm/build.js';
import { hasWideVectors } from './wasm/wide.js';

export interface Gpu {
  readonly name: string;
  readonly driver: string;
  /** MiB. */
  readonly memory: string;
  readonly computeCapability: string;
}

export interface Machine {
  readonly node: string;
  readonly v8: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly freeBytes: number;
  /** What nvidia-smi tells; empty without it. */
  readonly gpus: readonly Gpu[];
}

export interface EngineDiagnosis {
  readonly name: string;
  readonly canRun: boolean;
  /** What it will use, or why it cannot run. */
  readonly summary: string;
  readonly tensorflow?: TensorflowDiagnosis;
}

export function describeMachine(): Machine {
  return {
    node: process.versions.node,
    v8: process.versions.v8,
    platform: `${process.platform} ${process.arch}`,
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    freeBytes: os.freemem(),
    gpus: listGpus(),
  };
}

/** One engine, or all of them. */
export function diagnoseEngines(machine: Machine, engine?: string): Promise<EngineDiagnosis[]> {
  const names = engineNames.filter((name) => engine === undefined || name === engine);
  return Promise.all(names.map((name) => diagnose(name, machine)));
}

async function diagnose(name: string, { gpus }: Machine): Promise<EngineDiagnosis> {
  switch (name) {
    case 'wasm':
      return { name, ...(await diagnoseWasm()) };
    case 'tensorflow': {
      const tensorflow = diagnoseTensorflow(gpus.length > 0);
      return { name, canRun: tensorflow.canRun, summary: tensorflow.summary, tensorflow };
    }
    default:
      return { name, canRun: true, summary: 'needs nothing that is not in the package' };
  }
}

async function diagnoseWasm(): Promise<{ canRun: boolean; summary: string }> {
  try {
    const build = chooseBuild();
    const instructions = build === 'relaxed-simd' ? 'relaxed SIMD, with fused multiply-add' : 'SIMD, not relaxed SIMD';
    return { canRun: true, summary: `${instructions}; ${describeVectors(await compileModule(build))}` };
  } catch (error) {
    if (!(error instanceof GalvaniError)) throw error;
    return { canRun: false, summary: `expected ${error.parts.expected}, got ${error.parts.got}` };
  }
}

function describeVectors(module: WebAssembly.Module): string {
  if (hasWideVectors(module)) return 'vectors of 256 bits';
  return process.arch === 'x64' ? 'vectors of 128 bits (256 with Node 24 or newer and AVX2)' : 'vectors of 128 bits';
}

/** It answers in a second or two; over a broken driver it may hang. */
const smiMs = 20_000;

function listGpus(): Gpu[] {
  const query = ['--query-gpu=name,driver_version,memory.total,compute_cap', '--format=csv,noheader,nounits'];
  const { status, stdout } = spawnSync('nvidia-smi', query, { encoding: 'utf8', timeout: smiMs });
  if (status !== 0) return [];
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [name, driver, memory, computeCapability] = line.split(', ');
      return { name, driver, memory, computeCapability };
    });
}
