/** Text in, the probability that each of its tokens was replaced out. */
import { GalvaniError } from '../errors.js';
import type { Model } from './model.js';

export interface DetectedText {
  readonly tokens: string[];
  readonly ids: number[];
  /** That the token does not belong there, 0 to 1. */
  readonly probabilities: number[];
}

/**
 * One result a text, in order; each parcel of texts is read together.
 * @throws badInput when no text has a token.
 */
export async function* detectReplaced(
  model: Model,
  parcels: AsyncIterable<readonly string[]> | Iterable<readonly string[]>,
): AsyncGenerator<DetectedText> {
  let isEmpty = true;
  for await (const texts of parcels) {
    const framed = texts.map((text) => model.tokenizer.encode(text, { specialTokens: true }));
    isEmpty &&= framed.every(({ length }) => length <= 2);
    const logits = await model.discriminate(framed);
    for (const [i, ids] of framed.entries()) yield withoutFrame(model, ids, logits[i]);
  }
  if (isEmpty) throw emptyText('detect');
}

/** [CLS] and [SEP] are the frame, not the text. */
function withoutFrame({ tokenizer }: Model, ids: Uint32Array, logits: Float32Array): DetectedText {
  const own = [...ids.subarray(1, -1)];
  return {
    tokens: own.map((id) => tokenizer.idToToken(id) ?? ''),
    ids: own,
    probabilities: Array.from(logits.subarray(1, -1), sigmoid),
  };
}

export function emptyText(stage: string): GalvaniError {
  return new GalvaniError({
    stage,
    expected: 'a text with at least one word',
    got: 'none',
    remedy: 'Give the text as an argument, or lines of text on standard input.',
    kind: 'badInput',
  });
}

function sigmoid(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}
