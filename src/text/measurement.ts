/** How well a vocabulary splits counted words: each distinct word is encoded once and weighs as often as it occurs. */
import { WordPieceEncoder } from './encoder.js';
import type { TokenizerSettings } from './profile.js';
import { compileTables } from './tables.js';
import type { Vocabulary } from './vocabulary.js';
import type { CountedWords } from './word-table.js';

export interface Fit {
  words: number;
  distinctWords: number;
  tokens: number;
  /** Tokens that are [UNK], of all tokens. */
  unknownFraction: number;
  piecesPerWord: number;
  /** Code points of the normalised words, without spaces. */
  charactersPerToken: number;
}

const chunkBytes = 1 << 20;

export function measureFit(
  { bytes, ends, counts }: CountedWords,
  vocabulary: Vocabulary,
  { profile }: TokenizerSettings,
  module: WebAssembly.Module,
): Fit {
  // The words are normalised already; without lower-casing and stripping they pass unchanged.
  const settings = { profile, lowercase: false, stripAccents: false };
  const encoder = new WordPieceEncoder(module, compileTables(vocabulary, settings));
  const sums = { words: 0, tokens: 0, unknown: 0, characters: 0 };
  for (let word = 0, pos = 0; word < ends.length; pos = ends[word - 1]) {
    let last = word;
    while (last + 1 < ends.length && ends[last + 1] - pos <= chunkBytes) last++;
    const { ids, lineEnds } = encoder.encodeLines(bytes.subarray(pos, ends[last]));
    for (let line = 0, start = 0; line < lineEnds.length; start = lineEnds[line++], word++) {
      const count = counts[word];
      sums.words += count;
      sums.tokens += count * (lineEnds[line] - start);
      if (ids[start] === vocabulary.unknownId) sums.unknown += count;
      sums.characters += count * countCodePoints(bytes, word === 0 ? 0 : ends[word - 1], ends[word] - 1);
    }
  }
  return {
    words: sums.words,
    distinctWords: ends.length,
    tokens: sums.tokens,
    unknownFraction: sums.unknown / Math.max(1, sums.tokens),
    piecesPerWord: sums.tokens / Math.max(1, sums.words),
    charactersPerToken: sums.characters / Math.max(1, sums.tokens),
  };
}

/** Bytes that do not continue a UTF-8 sequence. */
function countCodePoints(bytes: Uint8Array, start: number, end: number): number {
  let count = 0;
  for (let i = start; i < end; i++) if ((bytes[i] & 0xc0) !== 0x80) count++;
  return count;
}
