/**
 * Model folders as Hugging Face transformers writes and reads them: config.json, model.safetensors, the tokenizer's files.
 *
 * A folder holds one of the two models: `ElectraForPreTraining` is the discriminator, `ElectraForMaskedLM` the
 * generator, whose output layer is its word table (`generator_lm_head.weight` is not saved). A folder appears whole or
 * not at all. config.json is that of transformers 5.23.0, and model.safetensors has the bytes its save_pretrained gives.
 */
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { GalvaniError } from '../errors.js';
import { explainWriteError, publishFolder, writeFileDurably } from '../files.js';
import { type ElectraConfig, electraConfigSchema, type ModelConfig } from '../model/config.js';
import { keysOf, type ModelPart, parametersOf } from '../model/parameters.js';
import { sizeOf } from '../ops/operation.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { readJson } from './json.js';
import { readSafetensors, type StoredTensor, writeSafetensors } from './safetensors.js';
import { writeTokenizerFiles } from './tokenizerFiles.js';

export const modelParts: readonly ModelPart[] = ['discriminator', 'generator'];

const architectures: Record<ModelPart, string> = {
  discriminator: 'ElectraForPreTraining',
  generator: 'ElectraForMaskedLM',
};

/** Parameters by name (src/model/parameters.ts), flat. */
export type WeightsByName = ReadonlyMap<string, Float32Array>;

/** What is written; `maxLength` is the longest row the models were trained on (default: all their positions). */
export interface TrainedModel {
  readonly model: ModelConfig;
  readonly weights: WeightsByName;
  readonly tokenizer: Pick<Tokenizer, 'vocabulary' | 'settings'>;
  readonly maxLength?: number;
}

export interface ModelFolder {
  readonly directory: string;
  readonly part: ModelPart;
  readonly config: ElectraConfig;
  /** By Hugging Face key; exactly the keys of keysOf, each of its parameter's shape. */
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/**
 * Both models, as `output/discriminator` and `output/generator`. An earlier export in `output` is replaced once the new
 * one is whole; a folder with anything else in it is refused.
 */
export async function writeModelFolders(output: string, trained: TrainedModel): Promise<void> {
  // Without a slash at the end: other names are put beside it.
  output = path.resolve(output);
  const earlier = await listFolder(output);
  const foreign = earlier.find((name) => !modelParts.includes(name as ModelPart));
  if (foreign !== undefined) throw occupied(output, `one that holds ${foreign}`);
  await buildFolder(output, async (temporary) => {
    for (const part of modelParts) await writeParts(path.join(temporary, part), part, trained);
    if (earlier.length === 0) return publishFolder(temporary, output);
    const aside = `${output}.old-${process.pid}`;
    await rename(output, aside);
    await publishFolder(temporary, output).catch(async (error) => {
      await rename(aside, output).catch(() => {});
      throw error;
    });
    await rm(aside, { recursive: true });
  });
}

/** One model into a folder of its own, which is absent or empty before. */
export async function writeModelFolder(directory: string, part: ModelPart, trained: TrainedModel): Promise<void> {
  directory = path.resolve(directory);
  const [occupant] = await listFolder(directory);
  if (occupant !== undefined) throw occupied(directory, `one that holds ${occupant}`);
  await buildFolder(directory, async (temporary) => {
    await writeParts(temporary, part, trained);
    await publishFolder(temporary, directory);
  });
}

/** Where the two models lie in `directory`: in folders of their names, or one of them in `directory` itself. */
export async function findModelFolders(directory: string): Promise<Partial<Record<ModelPart, string>>> {
  const found: Partial<Record<ModelPart, string>> = {};
  for (const part of modelParts) {
    const inner = path.join(directory, part);
    if (await isFile(path.join(inner, 'config.json'))) found[part] = inner;
  }
  if (await isFile(path.join(directory, 'config.json'))) {
    const { part } = await readConfig(directory);
    found[part] ??= directory;
  }
  if (Object.keys(found).length > 0) return found;
  throw new GalvaniError({
    stage: 'model',
    expected: 'a model folder (config.json, or discriminator/ and generator/ with one each)',
    got: (await isFolder(directory)) ? 'a folder without any' : 'no folder',
    where: directory,
    remedy: 'Check the path, or make one with "galvani export".',
    kind: 'badInput',
  });
}

/** One model. Missing keys, wrong shapes and settings that Galvani does not have are named. */
export async function readModelFolder(directory: string): Promise<ModelFolder> {
  const { part, config } = await readConfig(directory);
  const file = path.join(directory, 'model.safetensors');
  const { tensors } = await readSafetensors(file);
  const weights = new Map<string, Float32Array>();
  for (const { key, shape } of keysWithShapes(modelOfOne(config), part)) {
    weights.set(key, floatsOf(tensors.get(key), key, shape, file));
  }
  if (part === 'generator') checkOutputLayer(tensors, weights, file);
  return { directory, part, config, weights };
}

/** The pair of which only one model is known: keysOf and the programs of that one need no more. */
export function modelOfOne(config: ElectraConfig): ModelConfig {
  return { tie_embeddings: false, generator: config, discriminator: config };
}

// Writing

async function buildFolder(directory: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${directory}.tmp-${process.pid}`;
  try {
    await mkdir(temporary, { recursive: true });
    await fill(temporary);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    throw explainWriteError(error, directory);
  }
}

async function writeParts(directory: string, part: ModelPart, trained: TrainedModel): Promise<void> {
  const { model, weights, tokenizer } = trained;
  const config = model[part];
  if (tokenizer.vocabulary.size !== config.vocab_size) {
    throw new GalvaniError({
      stage: 'export',
      expected: `a vocabulary of ${config.vocab_size} pieces, as the ${part} has`,
      got: `${tokenizer.vocabulary.size} pieces`,
      remedy: 'Export with the vocab.txt that the model was trained with.',
      kind: 'badInput',
    });
  }
  const tensors = new Map<string, StoredTensor>();
  // The order that Python's safetensors gives: names by their bytes.
  for (const { key, name, shape } of keysWithShapes(model, part).sort((a, b) => (a.key < b.key ? -1 : 1))) {
    tensors.set(key, { shape, values: floatsOf(storedOf(weights, name, shape), name, shape, 'weights to export') });
  }
  await mkdir(directory, { recursive: true });
  await writeFileDurably(path.join(directory, 'config.json'), configText(part, config));
  await writeSafetensors(path.join(directory, 'model.safetensors'), tensors, { format: 'pt' });
  await writeTokenizerFiles(directory, tokenizer, trained.maxLength ?? config.max_position_embeddings);
}

function storedOf(weights: WeightsByName, name: string, shape: readonly number[]): StoredTensor | undefined {
  const values = weights.get(name);
  if (values === undefined) return undefined;
  return { shape: values.length === sizeOf(shape) ? shape : [values.length], values };
}

function configText(part: ModelPart, config: ElectraConfig): string {
  const all: Record<string, unknown> = {
    ...config,
    add_cross_attention: false,
    architectures: [architectures[part]],
    bos_token_id: null,
    classifier_dropout: null,
    dtype: 'float32',
    eos_token_id: null,
    is_decoder: false,
    model_type: 'electra',
    summary_activation: 'gelu',
    summary_last_dropout: 0.1,
    summary_type: 'first',
    summary_use_proj: true,
    tie_word_embeddings: true,
    use_cache: true,
  };
  return `${JSON.stringify(Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1))), null, 2)}\n`;
}

function occupied(directory: string, got: string, cause?: unknown): GalvaniError {
  return new GalvaniError({
    stage: 'export',
    expected: 'an output folder that is absent, empty or an earlier export',
    got,
    where: directory,
    remedy: 'Choose another --output.',
    kind: 'wrongUse',
    cause,
  });
}

// Reading

/** What transformers takes for a field that config.json leaves out. */
const defaults: ElectraConfig = {
  vocab_size: 30522,
  embedding_size: 128,
  hidden_size: 256,
  num_hidden_layers: 12,
  num_attention_heads: 4,
  intermediate_size: 1024,
  hidden_act: 'gelu',
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
  max_position_embeddings: 512,
  type_vocab_size: 2,
  initializer_range: 0.02,
  layer_norm_eps: 1e-12,
  pad_token_id: 0,
};

const headSchema = z.looseObject({
  model_type: z.literal('electra'),
  architectures: z.array(z.string()).optional(),
  position_embedding_type: z.literal('absolute').optional(),
});

async function readConfig(directory: string): Promise<{ part: ModelPart; config: ElectraConfig }> {
  const file = path.join(directory, 'config.json');
  const json = await readJson(file);
  const head = headSchema.safeParse(json);
  if (!head.success) throw unfit(file, head.error);
  const named = head.data.architectures ?? [];
  const part = modelParts.find((candidate) => named.includes(architectures[candidate]));
  if (part === undefined) {
    throw new GalvaniError({
      stage: 'model',
      expected: `architectures with ${architectures.discriminator} or ${architectures.generator}`,
      got: JSON.stringify(named),
      where: file,
      remedy: 'Use the folder of a discriminator or a generator.',
      kind: 'badInput',
    });
  }
  const fields = Object.keys(defaults).filter((name) => name in head.data);
  const config = electraConfigSchema.safeParse({
    ...defaults,
    ...Object.fromEntries(fields.map((name) => [name, head.data[name]])),
  });
  if (!config.success) throw unfit(file, config.error);
  const { hidden_size: width, num_attention_heads: heads } = config.data;
  if (width % heads === 0) return { part, config: config.data };
  throw new GalvaniError({
    stage: 'model',
    expected: 'hidden_size to be a multiple of num_attention_heads',
    got: `${width} and ${heads}`,
    where: file,
    remedy: 'The file does not belong to a model that was trained; take another copy.',
    kind: 'badInput',
  });
}

function unfit(file: string, error: z.ZodError): GalvaniError {
  const [issue] = error.issues;
  return new GalvaniError({
    stage: 'model',
    expected: `an ELECTRA configuration that Galvani has`,
    got: `${issue.path.join('.')}: ${issue.message}`,
    where: file,
    remedy: 'Use a model with absolute positions, exact gelu, two token types and [PAD] as id 0.',
    kind: 'badInput',
  });
}

/** The output layer is the word table; a file may spell it out, but not another one. */
function checkOutputLayer(
  tensors: ReadonlyMap<string, StoredTensor>,
  weights: ReadonlyMap<string, Float32Array>,
  file: string,
): void {
  const output = tensors.get('generator_lm_head.weight');
  const words = weights.get('electra.embeddings.word_embeddings.weight');
  if (output === undefined || words === undefined) return;
  if (output.values.length === words.length && output.values.every((value, i) => value === words[i])) return;
  throw new GalvaniError({
    stage: 'model',
    expected: 'generator_lm_head.weight to equal the word embeddings',
    got: 'other values',
    where: file,
    remedy: 'Use a generator whose output layer is tied to its embeddings, as all released ones are.',
    kind: 'badInput',
  });
}

// Both ways

interface KeyWithShape {
  readonly key: string;
  /** The parameter it is saved from. */
  readonly name: string;
  readonly shape: readonly number[];
}

function keysWithShapes(model: ModelConfig, part: ModelPart): KeyWithShape[] {
  const shapes = new Map(parametersOf(model).map(({ name, shape }) => [name, shape]));
  return [...keysOf(model, part)].map(([key, name]) => ({ key, name, shape: shapes.get(name)! }));
}

function floatsOf(
  tensor: StoredTensor | undefined,
  name: string,
  shape: readonly number[],
  where: string,
): Float32Array {
  const fits = tensor?.shape.length === shape.length && shape.every((extent, axis) => extent === tensor.shape[axis]);
  if (fits && tensor.values instanceof Float32Array) return tensor.values;
  const type = tensor?.values instanceof Int32Array ? 'I32' : 'F32';
  throw new GalvaniError({
    stage: 'model',
    expected: `tensor ${name} of F32 [${shape.join(', ')}]`,
    got: tensor === undefined ? 'none of that name' : `${type} [${tensor.shape.join(', ')}]`,
    where,
    remedy: 'Weights and config.json must belong to one model.',
    kind: 'badInput',
  });
}

async function listFolder(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return [];
    if (code === 'ENOTDIR') throw occupied(directory, 'a file', error);
    throw explainWriteError(error, directory);
  }
}

async function isFile(file: string): Promise<boolean> {
  return (await stat(file).catch(() => undefined))?.isFile() === true;
}

async function isFolder(directory: string): Promise<boolean> {
  return (await stat(directory).catch(() => undefined))?.isDirectory() === true;
}
