/** A line of metrics as a line for people. */
import type { Evaluation } from './evaluation.js';
import type { MetricsLine } from './metrics.js';

export function describeMetrics(line: MetricsLine): string {
  if (line.kind === 'evaluation') {
    return [
      `step ${line.step} held out, replacements by frequency: ${describeEvaluation(line.unigram as Evaluation)}`,
      `step ${line.step} held out, the generator's own:       ${describeEvaluation(line.generator as Evaluation)}`,
    ].join('\n');
  }
  const number = (name: string, digits: number) => (line[name] as number).toFixed(digits);
  const { step_ms, tokens_per_second } = line.timing as Record<string, number>;
  return (
    `step ${line.step}  loss ${number('loss', 3)}  generator ${number('mlm_loss', 3)} (${percent(line.masked_accuracy)} right)` +
    `  discriminator ${number('rtd_loss', 4)} (${percent(line.rtd_accuracy)} right)` +
    `  ${step_ms.toFixed(1)} ms a step, ${Math.round(tokens_per_second).toLocaleString('en-US')} tokens/s`
  );
}

function describeEvaluation(evaluation: Evaluation): string {
  return (
    `AUC ${(evaluation.rtd_auc ?? Number.NaN).toFixed(3)}, accuracy ${percent(evaluation.rtd_accuracy)}, precision ${percent(evaluation.rtd_precision)}, ` +
    `recall ${percent(evaluation.rtd_recall)}; masked NLL ${evaluation.masked_nll.toFixed(3)}, accuracy ${percent(evaluation.masked_accuracy)}`
  );
}

function percent(value: unknown): string {
  return `${((value as number) * 100).toFixed(1)} %`;
}
