/**
 * How fast text becomes ids on one thread: the figures of `galvani bench tokenize`. Cold is the first pass of a fresh encoder
 * (misses of the word cache included; the engine may have tiered up already), warm the median of later ones.
 */
import { median } from '../median.js';
import { compileTextModule, WordPieceEncoder } from './encoder.js';
import { profiles, type TokenizerSettings } from './profile.js';
import { compileTables } from './tables.js';
import type { Vocabulary } from './vocabulary.js';

export interface TokenizeFigures {
  bytes: number;
  tokens: number;
  /** Warm: median of `passes` passes over the text; MB are 10⁶ bytes of UTF-8. */
  megabytesPerSecond: number;
  tokensPerSecond: number;
  coldMegabytesPerSecond: number;
  passes: number;
  profile: TokenizerSettings['profile'];
  wordLimit: number;
}

/** Encode the text once cold and `passes` times warm. */
export function measureTokenization(
  vocabulary: Vocabulary,
  settings: TokenizerSettings,
  text: Uint8Array,
  passes = 7,
): TokenizeFigures {
  const encoder = new WordPieceEncoder(compileTextModule(), compileTables(vocabulary, settings));
  const time = () => {
    const start = performance.now();
    const tokens = encoder.encodeLines(text).ids.length;
    return { tokens, seconds: (performance.now() - start) / 1000 };
  };
  const cold = time();
  const seconds = median(Array.from({ length: passes }, () => time().seconds));
  return {
    bytes: text.length,
    tokens: cold.tokens,
    megabytesPerSecond: text.length / 1e6 / seconds,
    tokensPerSecond: cold.tokens / seconds,
    coldMegabytesPerSecond: text.length / 1e6 / cold.seconds,
    passes,
    profile: settings.profile,
    wordLimit: profiles[settings.profile].wordLimit,
  };
}
