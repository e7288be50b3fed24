/**
 * The scalar twin of masking and replacement: one row by plain loops over lists, from the rules as written down. It
 * shares Philox with the kernels, and no other code.
 */
import type { MaskingSettings } from '../../src/batching/masking.js';
import { drawWord, integerOfWord, type Key } from '../../src/random/philox.js';
import { streams } from '../../src/random/streams.js';

export interface Special {
  pad: number;
  cls: number;
  sep: number;
  mask: number;
}

export interface RowSettings {
  masking: MaskingSettings;
  special: Special;
  /** T, N and V. */
  T: number;
  N: number;
  V: number;
  key: Key;
  step: number;
  /** Which ids go on with a word. */
  continues: (id: number) => boolean;
  /** The alias table of replacements and the weights that it is made of; neither where there are none. */
  table?: Uint32Array;
  weights?: ArrayLike<number>;
  disallowCorrect?: boolean;
}

export interface MaskedRow {
  places: number[];
  seen: number[];
  count: number;
  given: number[] | undefined;
  /** What happened on the way: for tests that must know that a case is rare but there. */
  met: Set<'clash' | 'passed over' | 'no word fits' | 'drawn again' | 'next id'>;
}

/**
 * @param ids      (T) with padding
 * @param lengths  (S) of the row's segments
 * @param row      the number that its draws are counted by
 */
export function maskRow(ids: number[], lengths: number[], row: number, settings: RowSettings): MaskedRow {
  const { masking, special, T, N, V, key, step } = settings;
  const met: MaskedRow['met'] = new Set();
  const draw = (stream: number, index: number) => drawWord(key, stream, step, index);
  const never = new Set([special.pad, special.cls, special.sep, special.mask]);
  const length = lengths.reduce((sum, one) => sum + one, 0);
  const candidates = Array.from({ length }, (_, place) => place).filter((place) => !never.has(ids[place]));
  const wanted =
    length === 0 ? 0 : Math.min(Math.max(roundHalfEven(masking.maskProb * length), 1), N, candidates.length);

  const places: number[] = [];
  if (masking.wholeWordMask) {
    const starts = new Set(lengths.map((_, s) => lengths.slice(0, s).reduce((sum, one) => sum + one, 0)));
    const words: number[][] = [];
    for (const place of candidates) {
      const goesOn = !starts.has(place) && !never.has(ids[place - 1]) && settings.continues(ids[place]);
      if (goesOn) words.at(-1)?.push(place);
      else words.push([place]);
    }
    shuffle(words, words.length, (d) => draw(streams.wordOrder, row * T + d));
    for (const word of words) {
      if (places.length === wanted) break;
      if (places.length + word.length <= wanted) places.push(...word);
      else met.add('passed over');
    }
    if (places.length === 0 && wanted > 0) {
      met.add('no word fits');
      places.push(...words[0].slice(0, wanted));
    }
  } else if (masking.maskWithReplacement) {
    for (let j = 0; j < wanted; j++) {
      places.push(candidates[integerOfWord(draw(streams.masks, row * N + j), candidates.length)]);
    }
  } else {
    shuffle(candidates, wanted, (j) => draw(streams.masks, row * N + j));
    places.push(...candidates.slice(0, wanted));
  }

  const ordinary = Array.from({ length: V }, (_, id) => id).filter((id) => !never.has(id));
  const shown = new Map<number, number>();
  const maskBelow = roundHalfEven(masking.maskReplaceProb * 2 ** 32);
  const randomBelow = roundHalfEven((masking.maskReplaceProb + masking.randomReplaceProb) * 2 ** 32);
  for (const [j, place] of places.entries()) {
    const word = draw(streams.maskChoice, row * N + j);
    let id = ids[place];
    if (word < maskBelow) id = special.mask;
    else if (word < randomBelow) {
      id = ordinary[integerOfWord(draw(streams.randomIds, row * N + j), ordinary.length)];
    }
    if (shown.has(place)) met.add('clash');
    if (shown.get(place) !== special.mask) shown.set(place, id);
  }
  const seen = places.map((place) => shown.get(place)!);
  const given = settings.table && places.map((place, j) => replacementOf(ids[place], row * N + j, settings, met));
  const count = places.length;
  while (places.length < N) {
    places.push(0);
    seen.push(ids[0]);
    given?.push(ids[0]);
  }
  return { places, seen, count, given, met };
}

function replacementOf(original: number, ordinal: number, settings: RowSettings, met: MaskedRow['met']): number {
  const { key, step, disallowCorrect } = settings;
  const table = settings.table!;
  const weights = settings.weights!;
  const lookUp = (stream: number, index: number) => {
    const column = integerOfWord(drawWord(key, stream, step, index), table.length / 2);
    return drawWord(key, stream, step, index + 1) < table[2 * column] ? column : table[2 * column + 1];
  };
  let id = lookUp(streams.replacement, 2 * ordinal);
  if (!disallowCorrect) return id;
  for (let attempt = 0; attempt < 8 && id === original; attempt++) {
    met.add('drawn again');
    id = lookUp(streams.replacementAgain, 4 * (8 * ordinal + attempt));
  }
  if (id !== original) return id;
  met.add('next id');
  do id = (id + 1) % weights.length;
  while (weights[id] === 0);
  return id;
}

/** The first `count` steps of a Fisher–Yates shuffle. */
function shuffle<Item>(items: Item[], count: number, draw: (step: number) => number): void {
  for (let j = 0; j < count; j++) {
    const picked = j + integerOfWord(draw(j), items.length - j);
    [items[j], items[picked]] = [items[picked], items[j]];
  }
}

export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
