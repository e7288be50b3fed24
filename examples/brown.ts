/**
 * The main job (`npm start`): a real English corpus, from text to a model that spots replaced words.
 *
 *   Brown corpus → vocabulary → token shards → a tiny ELECTRA → held-out figures → model folders → marked sentences
 *
 * Every stage is what the command of its name calls. Run again, it goes on where it was, or says that it is done.
 */
import { existsSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import { listInputs } from '../src/corpus/inputs.js';
import { prepare } from '../src/corpus/prepare.js';
import { trainVocabulary } from '../src/corpus/vocabulary.js';
import { exitCodes, GalvaniError } from '../src/errors.js';
import { writeFileDurably } from '../src/files.js';
import { formatBytes, formatCount, formatSeconds } from '../src/report/table.js';
import { presetTraining, withSettings } from '../src/training/config.js';
import { describeMetrics } from '../src/training/describe.js';
import { exportRun } from '../src/training/export.js';
import { type HeldOutReport, reportHeldOut } from '../src/training/heldOut.js';
import { type PretrainEvent, pretrain } from '../src/training/pretrain.js';
import { showSentences } from './brown-sentences.js';
import { writeBrownText } from './brown-text.js';

const vocabularySize = 1024;
const folders = {
  text: 'runs/brown/text',
  vocabulary: 'runs/brown/vocab.txt',
  data: 'runs/brown/data',
  run: 'runs/brown-tiny',
  model: 'runs/brown-tiny/model',
};

async function main(): Promise<void> {
  const start = performance.now();
  heading('1. Text', 'the Brown corpus: American English of 1961, 500 documents', folders.text);
  await writeText();
  heading('2. Vocabulary', `${vocabularySize} word pieces, learned from that text`, folders.vocabulary);
  await writeVocabulary();
  heading('3. Token shards', 'every document as ids, in Arrow files', folders.data);
  await writeShards();
  heading('4. Pre-training', 'a generator fills masked tokens, a discriminator spots what was replaced', folders.run);
  if (!(await train())) return;
  heading('5. Held-out documents', 'text that the model has never seen');
  printReport(await reportHeldOut(folders.run, folders.data));
  heading('6. Model folders', 'for Hugging Face transformers: AutoModel.from_pretrained reads them', folders.model);
  await exportRun(folders.run, folders.model, (message) => console.error(message));
  heading('7. Held-out sentences', 'with some of their pieces replaced: which does the model suspect?');
  await showSentences(
    folders.model,
    folders.text,
    folders.data,
    presetTraining('tiny', vocabularySize).validation_fraction,
  );
  console.log(`\nAll of it took ${formatSeconds((performance.now() - start) / 1000)}. Ask the model yourself:`);
  console.log(`  npx galvani detect --model ${folders.model} "The jury said the election was held in the milk ."`);
}

function heading(title: string, what: string, where?: string): void {
  console.log(`\n${title} – ${what}${where === undefined ? '' : `  (${where})`}`);
}

async function writeText(): Promise<void> {
  if (!existsSync(folders.text)) {
    const beside = `${folders.text}.tmp-${process.pid}`;
    writeBrownText(beside);
    await rename(beside, folders.text);
  }
  console.log(`   ${(await readdir(folders.text)).length} documents`);
}

async function writeVocabulary(): Promise<void> {
  if (existsSync(folders.vocabulary)) {
    console.log('   already there');
    return;
  }
  const { vocabulary, report } = await trainVocabulary(listInputs([folders.text], []), {
    size: vocabularySize,
    threads: 2,
  });
  await writeFileDurably(folders.vocabulary, vocabulary.pieces.map((piece) => `${piece}\n`).join(''));
  console.log(
    `   ${report.piecesPerWord.toFixed(2)} pieces a word, ${(100 * report.unknownFraction).toFixed(2)} % unknown`,
  );
}

async function writeShards(): Promise<void> {
  const { manifest, wasThere } = await prepare({
    inputs: [folders.text],
    vocabulary: folders.vocabulary,
    output: folders.data,
    profile: 'huggingface',
    lowercase: true,
    documents: 'file',
    threads: 2,
    shardTokens: 100e6,
  });
  const bytes = manifest.inputs.reduce((sum, input) => sum + input.bytes, 0);
  console.log(
    wasThere ? '   already there' : `   ${formatBytes(bytes)} became ${formatCount(manifest.counts.tokens)} tokens`,
  );
}

/** @returns false when it was stopped; what is there is kept. */
async function train(): Promise<boolean> {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort());
  const result = await pretrain({
    data: folders.data,
    output: folders.run,
    configure: (size, saved) => withSettings(saved ?? presetTraining('tiny', size), []),
    signal: controller.signal,
    onEvent: printEvent,
  });
  if (!result.isDone) {
    console.log(`   stopped after step ${result.step}; "npm start" goes on from there`);
    process.exitCode = exitCodes.tryAgain;
    return false;
  }
  if (!result.timing) console.log(`   done before: ${result.step} steps. Remove ${folders.run} to train again.`);
  else {
    const { seconds, stall_fraction, event_loop_delay_p99_ms } = result.timing;
    console.log(
      `   ${formatSeconds(seconds)}; waited for data ${percent(stall_fraction)} of the time; ` +
        `event loop late by at most ${event_loop_delay_p99_ms.toFixed(1)} ms (99 %)`,
    );
  }
  return true;
}

function printEvent(event: PretrainEvent): void {
  if (event.kind === 'warning') console.error(event.message);
  if (event.kind === 'begin' && event.step > 0) console.log(`   goes on after step ${event.step}`);
  if (event.kind === 'metrics') console.log(`   ${describeMetrics(event.line).replaceAll('\n', '\n   ')}`);
}

function printReport({ unigram, generator, comparison, plateau_nll }: HeldOutReport): void {
  const { baseline_auc, margin, margin_low, margin_high } = comparison;
  console.log(`   AUC is how often a replaced token is rated above a true one; 0.5 is guessing.
   replacements drawn by frequency   AUC ${unigram.rtd_auc.toFixed(3)}   (a guess without context: 0.500)
   the generator's own replacements  AUC ${generator.rtd_auc.toFixed(3)}   (a guess from the token alone: ${baseline_auc.toFixed(3)};
                                     margin ${margin.toFixed(3)}, 95 % interval ${margin_low.toFixed(3)} to ${margin_high.toFixed(3)})
   the generator's guesses           ${percent(generator.masked_accuracy)} right, ${generator.masked_nll.toFixed(2)} nats each
                                     (${plateau_nll.toFixed(2)} nats and 0.19 right are a plateau that needs no learning:
                                     copy what was left visible, else guess by frequency)
   of its decisions                  ${percent(generator.rtd_accuracy)} right (all "original": ${percent(1 - generator.replaced / generator.tokens)}), precision ${percent(generator.rtd_precision)}, recall ${percent(generator.rtd_recall)}`);
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`;
}

try {
  await main();
} catch (error) {
  if (!(error instanceof GalvaniError)) throw error;
  console.error(error.message);
  process.exitCode = error.exitCode;
} finally {
  await rm(`${folders.text}.tmp-${process.pid}`, { recursive: true, force: true });
}
