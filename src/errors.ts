/**
 * The one form of error that leaves Galvani: what was expected, what came, where, and what to do about it.
 *
 *   <stage>: expected <thing, unit>, got <value> (<where>). <What to do>
 *
 * Kernels return codes and positions; the border turns them into this. Anything else that escapes is a bug of ours.
 */

/** Exit codes of the command line. `badInput` must not be retried; `tryAgain` may be. */
export const exitCodes = { done: 0, failure: 1, wrongUse: 2, badInput: 42, tryAgain: 75 } as const;
export type ExitKind = Exclude<keyof typeof exitCodes, 'done'>;

export interface ErrorParts {
  /** The verb or room that found it: `prepare`, `shard`, `config`, … */
  stage: string;
  expected: string;
  got: string;
  /** File and offset, flag, step: whatever leads a person there. */
  where?: string;
  remedy: string;
  kind?: ExitKind;
  cause?: unknown;
}

/** What is wrong, said by one who does not know where, and what to do. */
export type Complaint = Pick<ErrorParts, 'expected' | 'got'>;

export class GalvaniError extends Error {
  override readonly name = 'GalvaniError';
  readonly stage: string;
  readonly kind: ExitKind;
  /** What it was made of, so that a worker can send it on: an error loses its class between threads. */
  readonly parts: ErrorParts;

  constructor(parts: ErrorParts) {
    const where = parts.where === undefined ? '' : ` (${parts.where})`;
    super(`${parts.stage}: expected ${parts.expected}, got ${parts.got}${where}. ${parts.remedy}`, {
      cause: parts.cause,
    });
    this.stage = parts.stage;
    this.parts = parts;
    this.kind = parts.kind ?? 'failure';
  }

  get exitCode(): number {
    return exitCodes[this.kind];
  }
}

/** The member of `known` that a person most likely meant (fewest edits, at most a third of the word), if any. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.ceil(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(substitution, previous[j] + 1, current[j - 1] + 1));
    }
    previous = current;
  }
  return previous[b.length];
}
