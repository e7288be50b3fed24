/**
 * Sums over the steps since the last line of metrics. They go into checkpoints, so that a run that was killed between
 * two lines writes the same line.
 */
import type { Outputs } from '../engines/engine.js';
import { GalvaniError } from '../errors.js';
import { lossEpsilon } from '../ops/maskedLmHead.js';
import type { TrainingConfig } from './config.js';

const names = [
  'steps',
  'tokens',
  'masked',
  'nll',
  'rtd',
  'maskedHits',
  'right',
  'found',
  'said',
  'replaced',
  'norm',
] as const;
type Name = (typeof names)[number];

export class StepSums {
  readonly #sums: Record<Name, number>;

  /** From nothing, or from what `save` gave. */
  constructor(saved: Readonly<Record<string, number>> = {}) {
    this.#sums = Object.fromEntries(names.map((name) => [name, saved[name] ?? 0])) as Record<Name, number>;
  }

  save(): Record<string, number> {
    return { ...this.#sums };
  }

  /** Adds one step: the outputs of its program, or of its micro-batches and update. @throws for a loss that is no number. */
  add(step: number, parts: readonly Outputs[], masked: number, tokens: number): void {
    const sums = this.#sums;
    sums.steps++;
    sums.tokens += tokens;
    sums.masked += masked;
    for (const outputs of parts) {
      if (outputs.mlmLoss) {
        refuseNonFinite(step, 'masked-LM loss', outputs.mlmLoss[0]);
        refuseNonFinite(step, 'replaced-token loss', outputs.rtdLoss[0]);
        sums.nll += outputs.mlmLoss[0] * (masked + lossEpsilon);
        sums.rtd += outputs.rtdLoss[0] * (tokens + lossEpsilon);
        sums.maskedHits += outputs.mlmHits[0];
        sums.right += outputs.rtdHits[0];
        sums.found += outputs.rtdHits[1];
        sums.said += outputs.rtdHits[2];
        sums.replaced += outputs.rtdHits[3];
      }
      if (outputs.gradientNorm) {
        refuseNonFinite(step, 'gradient norm', outputs.gradientNorm[0]);
        sums.norm += outputs.gradientNorm[0];
      }
    }
  }

  means(config: TrainingConfig): Record<string, number> {
    const sums = this.#sums;
    const mlm = sums.nll / sums.masked;
    const rtd = sums.rtd / sums.tokens;
    return {
      loss: config.gen_weight * mlm + config.disc_weight * rtd,
      mlm_loss: mlm,
      masked_accuracy: sums.maskedHits / sums.masked,
      rtd_loss: rtd,
      rtd_accuracy: sums.right / sums.tokens,
      rtd_precision: sums.said === 0 ? 0 : sums.found / sums.said,
      rtd_recall: sums.replaced === 0 ? 0 : sums.found / sums.replaced,
      replaced_fraction: sums.replaced / sums.tokens,
      gradient_norm: sums.norm / sums.steps,
    };
  }
}

/** A loss that is no number ends the run before a checkpoint can hold what came of it. */
function refuseNonFinite(step: number, what: string, value: number): void {
  if (Number.isFinite(value)) return;
  throw new GalvaniError({
    stage: 'step',
    expected: `a finite ${what}`,
    got: String(value),
    where: `step ${step}`,
    remedy:
      'Lower learning_rate and run again; it goes on from the newest checkpoint: remove one that is spoiled already. ' +
      'With --check-finite it names the first operation.',
  });
}
