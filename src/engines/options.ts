/** Whether an engine can do what is asked of `load`: said the same way by every engine, and before anything is made. */
import { type Complaint, GalvaniError } from '../errors.js';
import type { Engine, LoadOptions } from './engine.js';

type Described = Pick<Engine, 'name' | 'capabilities'>;

/** What the engine cannot do of it, if anything. */
export function complaintAbout(
  { name, capabilities }: Described,
  { precision, deterministic, checkFinite, threads }: LoadOptions,
): Complaint | undefined {
  const { precisions, mostThreads } = capabilities;
  if (precision !== undefined && !precisions.includes(precision)) {
    return { expected: `precision ${precisions.join(' or ')} with engine ${name}`, got: precision };
  }
  if (deterministic && capabilities.deterministic === 'never') {
    return { expected: 'an engine whose results repeat bit for bit', got: name };
  }
  if (checkFinite && !capabilities.checksFinite) {
    return { expected: 'an engine that can check every result', got: name };
  }
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= mostThreads)) {
    const possible = mostThreads === 1 ? '1 compute thread' : `1 to ${mostThreads} compute threads`;
    return { expected: `${possible} with engine ${name}`, got: `${threads}` };
  }
  return undefined;
}

/** @throws GalvaniError for what the engine cannot do. */
export function checkOptions(engine: Described, options: LoadOptions): void {
  const complaint = complaintAbout(engine, options);
  if (complaint) throw wrongOption(complaint, 'Choose another engine or setting.');
}

export function wrongOption(complaint: Complaint, remedy: string): GalvaniError {
  return new GalvaniError({ stage: 'engine', ...complaint, remedy, kind: 'wrongUse' });
}
