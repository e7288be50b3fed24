/**
 * The thread that owns the binding and a session. It answers each message once, in their order, and is blocked while
 * one of them runs; nothing else happens in it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { type ErrorParts, GalvaniError } from '../../errors.js';
import { release } from '../../release.js';
import { type Binding, type Candidate, missing, openBinding } from './binding.js';
import { probeBinding } from './probe.js';
import { memoryOf, type Ran, type Run, Session } from './session.js';

export type Request =
  /** tries: in another process first, which the library may end. */
  | { readonly kind: 'open'; readonly tries: boolean }
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
    port.postMessage({ result } satisfies Answer, result && 'values' in result ? memoryOf(result.values) : []);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    port.postMessage({ error: error instanceof GalvaniError ? error.parts : text } satisfies Answer);
  }
});

function carryOut(request: Request): Opened | Ran | undefined {
  if (request.kind === 'open') {
    const candidate = workerData as Candidate;
    if (request.tries) expectNoCrash(candidate);
    binding = openBinding(candidate);
    return { version: binding.TF_Version, isGpu: binding.isUsingGpuDevice() };
  }
  if (request.kind === 'load') session = new Session(binding, request.directory);
  else if (request.kind === 'close') session?.close();
  else {
    const ran = session!.run(request);
    release(request.feeds.map(({ values }) => values));
    return ran;
  }
  return undefined;
}

/** What else hinders is said, and better, when the binding is opened here. */
function expectNoCrash(candidate: Candidate): void {
  const { hasCrashed, error } = probeBinding(candidate);
  if (hasCrashed) throw missing(error!.expected, error!.got, candidate.binding);
}
