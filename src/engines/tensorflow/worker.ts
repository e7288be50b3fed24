/**
 * The thread that owns the binding and a session. It answers each message once, in their order, and is blocked while
 * one of them runs; nothing else happens in it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { type ErrorParts, GalvaniError } from '../../errors.js';
import { type Binding, type Candidate, openBinding } from './binding.js';
import { type Ran, type Run, Session, unsharedMemory } from './session.js';

export type Request =
  | { readonly kind: 'open' }
  | { readonly kind: 'load'; readonly directory: string }
  | ({ readonly kind: 'run' } & Run)
  | { readonly kind: 'close' };

/** What the request asked for, or what went wrong: of ours in its parts, of the library as its text. */
export type Answer = { readonly result: Opened | Ran | undefined } | { readonly error: ErrorParts | string };

export interface Opened {
  readonly version: string;
  readonly isGpu: boolean;
}

const port = parentPort!;
let binding: Binding;
let session: Session | undefined;

port.on('message', (request: Request) => {
  try {
    const result = carryOut(request);
    port.postMessage({ result } satisfies Answer, memoryOf(request, result));
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    port.postMessage({ error: error instanceof GalvaniError ? error.parts : text } satisfies Answer);
  }
});

/**
 * Memory that goes with the answer: of what was read, and of what came with the request. This thread makes so few objects
 * that it hardly ever collects garbage, and would keep the weights that it was sent.
 */
function memoryOf(request: Request, result: Opened | Ran | undefined): ArrayBuffer[] {
  if (request.kind !== 'run' || result === undefined || !('values' in result)) return [];
  return [...unsharedMemory(request.feeds.map(({ values }) => values)), ...unsharedMemory(result.values)];
}

function carryOut(request: Request): Opened | Ran | undefined {
  if (request.kind === 'open') {
    binding = openBinding(workerData as Candidate);
    return { version: binding.TF_Version, isGpu: binding.isUsingGpuDevice() };
  }
  if (request.kind === 'load') session = new Session(binding, request.directory);
  else if (request.kind === 'run') return session!.run(request);
  else session?.close();
  return undefined;
}
