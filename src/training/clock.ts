/** Where the time of a run goes: steps, waiting for batches, and how long the event loop was kept from its work. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface Timing {
  /** Since the loop began or went on. */
  readonly seconds: number;
  readonly step_ms: number;
  readonly tokens_per_second: number;
  /** Share of the time in which the loop waited for a batch. */
  readonly stall_fraction: number;
  readonly event_loop_delay_p99_ms: number;
}

interface Mark {
  readonly at: number;
  readonly steps: number;
  readonly tokens: number;
  readonly waitedMs: number;
}

export class RunClock {
  readonly #delay = monitorEventLoopDelay({ resolution: 5 });
  #steps = 0;
  #tokens = 0;
  #waitedMs = 0;
  #start = this.#mark();
  #lap = this.#start;

  start(): void {
    this.#start = this.#lap = this.#mark();
    this.#delay.enable();
  }

  stop(): void {
    this.#delay.disable();
  }

  /** Waits for a batch, and counts how long. */
  async waitFor<T>(batch: Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await batch;
    this.#waitedMs += performance.now() - start;
    return result;
  }

  /** When its outputs have been read. */
  countStep(tokens: number): void {
    this.#steps++;
    this.#tokens += tokens;
  }

  /** Timing since the last lap. */
  lap(): Timing {
    const since = this.#lap;
    this.#lap = this.#mark();
    return this.#timingSince(since);
  }

  /** Timing of the whole. */
  total(): Timing {
    return this.#timingSince(this.#start);
  }

  #mark(): Mark {
    return { at: performance.now(), steps: this.#steps, tokens: this.#tokens, waitedMs: this.#waitedMs };
  }

  #timingSince(mark: Mark): Timing {
    const ms = performance.now() - mark.at;
    return {
      seconds: (performance.now() - this.#start.at) / 1000,
      step_ms: ms / (this.#steps - mark.steps),
      tokens_per_second: ((this.#tokens - mark.tokens) / ms) * 1000,
      stall_fraction: (this.#waitedMs - mark.waitedMs) / ms,
      event_loop_delay_p99_ms: this.#delay.percentile(99) / 1e6,
    };
  }
}
