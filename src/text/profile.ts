/**
 * The references whose ids we promise, and the settings that each of them knows.
 *
 * `huggingface`  tokenizers 0.23.2: BertNormalizer + BertPreTokenizer + WordPiece. Words over 100 code points are [UNK]; special
 *                tokens are cut out of the raw text; no final sigma; categories of Unicode 8.
 * `electra`      google-research/electra, model/tokenization.py, under Python 3.11 (Unicode 14). Limit 200; special tokens in a
 *                text are ordinary text; final sigma.
 */
import { GalvaniError, nearestName } from '../errors.js';

export type Profile = 'huggingface' | 'electra';

export interface ProfileRules {
  /** Code points after normalisation; a longer word becomes one [UNK]. */
  wordLimit: number;
  cutsSpecialTokens: boolean;
  finalSigma: boolean;
  /** Of the character categories. */
  unicodeVersion: string;
}

export const profiles: Record<Profile, ProfileRules> = {
  huggingface: { wordLimit: 100, cutsSpecialTokens: true, finalSigma: false, unicodeVersion: '8.0.0' },
  electra: { wordLimit: 200, cutsSpecialTokens: false, finalSigma: true, unicodeVersion: '14.0.0' },
};

export const profileNames = Object.keys(profiles) as [Profile, ...Profile[]];

export interface TokenizerSettings {
  profile: Profile;
  lowercase: boolean;
  stripAccents: boolean;
}

export interface TokenizerOptions {
  /** Default `huggingface`. */
  profile?: Profile;
  /** Default true. */
  lowercase?: boolean;
  /** Decompose (NFD) and drop category Mn. Default: as `lowercase`. */
  stripAccents?: boolean;
}

/** Fill in defaults. @throws wrongUse for an unknown profile, or settings that the reference does not have. */
export function resolveSettings(options: TokenizerOptions = {}): TokenizerSettings {
  const { profile = 'huggingface', lowercase = true, stripAccents = lowercase } = options;
  if (!Object.hasOwn(profiles, profile)) {
    const nearest = nearestName(String(profile), profileNames);
    throw new GalvaniError({
      stage: 'tokenize',
      expected: `a profile (${profileNames.join(', ')})`,
      got: `"${profile}"`,
      remedy: nearest === undefined ? 'Choose one of them.' : `Did you mean "${nearest}"?`,
      kind: 'wrongUse',
    });
  }
  if (profile === 'electra' && stripAccents && !lowercase) {
    throw new GalvaniError({
      stage: 'tokenize',
      expected: 'accents kept where case is kept (profile electra)',
      got: 'stripAccents without lowercase',
      remedy: 'Use profile huggingface, or leave stripAccents out.',
      kind: 'wrongUse',
    });
  }
  return { profile, lowercase, stripAccents };
}
