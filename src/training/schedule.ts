/**
 * The learning rate of a step. `official` is the original's: warm-up and decay multiply, so the rate is 0 at step 0 and
 * the peak is never quite reached. `trapezoid` rises, stays, and falls in the last part, for short runs.
 * Source: google-research/electra 8a46635, model/optimization.py.
 */
import type { TrainingConfig } from './config.js';

export interface Schedule {
  readonly kind: TrainingConfig['lr_schedule'];
  readonly learningRate: number;
  readonly steps: number;
  readonly warmupSteps: number;
  /** `official`: the power of the decay. */
  readonly decayPower: number;
  /** `trapezoid`: the share of the steps at the end in which the rate falls to 0. */
  readonly cooldownFraction: number;
}

/** Rate of step t = 0, 1, …: what the update of that step is multiplied by. */
export function learningRateAt(schedule: Schedule, t: number): number {
  const { kind, learningRate, steps, warmupSteps, decayPower, cooldownFraction } = schedule;
  if (kind === 'official') {
    const decay = (1 - Math.min(t, steps) / steps) ** decayPower;
    return learningRate * decay * (warmupSteps > 0 ? Math.min(1, t / warmupSteps) : 1);
  }
  const rise = warmupSteps > 0 ? Math.min(1, (t + 1) / warmupSteps) : 1;
  const fall = cooldownFraction > 0 ? Math.min(1, (steps - t) / (cooldownFraction * steps)) : 1;
  return learningRate * Math.max(0, Math.min(rise, fall));
}

export function scheduleOf(config: TrainingConfig): Schedule {
  return {
    kind: config.lr_schedule,
    learningRate: config.learning_rate,
    steps: config.num_train_steps,
    warmupSteps: config.warmup_steps,
    decayPower: config.lr_decay_power,
    cooldownFraction: config.lr_cooldown_fraction,
  };
}
