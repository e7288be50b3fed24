/**
 * How many places of a row are masked, and how they are shown. The draws themselves are assembly/batch/mask.ts.
 * Source: google-research/electra 8a46635, configure_pretraining.py and pretrain_helpers.mask.
 */
export const defaultMaskProb = 0.15;
/** Of the masked places, those that the generator sees as [MASK]; the others keep their id. */
export const shownAsMaskProb = 0.85;

/** N, the masked places that a row of T tokens has room for: ⌊(maskProb + 0.005) × T⌋. 19 of 128, 79 of 512. */
export function maskedPerRow(maskProb: number, sequenceLength: number): number {
  return Math.floor((maskProb + 0.005) * sequenceLength);
}
