/**
 * The engine for CUDA GPUs, and for CPUs with TensorFlow: programs are written as one TensorFlow graph, variables stay
 * on the device, and a step is one call of a session that a thread of its own makes. The library is not part of the
 * project and is loaded only when this engine is asked for.
 */
import { sizeOf } from '../../ops/operation.js';
import { planMemory } from '../../program/memory.js';
import type { Program } from '../../program/program.js';
import { formatBytes } from '../../report/table.js';
import type { Engine, LoadOptions } from '../engine.js';
import { checkOptions } from '../options.js';
import { sharedVariables } from '../programs.js';
import { findBinding } from './binding.js';
import { emit } from './emission.js';
import { hostBytes, prepareEnvironment } from './environment.js';
import { explain, outOfMemory } from './explain.js';
import { measurePeak } from './peak.js';
import { TensorflowRuntime } from './runtime.js';
import { loadSavedModel } from './savedModel.js';
import { SessionThread } from './thread.js';

export const tensorflowEngine: Engine = {
  name: 'tensorflow',
  capabilities: {
    precisions: ['float32', 'bfloat16'],
    mostThreads: 1024,
    // On a GPU when asked for; on a CPU always, for one number of threads.
    deterministic: 'on request',
    checksFinite: false,
    exactDraws: true,
    // What the device has shows only when it refuses.
    maxBytes: Number.POSITIVE_INFINITY,
  },
  load,
  measurePeak,
};

type Programs = Readonly<Record<string, Program>>;

async function load(programs: Programs, options: LoadOptions = {}): Promise<TensorflowRuntime> {
  const { threads, precision = 'float32', deterministic = false, onNotice = () => {} } = options;
  checkOptions(tensorflowEngine, options);
  const candidate = findBinding();
  const poolThreads = prepareEnvironment({ threads, deterministic, device: candidate.device });
  const thread = new SessionThread(candidate);
  try {
    const { version, isGpu } = await thread.open();
    if (!isGpu) checkMemory(programs);
    const start = performance.now();
    const count = Object.keys(programs).length;
    const all = count === 1 ? '1 program' : `${count} programs`;
    const library = `tensorflow ${version} ${isGpu ? 'gpu' : 'cpu'}`;
    if (isGpu && !deterministic)
      onNotice(`${library}: results do not repeat bit for bit, after a resume neither; with --deterministic they do`);
    onNotice(`${library}: loads ${all} and runs each once, so that no step waits for the library to look at it`);
    const emitted = emit(programs, precision === 'bfloat16' ? 'bfloat16' : 'float32');
    await loadSavedModel(thread, emitted.savedModel).catch((cause) => {
      throw explain(cause, programs, 'loading');
    });
    // What decides the last bits: on the CPU sums are split among threads.
    const forms = isGpu ? (deterministic ? ' deterministic' : '') : ` threads ${poolThreads}`;
    const build = `${library} ${precision}${forms}`;
    const runtime = new TensorflowRuntime(build, programs, emitted, thread);
    await runtime.warmUp();
    onNotice(`${library}: ready after ${((performance.now() - start) / 1000).toFixed(1)} s`);
    return runtime;
  } catch (error) {
    await thread.close();
    throw error;
  }
}

/** Where the host's memory is the device's: more than there is would not be refused, it would end the process. */
function checkMemory(programs: Programs): void {
  const there = hostBytes();
  const variableBytes = [...sharedVariables(programs).values()].reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
  for (const [name, program] of Object.entries(programs)) {
    const bytes = variableBytes + planMemory(program).bytes;
    if (bytes > there) throw outOfMemory(bytes, `${formatBytes(there)} of the machine`, `program ${name}`, program);
  }
}
