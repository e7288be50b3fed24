/**
 * The encoder of both models: a post-norm BERT. Sum of three embeddings → LayerNorm → dropout → projection to the
 * encoder's width where that differs → layers of attention and feed-forward.
 * Source: google-research/electra 8a46635, model/modeling.py; Hugging Face's ElectraModel.
 */
import { addNorm } from '../ops/addNorm.js';
import { attention } from '../ops/attention.js';
import { dropout } from '../ops/dropout.js';
import { embed } from '../ops/embed.js';
import { layerNorm } from '../ops/layerNorm.js';
import { linear } from '../ops/linear.js';
import type { Tensor } from '../ops/operation.js';
import type { ProgramBuilder } from '../program/builder.js';
import { streams } from '../random/streams.js';
import type { ElectraConfig } from './config.js';
import type { ModelPart } from './parameters.js';

/** The tensor of a Hugging Face key of this model. */
export type Weights = (key: string) => Tensor;

export interface EncoderInputs {
  /** (B, T) */
  readonly ids: Tensor;
  /** (B, S): length of each segment. */
  readonly lengths: Tensor;
  /** (B, S): where token type 1 begins inside the segment. */
  readonly seconds: Tensor;
  /** Key and counters of what is drawn (src/ops/dropout.ts). */
  readonly draw: Tensor;
}

/** One encoder in a program: its own configuration, weights and dropout sites. */
export interface Encoder {
  readonly part: ModelPart;
  readonly config: ElectraConfig;
  readonly weights: Weights;
  /** false outside training: no dropout. */
  readonly isTraining: boolean;
}

/** → last hidden states (B, T, H). */
export function encode(build: ProgramBuilder, encoder: Encoder, inputs: EncoderInputs): Tensor {
  let x = build.scope('embeddings', () => embeddings(build, encoder, inputs));
  for (let layer = 0; layer < encoder.config.num_hidden_layers; layer++) {
    x = build.scope(`layer.${layer}`, () => encoderLayer(build, encoder, inputs, x, layer));
  }
  return x;
}

function embeddings(build: ProgramBuilder, encoder: Encoder, { ids, lengths, seconds, draw }: EncoderInputs): Tensor {
  const { config, weights } = encoder;
  const at = 'electra.embeddings';
  const sum = embed(build, ids, lengths, seconds, {
    words: weights(`${at}.word_embeddings.weight`),
    positions: weights(`${at}.position_embeddings.weight`),
    types: weights(`${at}.token_type_embeddings.weight`),
  });
  const [gamma, beta] = pair(weights, `${at}.LayerNorm`);
  const normal = layerNorm(build, sum, gamma, beta, config.layer_norm_eps);
  const x = dropout(build, normal, draw, hiddenDropout(encoder, 0, 0));
  if (config.embedding_size === config.hidden_size) return x;
  return linear(build, x, ...pair(weights, 'electra.embeddings_project'));
}

function encoderLayer(
  build: ProgramBuilder,
  encoder: Encoder,
  { lengths, draw }: EncoderInputs,
  x: Tensor,
  layer: number,
): Tensor {
  const { config, weights } = encoder;
  const at = `electra.encoder.layer.${layer}`;
  const epsilon = config.layer_norm_eps;
  const attended = build.scope('attention', () => {
    const [q, k, v] = ['query', 'key', 'value'].map((name) =>
      linear(build, x, ...pair(weights, `${at}.attention.self.${name}`)),
    );
    const context = attention(build, q, k, v, lengths, draw, {
      heads: config.num_attention_heads,
      dropout: encoder.isTraining ? config.attention_probs_dropout_prob : 0,
      stream: dropoutStream(encoder.part, layer + 1, 0),
    });
    const output = linear(build, context, ...pair(weights, `${at}.attention.output.dense`));
    const [gamma, beta] = pair(weights, `${at}.attention.output.LayerNorm`);
    return addNorm(build, output, x, gamma, beta, draw, { ...hiddenDropout(encoder, layer + 1, 1), epsilon });
  });
  return build.scope('feedForward', () => {
    const inner = linear(build, attended, ...pair(weights, `${at}.intermediate.dense`), config.hidden_act);
    const output = linear(build, inner, ...pair(weights, `${at}.output.dense`));
    const [gamma, beta] = pair(weights, `${at}.output.LayerNorm`);
    return addNorm(build, output, attended, gamma, beta, draw, { ...hiddenDropout(encoder, layer + 1, 2), epsilon });
  });
}

/** Weight and bias of a dense layer or LayerNorm. */
export function pair(weights: Weights, name: string): [Tensor, Tensor] {
  return [weights(`${name}.weight`), weights(`${name}.bias`)];
}

function hiddenDropout({ config, isTraining, part }: Encoder, layer: number, site: number) {
  return { dropout: isTraining ? config.hidden_dropout_prob : 0, stream: dropoutStream(part, layer, site) };
}

/** Each site draws from a stream of its own: layer 0 is the embeddings; sites are probabilities, attention, feed-forward. */
function dropoutStream(part: ModelPart, layer: number, site: number): number {
  return streams.dropout + (part === 'generator' ? 0 : 0x8000) + layer * 4 + site;
}
