/**
 * How places are masked: the settings, with the names that transformers' DataCollatorForLanguageModeling gives them. The
 * draws themselves are assembly/batch/mask.ts.
 * Source of the defaults: google-research/electra 8a46635, configure_pretraining.py and pretrain_helpers.mask.
 */
import { wrongSetting } from './wrongSetting.js';

export interface MaskingSettings {
  /**
   * Share of a row's real tokens that the generator guesses; 0 < maskProb < 1. Default 0.15. A row of n tokens, [CLS]
   * and [SEP] among them, gets round-half-even(maskProb × n) places: at least 1, at most N and the tokens that are not
   * [CLS], [SEP], [MASK] or [PAD].
   */
  maskProb: number;
  /** Of the masked places, the share that the generator sees as [MASK]. Default 0.85; BERT has 0.8. */
  maskReplaceProb: number;
  /**
   * The share that it sees as an id drawn uniformly from all but those four special ones. Default 0; BERT has 0.1, and
   * draws from the whole vocabulary. The rest keeps its id.
   */
  randomReplaceProb: number;
  /**
   * Mask whole words: a piece and the "##" pieces right behind it. Default false. Words come in random order and are
   * taken while all of a word fits into the places wanted, so a row may get fewer; where no word fits, the first pieces
   * of one are masked. As google-research/bert eedf571, create_masked_lm_predictions, which then masks nothing.
   */
  wholeWordMask: boolean;
  /**
   * Draw places with replacement, as the original ELECTRA does. Default false. A place may come twice, counts twice in
   * the generator's loss, and is seen as [MASK] if any of its draws says so. Differs: where two replacements of a place
   * differ, the original puts the average of the two ids there; here the last one stands.
   */
  maskWithReplacement: boolean;
}

export const defaultMasking: Readonly<MaskingSettings> = {
  maskProb: 0.15,
  maskReplaceProb: 0.85,
  randomReplaceProb: 0,
  wholeWordMask: false,
  maskWithReplacement: false,
};

/** With defaults where nothing is said. @throws wrongUse for settings that cannot be, or with no place in T tokens. */
export function fillMasking(given: Partial<MaskingSettings>, sequenceLength: number): MaskingSettings {
  const said = Object.entries(given).filter(([, value]) => value !== undefined);
  const settings: MaskingSettings = { ...defaultMasking, ...Object.fromEntries(said) };
  const { maskProb, maskReplaceProb, randomReplaceProb, wholeWordMask, maskWithReplacement } = settings;
  if (!(maskProb > 0 && maskProb < 1)) throw wrongSetting('maskProb', 'a number between 0 and 1', maskProb);
  if (maskedPerRow(maskProb, sequenceLength) < 1) {
    throw wrongSetting('maskProb', `at least one masked place in ${sequenceLength}`, maskProb);
  }
  for (const name of ['maskReplaceProb', 'randomReplaceProb'] as const) {
    if (!(settings[name] >= 0 && settings[name] <= 1)) {
      throw wrongSetting(name, 'a number from 0 to 1', settings[name]);
    }
  }
  if (maskReplaceProb + randomReplaceProb > 1) {
    const sum = `${maskReplaceProb} + ${randomReplaceProb}`;
    throw wrongSetting('randomReplaceProb', 'maskReplaceProb + randomReplaceProb of at most 1', sum);
  }
  if (wholeWordMask && maskWithReplacement) {
    throw wrongSetting('maskWithReplacement', 'false with wholeWordMask, whose words are drawn once', true);
  }
  return settings;
}

/** N, the masked places that a row of T tokens has room for: ⌊(maskProb + 0.005) × T⌋. 19 of 128, 79 of 512. */
export function maskedPerRow(maskProb: number, sequenceLength: number): number {
  return Math.floor((maskProb + 0.005) * sequenceLength);
}

/** (V) 1 for pieces that go on with a word. */
export function markContinuations(pieces: readonly string[]): Uint8Array {
  return Uint8Array.from(pieces, (piece) => (piece.startsWith('##') ? 1 : 0));
}
