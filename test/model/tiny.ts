/** A model small enough for finite differences, with every kind of layer, and batches for it. */

import type { Runtime } from '../../src/engines/engine.js';
import type { ElectraConfig, ModelConfig } from '../../src/model/config.js';
import type { BatchShape, StepSettings } from '../../src/model/electra.js';
import { parametersOf } from '../../src/model/parameters.js';
import { sizeOf } from '../../src/ops/operation.js';
import { randomFloats, randomInts } from '../random.js';

const common: ElectraConfig = {
  vocab_size: 23,
  embedding_size: 6,
  hidden_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 12,
  hidden_act: 'gelu',
  hidden_dropout_prob: 0,
  attention_probs_dropout_prob: 0,
  max_position_embeddings: 11,
  type_vocab_size: 2,
  initializer_range: 0.2,
  layer_norm_eps: 1e-12,
  pad_token_id: 0,
};

export function tinyModel(overrides: Partial<ElectraConfig> = {}, tied = true): ModelConfig {
  return {
    tie_embeddings: tied,
    generator: { ...common, num_hidden_layers: 1, hidden_size: 6, num_attention_heads: 1, ...overrides },
    discriminator: { ...common, ...overrides },
  };
}

export const tinyShape: BatchShape = { rows: 4, places: 9, masked: 3, segments: 2 };

export function tinySettings(model: ModelConfig, shape = tinyShape): StepSettings {
  return {
    model,
    shape,
    replacement: 'given',
    objective: { genWeight: 1, discWeight: 50, temperature: 1, disallowCorrect: false },
  };
}

/** A batch with padding, walls, token type 1 and unused masked places. */
export function tinyBatch(seed: number, { rows, places, masked, segments }: BatchShape = tinyShape, vocabSize = 23) {
  const lengths = Int32Array.from({ length: rows * segments }, (_, i) =>
    i % segments === 0 ? places - 2 - (Math.floor(i / segments) % 3) : i % segments === 1 ? 2 : 0,
  );
  const counts = Int32Array.from({ length: rows }, (_, row) => masked - (row % 2));
  const sum = (values: Int32Array) => values.reduce((a, b) => a + b, 0);
  return {
    ids: randomInts(rows * places, seed, vocabSize),
    lengths,
    seconds: lengths.map((length) => Math.min(length, 3)),
    places: randomInts(rows * masked, seed + 1, 6),
    seen: randomInts(rows * masked, seed + 2, vocabSize),
    counts,
    given: randomInts(rows * masked, seed + 3, vocabSize),
    denominators: Float32Array.of(sum(counts), sum(lengths)),
  };
}

/** Random weights of order one in every parameter, also where real ones start from 0 or 1. */
export async function randomWeights(runtime: Runtime, model: ModelConfig, seed: number): Promise<void> {
  const weights = parametersOf(model).map(({ name, shape, initial }, i) => {
    const values = randomFloats(sizeOf(shape), seed + i, 0.5);
    return [name, initial === 'ones' ? values.map((value) => 1 + value) : values] as const;
  });
  await runtime.write(new Map(weights));
}
