/**
 * From counted words to a vocabulary of exactly the size asked for: head, alphabet, and the pieces of one of two learners.
 *
 *   [PAD] [unused1] … [unusedN] [UNK] [CLS] [SEP] [MASK]   the alphabet by bytes   the learner's pieces by its order
 *
 * With N = 99 the special tokens have the ids that they have in BERT's vocabularies: 0, 100, 101, 102, 103. Every letter is a
 * piece, and one with ## if it stands in any longer word, so every word over the alphabet has pieces; one that only stands
 * alone (punctuation) needs no ## form. The result depends on the words and their counts, not on their order.
 */
import { GalvaniError } from '../errors.js';
import { learnMerges } from './merges.js';
import { spellWords } from './spelling.js';
import { learnTopDown } from './top-down.js';
import { specialNames } from './vocabulary.js';
import type { CountedWords } from './word-table.js';

/** `top-down`: BERT's. `merge`: Hugging Face's trainer. */
export const algorithms = ['top-down', 'merge'] as const;
export type Algorithm = (typeof algorithms)[number];

export interface LearningSettings {
  /** Pieces in all. */
  size: number;
  /** Default `top-down`. */
  algorithm?: Algorithm;
  /** Entries [unused1] to [unusedN], which no text yields: ids for tokens of one's own. Default 0. */
  unused?: number;
}

export interface LearnedVocabulary {
  pieces: string[];
  /** Distinct characters of the alphabet. */
  alphabetSize: number;
  /** Times that the rarest of the learner's pieces was needed. */
  leastCount: number;
}

/** @throws wrongUse when head and alphabet need more than `size`; badInput when the words yield fewer. */
export function learnVocabulary(
  words: CountedWords,
  { size, algorithm = 'top-down', unused = 0 }: LearningSettings,
): LearnedVocabulary {
  const spelling = spellWords(words);
  const alphabet = spelling.letters
    .flatMap((letter, i) => (spelling.joins[i] ? [letter, `##${letter}`] : [letter]))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const headSize = specialNames.length + unused;
  const room = size - headSize - alphabet.length;
  if (room < 0) throw tooSmall(size, headSize, alphabet.length);
  const learned = algorithm === 'merge' ? learnMerges(spelling, room) : learnTopDown(spelling, room);
  const pieces = [...makeHead(unused), ...alphabet, ...learned.pieces];
  if (pieces.length < size) throw tooLarge(size, pieces.length);
  return { pieces, alphabetSize: spelling.letters.length, leastCount: learned.leastCount };
}

function makeHead(unused: number): string[] {
  const [padding, ...others] = specialNames;
  return [padding, ...Array.from({ length: unused }, (_, i) => `[unused${i + 1}]`), ...others];
}

function tooSmall(size: number, head: number, alphabet: number): GalvaniError {
  return new GalvaniError({
    stage: 'vocab',
    expected: `a size of at least ${head + alphabet} pieces (${head} special tokens and unused entries, ${alphabet} for the alphabet)`,
    got: String(size),
    where: '--size',
    remedy: 'Raise --size.',
    kind: 'wrongUse',
  });
}

function tooLarge(size: number, most: number): GalvaniError {
  return new GalvaniError({
    stage: 'vocab',
    expected: `enough text for ${size} pieces`,
    got: `text that yields ${most}`,
    where: '--size',
    remedy: `Give more text, or a size of at most ${most}.`,
    kind: 'badInput',
  });
}
