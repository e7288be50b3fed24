/** Text with [MASK] in, the pieces that the generator finds most likely there out. */
import { GalvaniError } from '../errors.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { emptyText } from './detect.js';
import type { Model } from './model.js';

export interface Candidate {
  readonly token: string;
  readonly id: number;
  /** 0 to 1, over the whole vocabulary. */
  readonly probability: number;
}

export interface FilledText {
  readonly tokens: string[];
  readonly ids: number[];
  /** One for each [MASK]: its index in `tokens`, and the most likely pieces, best first. */
  readonly masks: { readonly place: number; readonly candidates: Candidate[] }[];
}

const shownCandidates = 5;

/** @throws badInput for a text without [MASK]. */
export async function fillMasks(model: Model, text: string): Promise<FilledText> {
  const { tokenizer } = model;
  const own = encodeWithMasks(tokenizer, text);
  if (own.length === 0) throw emptyText('fill');
  const { vocabulary } = tokenizer;
  const mask = vocabulary.specialId('[MASK]');
  const places = own.flatMap((id, place) => (id === mask ? [place] : []));
  if (places.length === 0) {
    throw new GalvaniError({
      stage: 'fill',
      expected: 'at least one [MASK] in the text',
      got: JSON.stringify(text),
      remedy: 'Write [MASK] where a word is to be filled in.',
      kind: 'badInput',
    });
  }
  const logits = await model.fillMask([vocabulary.specialId('[CLS]'), ...own, vocabulary.specialId('[SEP]')]);
  return {
    tokens: own.map((id) => tokenizer.idToToken(id) ?? ''),
    ids: own,
    masks: places.map((place, i) => ({ place, candidates: bestOf(tokenizer, logits[i]) })),
  };
}

/** Cut at [MASK] before it is text, so that a profile for which special tokens are ordinary text can be asked too. */
function encodeWithMasks(tokenizer: Tokenizer, text: string): number[] {
  const mask = tokenizer.vocabulary.specialId('[MASK]');
  return text.split('[MASK]').flatMap((part, i) => [...(i === 0 ? [] : [mask]), ...tokenizer.encode(part)]);
}

function bestOf(tokenizer: Tokenizer, logits: Float32Array): Candidate[] {
  const largest = logits.reduce((a, b) => Math.max(a, b));
  const denominator = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
  const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  return order.slice(0, shownCandidates).map((id) => ({
    token: tokenizer.idToToken(id) ?? '',
    id,
    probability: Math.exp(logits[id] - largest) / denominator,
  }));
}
