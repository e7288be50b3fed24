/**
 * The default engine: AssemblyScript kernels on one shared memory, a team of worker threads that walks a tape, one
 * call a step. Bit-equal for any number of threads on one build of the module.
 */
import { availableParallelism } from 'node:os';
import { TapeLayout } from '../../../assembly/compute/opcodes.js';
import { GalvaniError } from '../../errors.js';
import type { Program } from '../../program/program.js';
import type { Engine, LoadOptions, Runtime } from '../engine.js';
import { checkOptions } from '../options.js';
import { chooseBuild, compileModule } from './build.js';
import type { WasmBuild } from './features.js';
import { type Layout, layOut, mostBytes, pageBytes } from './layout.js';
import { measureBandwidth, measurePeak } from './peak.js';
import { WasmRuntime } from './runtime.js';
import { Team } from './team.js';
import { hasWideVectors } from './wide.js';

/**
 * build: forces one of the two modules; by default the best that the runtime has. isWide: forces one of the two
 * microkernels, whose results are the same bits; by default the faster one.
 */
export function createWasmEngine(build?: WasmBuild, isWide?: boolean): Engine {
  const engine: Engine = {
    name: 'wasm',
    capabilities: {
      precisions: ['float32'],
      mostThreads: 1024,
      deterministic: 'always',
      checksFinite: true,
      exactDraws: true,
      maxBytes: mostBytes,
    },
    async load(programs, options = {}) {
      checkOptions(engine, options);
      return load(programs, options, build, isWide);
    },
    measurePeak: ({ threads = availableParallelism() } = {}) => measurePeak(build ?? chooseBuild(), threads),
    measureBandwidth: ({ threads = availableParallelism() } = {}) => measureBandwidth(build ?? chooseBuild(), threads),
  };
  return engine;
}

export const wasmEngine: Engine = createWasmEngine();

async function load(
  programs: Readonly<Record<string, Program>>,
  { threads = availableParallelism(), checkFinite }: LoadOptions,
  forced?: WasmBuild,
  forcedWide?: boolean,
): Promise<Runtime> {
  // Chosen in any case: it sets the flag that the relaxed build needs and refuses what cannot run.
  const best = chooseBuild();
  const build = forced ?? best;
  const module = await compileModule(build);
  const layout = layOut(programs, threads, checkFinite);
  const memory = allocate(layout);
  const isWide = forcedWide ?? hasWideVectors(module);
  for (const { tapes } of layout.programs.values()) {
    for (const { address, words } of tapes) {
      const tape = new Int32Array(memory.buffer, address, words.length);
      tape.set(words);
      tape[TapeLayout.WideWord] = isWide ? 1 : 0;
    }
  }
  const team = await Team.start({ module, memory, control: layout.control, scratch: layout.scratch });
  return new WasmRuntime(`wasm ${build}`, layout, memory, team);
}

function allocate({ totalBytes }: Layout): WebAssembly.Memory {
  const pages = totalBytes / pageBytes;
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (cause) {
    throw new GalvaniError({
      stage: 'wasm',
      expected: `${(totalBytes / 2 ** 20).toFixed(0)} MiB of memory`,
      got: 'a refusal of the machine',
      remedy: 'Choose a smaller --micro-batch-size or model, or close what else uses memory.',
      cause,
    });
  }
}
