/**
 * Every parameter of a model: its name, shape, and what it starts from. The one place where shapes are written down.
 *
 * Names are Hugging Face keys behind `generator.`, `discriminator.` or, for what both hold when embeddings are tied,
 * `shared.`. Linear weights are (out, in). The generator's output layer is the word table itself plus a bias.
 * Initial values follow google-research/electra 8a46635: normal cut at two standard deviations for tables and most
 * weights, Glorot uniform where the original left TensorFlow's default (embeddings_project, the last RTD layer).
 */
import type { Shape } from '../ops/operation.js';
import type { ElectraConfig, ModelConfig } from './config.js';

export type InitialKind = 'truncatedNormal' | 'glorotUniform' | 'zeros' | 'ones';

export interface Parameter {
  readonly name: string;
  readonly shape: Shape;
  readonly initial: InitialKind;
  /** Standard deviation of `truncatedNormal`. */
  readonly range: number;
}

export type ModelPart = 'generator' | 'discriminator';

/** Parameters that weight decay leaves alone. */
export function isDecayed(name: string): boolean {
  return !/LayerNorm|layer_norm|bias/.test(name);
}

/** Parameters of both models in a fixed order; the initial weights are drawn by it. */
export function parametersOf(model: ModelConfig): Parameter[] {
  const shared = model.tie_embeddings ? embeddings('shared', model.discriminator) : [];
  return [...shared, ...partParameters(model, 'generator'), ...partParameters(model, 'discriminator')];
}

/** Name of the parameter that holds a Hugging Face key of one of the two models. */
export function parameterName(model: ModelConfig, part: ModelPart, key: string): string {
  return `${model.tie_embeddings && key.startsWith('electra.embeddings.') ? 'shared' : part}.${key}`;
}

/** The keys that one model's Hugging Face folder holds, with the parameter that each is saved from. */
export function keysOf(model: ModelConfig, part: ModelPart): Map<string, string> {
  const names = [...embeddings('', model[part]), ...withoutEmbeddings('', model[part], part)].map(({ name }) => name);
  return new Map(names.map((name) => [name.slice(1), parameterName(model, part, name.slice(1))]));
}

function partParameters(model: ModelConfig, part: ModelPart): Parameter[] {
  return [
    ...(model.tie_embeddings ? [] : embeddings(part, model[part])),
    ...withoutEmbeddings(part, model[part], part),
  ];
}

function embeddings(prefix: string, config: ElectraConfig): Parameter[] {
  const { embedding_size: width, initializer_range: range } = config;
  const table = (name: string, rows: number): Parameter => ({
    name: `${prefix}.electra.embeddings.${name}.weight`,
    shape: [rows, width],
    initial: 'truncatedNormal',
    range,
  });
  return [
    table('word_embeddings', config.vocab_size),
    table('position_embeddings', config.max_position_embeddings),
    table('token_type_embeddings', config.type_vocab_size),
    ...norm(`${prefix}.electra.embeddings.LayerNorm`, width),
  ];
}

function withoutEmbeddings(prefix: string, config: ElectraConfig, part: ModelPart): Parameter[] {
  const { embedding_size: embedding, hidden_size: hidden, initializer_range: range } = config;
  const trunk = `${prefix}.electra`;
  const list: Parameter[] = [];
  if (embedding !== hidden) list.push(...dense(`${trunk}.embeddings_project`, hidden, embedding, 'glorotUniform'));
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const at = `${trunk}.encoder.layer.${layer}`;
    for (const name of ['query', 'key', 'value']) list.push(...dense(`${at}.attention.self.${name}`, hidden, hidden));
    list.push(
      ...dense(`${at}.attention.output.dense`, hidden, hidden),
      ...norm(`${at}.attention.output.LayerNorm`, hidden),
    );
    list.push(...dense(`${at}.intermediate.dense`, config.intermediate_size, hidden));
    list.push(
      ...dense(`${at}.output.dense`, hidden, config.intermediate_size),
      ...norm(`${at}.output.LayerNorm`, hidden),
    );
  }
  if (part === 'generator') {
    list.push(...dense(`${prefix}.generator_predictions.dense`, embedding, hidden));
    list.push(...norm(`${prefix}.generator_predictions.LayerNorm`, embedding));
    list.push({ name: `${prefix}.generator_lm_head.bias`, shape: [config.vocab_size], initial: 'zeros', range });
  } else {
    list.push(...dense(`${prefix}.discriminator_predictions.dense`, hidden, hidden));
    list.push(...dense(`${prefix}.discriminator_predictions.dense_prediction`, 1, hidden, 'glorotUniform'));
  }
  return list;

  function dense(name: string, out: number, into: number, initial: InitialKind = 'truncatedNormal'): Parameter[] {
    return [
      { name: `${name}.weight`, shape: [out, into], initial, range },
      { name: `${name}.bias`, shape: [out], initial: 'zeros', range },
    ];
  }
}

function norm(name: string, width: number): Parameter[] {
  return [
    { name: `${name}.weight`, shape: [width], initial: 'ones', range: 1 },
    { name: `${name}.bias`, shape: [width], initial: 'zeros', range: 1 },
  ];
}
