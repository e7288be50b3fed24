/** Weights that training made, exported by the command's function, mean the same in Python's transformers. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { writeBrownText } from '../../examples/brown-text.js';
import { listInputs } from '../../src/corpus/inputs.js';
import { prepare } from '../../src/corpus/prepare.js';
import { trainVocabulary } from '../../src/corpus/vocabulary.js';
import { writeFileDurably } from '../../src/files.js';
import { presetTraining, withSettings } from '../../src/training/config.js';
import { exportRun } from '../../src/training/export.js';
import { pretrain } from '../../src/training/pretrain.js';
import { checkExport } from '../formats/transformers.js';
import { needPython } from '../python.js';

const { python, skip } = needPython('torch', 'transformers', 'safetensors');
let folder: string;
before(async () => {
  if (skip) return;
  folder = await mkdtemp(path.join(os.tmpdir(), 'galvani-trained-'));
  const text = path.join(folder, 'text');
  const files = writeBrownText(text)
    .slice(0, 40)
    .map((id) => path.join(text, `${id}.txt`));
  const { vocabulary } = await trainVocabulary(listInputs(files, []), { size: 1024, threads: 2 });
  const vocabularyFile = path.join(folder, 'vocab.txt');
  await writeFileDurably(vocabularyFile, vocabulary.pieces.map((piece) => `${piece}\n`).join(''));
  await prepare({
    inputs: files,
    vocabulary: vocabularyFile,
    output: path.join(folder, 'data'),
    profile: 'huggingface',
    lowercase: true,
    documents: 'file',
    threads: 2,
    shardTokens: 1e6,
  });
});
after(async () => {
  if (!skip) await rm(folder, { recursive: true });
});

/** Trains and exports; returns the folder with both models. */
async function train(preset: string, settings: Record<string, unknown>): Promise<string> {
  const output = path.join(folder, preset);
  const wanted = Object.entries(settings).map(([name, value]) => ({ name, value, from: 'test' }));
  await pretrain({
    data: path.join(folder, 'data'),
    output,
    configure: (size) => withSettings(presetTraining(preset, size), wanted),
  });
  const exported = path.join(folder, `${preset}-model`);
  await exportRun(output, exported, () => {});
  return exported;
}

test('transformers reads the main job’s tiny as we do, after 500 of its steps', { skip }, async () => {
  await checkExport(await train('tiny', { num_train_steps: 500, evaluate_every: 500 }), python, 128);
});

test('transformers reads a small as we do, after a few steps at T 128', { skip }, async () => {
  const settings = { num_train_steps: 4, batch_size: 8, micro_batch_size: 8, warmup_steps: 1, validation_fraction: 0 };
  await checkExport(await train('small', settings), python, 128);
});
