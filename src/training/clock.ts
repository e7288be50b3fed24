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

export class RunClock {
  readonly #delay = monitorEventLoopDelay({ resolution: 5 });
  #startedAt = 0;
  #lapAt = 0;
  #lapWaitedMs = 0;

  start(): void {
    this.#startedAt = this.#lapAt = performance.now();
    this.#delay.enable();
  }

  stop(): void {
    this.#delay.disable();
  }

  /** Timing since the last lap. waitedMs: time spent waiting for batches since the beginning. */
  lap(steps: number, tokens: number, waitedMs: number): Timing {
    const ms = performance.now() - this.#lapAt;
    const waited = waitedMs - this.#lapWaitedMs;
    this.#lapAt += ms;
    this.#lapWaitedMs = waitedMs;
    return this.#timing(ms, steps, tokens, waited);
  }

  /** Timing of the whole. */
  total(steps: number, tokens: number, waitedMs: number): Timing {
    return this.#timing(performance.now() - this.#startedAt, steps, tokens, waitedMs);
  }

  #timing(ms: number, steps: number, tokens: number, waitedMs: number): Timing {
    return {
      seconds: (performance.now() - this.#startedAt) / 1000,
      step_ms: ms / steps,
      tokens_per_second: (tokens / ms) * 1000,
      stall_fraction: waitedMs / ms,
      event_loop_delay_p99_ms: this.#delay.percentile(99) / 1e6,
    };
  }
}
