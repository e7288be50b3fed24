/** Small pairs of models with random weights and a vocabulary of plain words, for tests of folders and inference. */
import type { TrainedModel } from '../../src/formats/huggingface.js';
import { type ModelConfig, presetModel } from '../../src/model/config.js';
import { parametersOf } from '../../src/model/parameters.js';
import { sizeOf } from '../../src/ops/operation.js';
import { Tokenizer, type TokenizerOptions } from '../../src/text/tokenizer.js';
import { randomFloats } from '../random.js';

export const pieces = [
  ...['[PAD]', '10', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '9', 'the', 'jury', 'said', 'it', 'was', 'a', 'cat', '.'],
  ...[
    ',',
    '!',
    '(',
    ')',
    "'",
    '"',
    '-',
    '##s',
    '##ed',
    '##ing',
    'walk',
    'über',
    'uber',
    'Cat',
    '東',
    '京',
    '##é',
    '##e',
  ],
  ...['é', 'e', '[', ']', 'mask', 'cls', '##x', 'b', 'c', 'd', '##b', '##c', '##d', '😀', '\\', 'naive', 'word'],
];

/** A pair that reads `positions` tokens; weights are large enough that every one of them shows in the logits. */
export function tinyModel(positions = 12, vocabSize = pieces.length): ModelConfig {
  const { generator, discriminator } = presetModel('tiny', vocabSize);
  const common = { embedding_size: 8, max_position_embeddings: positions };
  return {
    tie_embeddings: true,
    generator: { ...generator, ...common, hidden_size: 8, num_attention_heads: 2, intermediate_size: 16 },
    discriminator: { ...discriminator, ...common, hidden_size: 12, num_attention_heads: 3, intermediate_size: 20 },
  };
}

/**
 * Every parameter random, norms and biases too, so that none can be left out unseen. Attention is sharp and layers add
 * little to what they are given: otherwise the tokens of a deep random model become one.
 */
export function randomWeights(model: ModelConfig, seed: number): Map<string, Float32Array> {
  return new Map(
    parametersOf(model).map(({ name, shape }, i) => {
      const into = shape.length === 2 ? shape[1] : 4;
      const size = /query|key/.test(name) ? 3 : /embeddings/.test(name) ? 1.5 : /predictions/.test(name) ? 2 : 0.6;
      const values = randomFloats(sizeOf(shape), seed + i, size / Math.sqrt(into));
      const isScale = /(LayerNorm|layer_norm)\.weight$/.test(name);
      return [name, isScale ? values.map((value) => 1 + value / 2) : values];
    }),
  );
}

export async function trainedPair(
  model: ModelConfig = tinyModel(),
  options: TokenizerOptions & { maxLength?: number; seed?: number } = {},
): Promise<TrainedModel> {
  const { maxLength, seed = 1, ...settings } = options;
  const size = model.discriminator.vocab_size;
  const filler = Array.from({ length: Math.max(0, size - pieces.length) }, (_, i) => `word${i}`);
  return {
    model,
    weights: randomWeights(model, seed),
    tokenizer: await Tokenizer.fromVocab([...pieces, ...filler].slice(0, size), settings),
    maxLength,
  };
}
