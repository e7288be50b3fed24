/**
 * Model configurations, with Hugging Face's names and meanings, and the presets.
 *
 * Shape letters, here and in all docstrings: B rows of a batch, T places of a row, N masked places of a row, S segments
 * of a row, V pieces of the vocabulary, E width of the embeddings, H width of the encoder, A heads.
 * Sizes of the presets: google-research/electra 8a46635, util/training_utils.py and run_pretraining.py; `tiny` is ours
 * (LOG.md): what two CPU cores can teach something in minutes.
 */
import { z } from 'zod';
import { GalvaniError } from '../errors.js';

const extent = z.int().positive();
const probability = z.number().min(0).lt(1);

export const electraConfigSchema = z.strictObject({
  vocab_size: extent,
  embedding_size: extent,
  hidden_size: extent,
  num_hidden_layers: extent,
  num_attention_heads: extent,
  intermediate_size: extent,
  hidden_act: z.literal('gelu'),
  hidden_dropout_prob: probability,
  attention_probs_dropout_prob: probability,
  max_position_embeddings: extent,
  type_vocab_size: z.literal(2),
  initializer_range: z.number().positive(),
  layer_norm_eps: z.number().positive(),
  pad_token_id: z.literal(0),
});
/** One encoder, as in a Hugging Face config.json. */
export type ElectraConfig = z.infer<typeof electraConfigSchema>;

export const modelConfigSchema = z.strictObject({
  /** One set of embeddings (words, positions, token types, LayerNorm) for both models, as in the original. */
  tie_embeddings: z.boolean(),
  generator: electraConfigSchema,
  discriminator: electraConfigSchema,
});
export type ModelConfig = z.infer<typeof modelConfigSchema>;

interface Size {
  embedding: number;
  hidden: number;
  layers: number;
  heads: number;
  feedForward: number;
  generator: { hidden: number; layers: number; heads: number; feedForward: number };
  positions: number;
  dropout: number;
  initializerRange: number;
}

const official = { positions: 512, dropout: 0.1, initializerRange: 0.02 };
const sizes = {
  tiny: {
    ...{ embedding: 64, hidden: 64, layers: 2, heads: 4, feedForward: 256 },
    ...{ positions: 128, dropout: 0, initializerRange: 0.08 },
    generator: { hidden: 64, layers: 1, heads: 4, feedForward: 256 },
  },
  small: {
    ...{ embedding: 128, hidden: 256, layers: 12, heads: 4, feedForward: 1024, ...official },
    generator: { hidden: 64, layers: 12, heads: 1, feedForward: 256 },
  },
  base: {
    ...{ embedding: 768, hidden: 768, layers: 12, heads: 12, feedForward: 3072, ...official },
    generator: { hidden: 256, layers: 12, heads: 4, feedForward: 1024 },
  },
  large: {
    ...{ embedding: 1024, hidden: 1024, layers: 24, heads: 16, feedForward: 4096, ...official },
    generator: { hidden: 256, layers: 24, heads: 4, feedForward: 1024 },
  },
} satisfies Record<string, Size>;

export const presetNames = Object.keys(sizes) as PresetName[];
export type PresetName = keyof typeof sizes;

export function presetModel(name: PresetName, vocabSize: number): ModelConfig {
  const size: Size = sizes[name];
  const common = {
    vocab_size: vocabSize,
    embedding_size: size.embedding,
    hidden_act: 'gelu' as const,
    hidden_dropout_prob: size.dropout,
    attention_probs_dropout_prob: size.dropout,
    max_position_embeddings: size.positions,
    type_vocab_size: 2 as const,
    initializer_range: size.initializerRange,
    layer_norm_eps: 1e-12,
    pad_token_id: 0 as const,
  };
  const encoder = (part: Omit<Size['generator'], never>) => ({
    hidden_size: part.hidden,
    num_hidden_layers: part.layers,
    num_attention_heads: part.heads,
    intermediate_size: part.feedForward,
  });
  return {
    tie_embeddings: true,
    generator: { ...common, ...encoder(size.generator) },
    discriminator: { ...common, ...encoder(size) },
  };
}

/** What the schema cannot say: settings that contradict each other. */
export function checkModel({ tie_embeddings, generator, discriminator }: ModelConfig): void {
  for (const [part, config] of Object.entries({ generator, discriminator })) {
    if (config.hidden_size % config.num_attention_heads === 0) continue;
    throw contradiction(
      `${part}.hidden_size to be a multiple of ${part}.num_attention_heads`,
      `${config.hidden_size} and ${config.num_attention_heads}`,
    );
  }
  const mustAgree = tie_embeddings
    ? (['vocab_size', 'embedding_size', 'max_position_embeddings'] as const)
    : (['vocab_size'] as const);
  for (const name of mustAgree) {
    if (generator[name] === discriminator[name]) continue;
    throw contradiction(
      `generator.${name} to equal discriminator.${name}${tie_embeddings ? ' (tie_embeddings is true)' : ''}`,
      `${generator[name]} and ${discriminator[name]}`,
    );
  }
}

function contradiction(expected: string, got: string): GalvaniError {
  return new GalvaniError({ stage: 'config', expected, got, remedy: 'Change one of the two.', kind: 'wrongUse' });
}
