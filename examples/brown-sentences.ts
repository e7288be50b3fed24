/**
 * Held-out sentences with tokens replaced by seeded draws, and what the trained discriminator says of each token:
 * found, missed, or suspected although nobody touched it.
 */
import { createColors } from 'picocolors';
import { openLoader } from '../src/batching/loader.js';
import { loadModel } from '../src/inference/model.js';
import { wantsColour } from '../src/report/tokens.js';
import { requireRun } from '../src/training/run.js';

/** A token is marked from this probability on; about every eighth is replaced. */
const threshold = 0.3;
const sentences = 10;
/** Rows are taken this far apart, so that they come from many documents. */
const stride = 7;

export async function showSentences(modelFolder: string, data: string, run: string): Promise<void> {
  const { training } = await requireRun(run);
  const loader = await openLoader({
    data,
    batchSize: sentences * stride,
    sequenceLength: training.sequence_length,
    maskProb: training.mask_prob,
    replacement: 'frequency',
    validationFraction: training.validation_fraction,
    split: 'validation',
  });
  const model = await loadModel(modelFolder);
  const colours = createColors(wantsColour());
  const tally = { found: 0, missed: 0, suspected: 0 };
  try {
    const batch = await loader.next();
    if (!batch?.given) throw new Error('internal: no held-out batch');
    for (let row = 0; row < batch.B; row += stride) {
      const original = batch.ids.slice(row * batch.T, row * batch.T + batch.lengths[row]);
      const corrupted = original.slice();
      for (let n = row * batch.N; n < row * batch.N + batch.counts[row]; n++)
        corrupted[batch.places[n]] = batch.given[n];
      const [logits] = await model.discriminate([corrupted]);
      let line = '';
      for (let i = 1; i < corrupted.length - 1; i++) {
        const piece = model.tokenizer.idToToken(corrupted[i]) ?? '';
        const isReplaced = corrupted[i] !== original[i];
        const isMarked = 1 / (1 + Math.exp(-logits[i])) >= threshold;
        if (isReplaced) tally[isMarked ? 'found' : 'missed']++;
        else if (isMarked) tally.suspected++;
        line += mark(piece, isReplaced, isMarked, i === 1);
      }
      console.log(`   ${line}`);
    }
    batch.release();
  } finally {
    await loader.close();
    await model.close();
  }
  const { found, missed, suspected } = tally;
  console.log(
    `   ${colours.green('[found]')} ${found}   ${colours.red('{missed}')} ${missed}   ${colours.yellow('(suspected)')} ${suspected} that nobody replaced`,
  );

  function mark(piece: string, isReplaced: boolean, isMarked: boolean, isFirst: boolean): string {
    const isContinued = piece.startsWith('##') && !isFirst;
    const text = isContinued ? piece.slice(2) : piece;
    const gap = isFirst || isContinued ? '' : ' ';
    if (isReplaced) return gap + (isMarked ? colours.green(`[${text}]`) : colours.red(`{${text}}`));
    return gap + (isMarked ? colours.yellow(`(${text})`) : text);
  }
}
