/** Where the time of a run goes: steps, waiting for batches, and how long the event loop was kept from its work. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface Timing {
  /** Since the loop began or went on. */
  readonly seconds: number;
  readonly step_ms: number;
  readonly tokens_per_second: number;
  /** Share of the time in which the loop waited for a batch. */
  readonly stall_fraction: number;
  /** That time, summed over the steps, and the longest of one step. */
  readonly stalled_ms: number;
  readonly longest_stall_ms: number;
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
  /** Of one step: since the last lap, and before it. */
  #longestMs = 0;
  #longestBeforeMs = 0;
  #start = this.#mark();
  #lap = this.#start;

  start(): void {
    this.#start = this.#lap = this.#mark();
    this.#longestMs = this.#longestBeforeMs = 0;
    this.#delay.enable();
  }

  stop(): void {
    this.#delay.disable();
  }

  /** Waits for a batch, and counts how long. */
  async waitFor<T>(batch: Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await batch;
    const ms = performance.now() - start;
    this.#waitedMs += ms;
    this.#longestMs = Math.max(this.#longestMs, ms);
    return result;
  }

  /** When its outputs have been read. */
  countStep(tokens: number): void {
    this.#steps++;
    this.#tokens += tokens;
  }

  /** Timing since the last lap. */
  lap(): Timing {
    const timing = this.#timingSince(this.#lap, this.#longestMs);
    this.#lap = this.#mark();
    this.#longestBeforeMs = Math.max(this.#longestBeforeMs, this.#longestMs);
    this.#longestMs = 0;
    return timing;
  }

  /** Timing of the whole. */
  total(): Timing {
    return this.#timingSince(this.#start, Math.max(this.#longestBeforeMs, this.#longestMs));
  }

  #mark(): Mark {
    return { at: performance.now(), steps: this.#steps, tokens: this.#tokens, waitedMs: this.#waitedMs };
  }

  #timingSince(mark: Mark, longestMs: number): Timing {
    const ms = performance.now() - mark.at;
    return {
      seconds: (performance.now() - this.#start.at) / 1000,
      step_ms: ms / (this.#steps - mark.steps),
      tokens_per_second: ((this.#tokens - mark.tokens) / ms) * 1000,
      stall_fraction: (this.#waitedMs - mark.waitedMs) / ms,
      stalled_ms: this.#waitedMs - mark.waitedMs,
      longest_stall_ms: longestMs,
      event_loop_delay_p99_ms: this.#delay.percentile(99) / 1e6,
    };
  }
}
