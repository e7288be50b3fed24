/**
 * The most memory that a process and all that it started took together, looked at four times a second (Linux).
 * Pages that several of them share count once; pages of mapped files do not, since the system can take them back.
 */
import { readdirSync, readFileSync } from 'node:fs';

const everyMs = 250;

export class MemoryWatch {
  readonly #timer: NodeJS.Timeout;
  #peakBytes = 0;

  constructor(private readonly pid: number) {
    this.#timer = setInterval(() => this.#look(), everyMs);
    this.#look();
  }

  /** @returns the peak, in bytes: 0 where it cannot be known. */
  stop(): number {
    this.#look();
    clearInterval(this.#timer);
    return this.#peakBytes;
  }

  #look(): void {
    const bytes = withDescendants(this.pid).reduce((sum, pid) => sum + ownBytes(pid), 0);
    this.#peakBytes = Math.max(this.#peakBytes, bytes);
  }
}

function withDescendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const pid of readdirSync('/proc').map(Number).filter(Number.isInteger)) {
    // Its name, in brackets, may hold anything; behind it come the state and the parent.
    const parent = Number(/\) \S (\d+) /.exec(readIfThere(`/proc/${pid}/stat`))?.[1]);
    children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const found = [root];
  for (const pid of found) found.push(...(children.get(pid) ?? []));
  return found;
}

function ownBytes(pid: number): number {
  const fields = readIfThere(`/proc/${pid}/smaps_rollup`).matchAll(/^Pss_(?:Anon|Shmem): +(\d+) kB$/gm);
  return [...fields].reduce((sum, [, kilobytes]) => sum + 1024 * Number(kilobytes), 0);
}

/** Processes end while they are looked at. */
function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
