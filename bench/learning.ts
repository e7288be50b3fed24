/**
 * Does it learn? The main job's run with three seeds, and what each knows of held-out documents. Run `npm start` first.
 *
 *   node dist/bench/learning.js [SEED …]        default: 0 1 2
 *
 * A run that is there already is measured as it is.
 */
import { defaultThreads } from '../src/cli/options.js';
import { formatTable } from '../src/report/table.js';
import { presetTraining, withSettings } from '../src/training/config.js';
import { reportHeldOut } from '../src/training/heldOut.js';
import { pretrain } from '../src/training/pretrain.js';

const data = 'runs/brown/data';
const seeds = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [0, 1, 2];
const rows = [
  [
    'seed',
    'steps',
    'minutes',
    'stalled',
    'frequency AUC',
    'own AUC',
    'token alone',
    'margin',
    '95 %',
    'NLL',
    'plateau',
    'accuracy',
  ],
];
for (const seed of seeds) {
  const output = seed === 0 ? 'runs/brown-tiny' : `runs/brown-tiny-${seed}`;
  const result = await pretrain({
    data,
    output,
    threads: defaultThreads(),
    configure: (size, saved) =>
      saved ?? withSettings(presetTraining('tiny', size), [{ name: 'seed', value: seed, from: 'bench' }]),
  });
  const { unigram, generator, comparison, plateau_nll } = await reportHeldOut(output, data);
  rows.push([
    String(seed),
    String(result.step),
    result.timing ? (result.timing.seconds / 60).toFixed(1) : '–',
    result.timing ? `${(100 * result.timing.stall_fraction).toFixed(3)} %` : '–',
    unigram.rtd_auc.toFixed(3),
    generator.rtd_auc.toFixed(3),
    comparison.baseline_auc.toFixed(3),
    comparison.margin.toFixed(3),
    `${comparison.margin_low.toFixed(3)} to ${comparison.margin_high.toFixed(3)}`,
    generator.masked_nll.toFixed(3),
    plateau_nll.toFixed(3),
    generator.masked_accuracy.toFixed(3),
  ]);
  process.stdout.write(`${formatTable(rows)}\n`);
}
