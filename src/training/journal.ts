/**
 * What a run writes down while it trains. The loop hands it each step as it is submitted and never waits for a result:
 * outputs are read when the device has them, a few steps late, summed, and every `log_every` steps become a line.
 */
import type { Outputs } from '../engines/engine.js';
import { GalvaniError } from '../errors.js';
import type { CheckpointState } from './checkpoint.js';
import type { RunClock } from './clock.js';
import type { TrainingConfig } from './config.js';
import type { Evaluation } from './evaluation.js';
import { type MetricsLine, MetricsLog } from './metrics.js';
import { StepSums } from './sums.js';

export interface SubmittedStep {
  /** Updates done when its outputs are there: 1, 2, … */
  readonly number: number;
  /** Of its program, or of its micro-batches and the update. */
  readonly outputs: readonly Promise<Outputs>[];
  readonly maskedCount: number;
  readonly tokenCount: number;
  /** What else a line says that ends with this step. */
  readonly facts: Readonly<Record<string, number | string | readonly number[]>>;
}

/** Steps whose outputs may be unread at a time. */
const mostUnread = 4;

export class Journal {
  readonly #unread: SubmittedStep[] = [];
  #sums: StepSums;

  private constructor(
    private readonly log: MetricsLog,
    private readonly config: TrainingConfig,
    private readonly clock: RunClock,
    private readonly onLine: (line: MetricsLine) => void,
    sums: StepSums,
  ) {
    this.#sums = sums;
  }

  /** Opens the run's metrics where the checkpoint left them; the beginning without one. */
  static async open(
    run: string,
    config: TrainingConfig,
    from: CheckpointState | undefined,
    clock: RunClock,
    onLine: (line: MetricsLine) => void,
  ): Promise<Journal> {
    const log = await MetricsLog.open(run, from?.step ?? 0);
    return new Journal(log, config, clock, onLine, new StepSums(from?.sums));
  }

  /** @throws for an earlier step whose loss is no number, or that an engine failed at. */
  async add(step: SubmittedStep): Promise<void> {
    this.#unread.push(step);
    await this.#read(mostUnread);
  }

  /** Everything up to the last step is on the disk when it resolves; gives the sums that no line holds yet. */
  async settle(): Promise<Record<string, number>> {
    await this.#read(0);
    await this.log.sync();
    return this.#sums.save();
  }

  async addEvaluations(step: number, evaluations: Record<string, Evaluation>, seconds: number): Promise<void> {
    await this.#read(0);
    await this.#write({ step, kind: 'evaluation', ...evaluations, timing: { seconds } });
  }

  close(): Promise<void> {
    return this.log.close();
  }

  /** Reads all steps but the newest `most`, and writes the lines that become complete. */
  async #read(most: number): Promise<void> {
    const { log_every, num_train_steps } = this.config;
    while (this.#unread.length > most) {
      const { number, outputs, maskedCount, tokenCount, facts } = this.#unread.shift()!;
      const parts = await Promise.all(outputs).catch((error) => Promise.reject(errorAtStep(error, number)));
      this.#sums.add(number, parts, maskedCount, tokenCount);
      this.clock.countStep(tokenCount);
      if (number % log_every !== 0 && number !== num_train_steps) continue;
      const means = this.#sums.means(this.config);
      this.#sums = new StepSums();
      await this.#write({ step: number, kind: 'train', ...facts, ...means, timing: this.clock.lap() });
    }
  }

  async #write(line: MetricsLine): Promise<void> {
    await this.log.append(line);
    this.onLine(line);
  }
}

/** An engine does not know which step it is at. */
function errorAtStep(error: unknown, step: number): unknown {
  if (!(error instanceof GalvaniError)) return error;
  const { where, ...parts } = error.parts;
  return new GalvaniError({ ...parts, where: [`step ${step}`, ...(where ? [where] : [])].join(', ') });
}
