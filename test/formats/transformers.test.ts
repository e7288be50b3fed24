import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { writeModelFolders } from '../../src/formats/huggingface.js';
import { presetModel } from '../../src/model/config.js';
import { needPython } from '../python.js';
import { tinyModel, trainedPair } from './pair.js';
import { checkExport } from './transformers.js';

const { python, skip } = needPython('torch', 'transformers', 'safetensors');
let folder: string;
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'galvani-transformers-'));
});
after(() => rm(folder, { recursive: true }));

test('transformers opens a tiny pair: equal ids, logits at its longest row', { skip }, async () => {
  const output = path.join(folder, 'tiny');
  await writeModelFolders(output, await trainedPair(presetModel('tiny', 300), { maxLength: 16 }));
  await checkExport(output, python, 128);
});

test('transformers opens a cased pair whose widths all differ', { skip }, async () => {
  const output = path.join(folder, 'cased');
  await writeModelFolders(output, await trainedPair(tinyModel(40), { lowercase: false }));
  await checkExport(output, python, 40);
});

test('transformers opens a pair that keeps accents in lower case', { skip }, async () => {
  const output = path.join(folder, 'accents');
  await writeModelFolders(output, await trainedPair(tinyModel(), { lowercase: true, stripAccents: false }));
  await checkExport(output, python, 12);
});

test('transformers opens a pair whose embeddings are not shared', { skip }, async () => {
  const output = path.join(folder, 'untied');
  await writeModelFolders(output, await trainedPair({ ...tinyModel(), tie_embeddings: false }));
  await checkExport(output, python, 12);
});

test('transformers opens a small pair at 128 tokens', { skip }, async () => {
  const output = path.join(folder, 'small');
  await writeModelFolders(output, await trainedPair(presetModel('small', 300)));
  await checkExport(output, python, 128);
});
