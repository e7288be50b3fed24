import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { GalvaniError } from '../../src/errors.js';
import {
  findModelFolders,
  modelOfOne,
  modelParts,
  readModelFolder,
  writeModelFolder,
  writeModelFolders,
} from '../../src/formats/huggingface.js';
import { readSafetensors, type StoredTensor, writeSafetensors } from '../../src/formats/safetensors.js';
import { readTokenizer } from '../../src/formats/tokenizerFiles.js';
import { keysOf } from '../../src/model/parameters.js';
import { Tokenizer } from '../../src/text/tokenizer.js';
import { pretrainCases } from './fixtures.js';
import { pieces, tinyModel, trainedPair } from './pair.js';

let folder: string;
let made = 0;
const fresh = () => path.join(folder, `folder-${made++}`);
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'galvani-huggingface-'));
});
after(() => rm(folder, { recursive: true }));

test('what is exported is read: both parts, configuration, every weight', async () => {
  const trained = await trainedPair();
  const output = fresh();
  await writeModelFolders(output, trained);
  const found = await findModelFolders(output);
  for (const part of modelParts) {
    const { config, weights, part: read } = await readModelFolder(found[part]!);
    assert.equal(read, part);
    assert.deepEqual(config, trained.model[part]);
    const keys = keysOf(trained.model, part);
    assert.deepEqual([...weights.keys()], [...keys.keys()]);
    for (const [key, name] of keys) assert.deepEqual(weights.get(key), trained.weights.get(name), key);
  }
});

for (const { name, folder: fixture } of pretrainCases()) {
  for (const part of modelParts) {
    test(`${name}/${part} as transformers wrote it comes out byte for byte when written again`, async () => {
      const source = path.join(fixture, part);
      const { config, weights } = await readModelFolder(source);
      const model = modelOfOne(config);
      const named = new Map([...keysOf(model, part)].map(([key, parameter]) => [parameter, weights.get(key)!]));
      const words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
      const vocabulary = [...words, ...Array.from({ length: config.vocab_size - words.length }, (_, i) => `w${i}`)];
      const output = fresh();
      const tokenizer = await Tokenizer.fromVocab(vocabulary);
      await writeModelFolder(output, part, { model, weights: named, tokenizer });
      const read = (root: string, file: string) => readFile(path.join(root, file));
      assert.ok((await read(output, 'model.safetensors')).equals(await read(source, 'model.safetensors')));
      const expected = JSON.parse(String(await read(source, 'config.json')));
      delete expected.transformers_version;
      // Not used by either model; the fixtures were made with 0.
      expected.summary_last_dropout = 0.1;
      assert.deepEqual(JSON.parse(String(await read(output, 'config.json'))), expected);
    });
  }
}

test('the tokenizer is read as it was written, from vocab.txt and from tokenizer.json alone', async () => {
  for (const options of [
    {},
    { lowercase: false },
    { lowercase: true, stripAccents: false },
    { profile: 'electra' },
  ] as const) {
    const output = fresh();
    const trained = await trainedPair(tinyModel(), { ...options, maxLength: 9 });
    await writeModelFolder(output, 'discriminator', trained);
    const first = (await readTokenizer(output))!;
    await rm(path.join(output, 'vocab.txt'));
    const second = (await readTokenizer(output))!;
    for (const { tokenizer, maxLength } of [first, second]) {
      assert.deepEqual(tokenizer.settings, trained.tokenizer.settings);
      assert.deepEqual(tokenizer.vocabulary.pieces, pieces);
      assert.equal(maxLength, 9);
    }
  }
});

test('a folder without a vocabulary has no tokenizer', async () => {
  assert.equal(await readTokenizer(path.join(pretrainCases()[0].folder, 'generator')), undefined);
});

test('an earlier export is replaced, another folder is not, and nothing stays beside', async () => {
  const output = fresh();
  await writeModelFolders(output, await trainedPair(tinyModel(), { seed: 1 }));
  const trained = await trainedPair(tinyModel(), { seed: 1000 });
  await writeModelFolders(`${output}${path.sep}`, trained);
  const { weights } = await readModelFolder(path.join(output, 'generator'));
  assert.deepEqual(weights.get('generator_lm_head.bias'), trained.weights.get('generator.generator_lm_head.bias'));
  await writeFile(path.join(output, 'notes.txt'), 'mine');
  await assert.rejects(writeModelFolders(output, trained), /an earlier export, got one that holds notes\.txt/);
  assert.equal(await readFile(path.join(output, 'notes.txt'), 'utf8'), 'mine');
  await assert.rejects(writeModelFolders(path.join(output, 'notes.txt'), trained), /an earlier export, got a file/);
  const beside = (await readdir(folder)).filter((name) => /\.(tmp|old)-/.test(name));
  assert.deepEqual(beside, []);
});

test('weights that do not belong to the model leave nothing behind', async () => {
  const trained = await trainedPair();
  const broken = new Map(trained.weights);
  broken.delete('discriminator.discriminator_predictions.dense.bias');
  const output = fresh();
  await assert.rejects(
    writeModelFolders(output, { ...trained, weights: broken }),
    /tensor discriminator\.discriminator_predictions\.dense\.bias of F32 \[12\], got none/,
  );
  const vocabulary = await Tokenizer.fromVocab(pieces.slice(0, -1));
  await assert.rejects(
    writeModelFolders(output, { ...trained, tokenizer: vocabulary }),
    new RegExp(`vocabulary of ${pieces.length} pieces, as the discriminator has, got ${pieces.length - 1}`),
  );
  const shifted = await Tokenizer.fromVocab(['x', ...pieces.slice(0, -1)]);
  await assert.rejects(writeModelFolders(output, { ...trained, tokenizer: shifted }), /\[PAD\] to be id 0, got id 1/);
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.startsWith(path.basename(output))),
    [],
  );
});

type Tensors = Map<string, StoredTensor>;
const words = 'electra.embeddings.word_embeddings.weight';

test('generator_lm_head.weight may be there if it is the word table', async () => {
  const copy = await generatorWith((tensors) => tensors.set('generator_lm_head.weight', tensors.get(words)!));
  const { weights } = await readModelFolder(copy);
  assert.ok(!weights.has('generator_lm_head.weight'));
  const other = await generatorWith((tensors) => {
    const { shape, values } = tensors.get(words)!;
    tensors.set('generator_lm_head.weight', { shape, values: values.map((value) => value + 1) as Float32Array });
  });
  await assert.rejects(readModelFolder(other), /generator_lm_head\.weight to equal the word embeddings/);
});

const bias = 'generator_predictions.dense.bias';
const damages: [string, (tensors: Tensors) => void, RegExp][] = [
  ['a missing tensor', (t) => t.delete(bias), /tensor generator_predictions\.dense\.bias of F32 \[8\], got none/],
  [
    'a tensor of another shape',
    (t) => t.set(bias, { shape: [2, 4], values: new Float32Array(8) }),
    /generator_predictions\.dense\.bias of F32 \[8\], got F32 \[2, 4\]/,
  ],
  ['a tensor of integers', (t) => t.set(bias, { shape: [8], values: new Int32Array(8) }), /F32 \[8\], got I32 \[8\]/],
];
for (const [name, damage, message] of damages) {
  test(`${name} is named with its file`, async () => {
    const copy = await generatorWith(damage);
    await assert.rejects(readModelFolder(copy), (error: Error) => {
      assert.match(error.message, message);
      assert.match(error.message, /model\.safetensors/);
      return error instanceof GalvaniError && error.kind === 'badInput';
    });
  });
}

const configs: [string, Record<string, unknown>, RegExp][] = [
  ['another kind of model', { model_type: 'bert' }, /model_type: .*config\.json/],
  [
    'another head',
    { architectures: ['ElectraForSequenceClassification'] },
    /got \["ElectraForSequenceClassification"\]/,
  ],
  ['another activation', { hidden_act: 'relu' }, /hidden_act/],
  ['another padding id', { pad_token_id: 3 }, /pad_token_id/],
  ['relative positions', { position_embedding_type: 'relative_key' }, /position_embedding_type/],
  ['heads that do not divide the width', { num_attention_heads: 3 }, /multiple of num_attention_heads, got 8 and 3/],
  ['a width that is not that of the weights', { embedding_size: 16 }, /of F32 \[\d+, 16\], got F32 \[\d+, 8\]/],
];
for (const [name, change, message] of configs) {
  test(`a config.json with ${name} is refused`, async () => {
    const copy = await generatorWith(() => {});
    const file = path.join(copy, 'config.json');
    await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), ...change }));
    await assert.rejects(readModelFolder(copy), message);
  });
}

test('a folder without a model, and one that is not there, are told apart', async () => {
  const empty = fresh();
  await mkdir(empty);
  await assert.rejects(findModelFolders(empty), /model: expected a model folder .*, got a folder without any/);
  await assert.rejects(findModelFolders(fresh()), /got no folder/);
});

test('a config.json that is cut is named', async () => {
  const copy = await generatorWith(() => {});
  await writeFile(path.join(copy, 'config.json'), '{"model_type": ');
  await assert.rejects(readModelFolder(copy), /expected a file of JSON.*config\.json/);
});

let exported: string | undefined;
async function generatorWith(change: (tensors: Tensors) => void): Promise<string> {
  if (exported === undefined) {
    exported = fresh();
    await writeModelFolder(exported, 'generator', await trainedPair());
  }
  const copy = fresh();
  await cp(exported, copy, { recursive: true });
  const file = path.join(copy, 'model.safetensors');
  const { tensors } = await readSafetensors(file);
  change(tensors);
  await writeSafetensors(file, tensors);
  return copy;
}
