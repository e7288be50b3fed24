/**
 * The names of all random streams: the last word of a Philox counter. A number is never given to another use, since a
 * resumed run must draw what it would have drawn (7 once held out documents). What `step` and `index` mean in each stream
 * is said here; a stream without a step of its own counts something else in that word.
 *
 * Dropout: decision i of a site is half i & 1 (low half first) of draw ⌊i / 2⌋ of the site's stream, dropped if below
 * round(p × 65536). B rows, T places, N masked places a row, V pieces.
 */
export const streams = {
  /** Which places are masked. step = training step; index = (batch row) × N + (number of the choice in the row). */
  masks: 1,
  /** Shown as [MASK] or left as it is. step = training step; index = (batch row) × N + (masked place). */
  maskChoice: 2,
  /** Replacements drawn on the host. step = training step; index = 2 × ((batch row) × N + (masked place)): column, coin. */
  replacement: 3,
  /** Gumbel noise of the generator's samples. step = training step; index = ((batch row) × N + (masked place)) × V + id. */
  gumbel: 4,
  /** Order of blocks in an epoch. step = epoch; index = 8 × (dataset of the mixture) + round of the permutation. */
  blockOrder: 5,
  /** Order of examples in a window. step = epoch; index = 2⁴⁰ × (dataset of the mixture) + 8 × window + round of the permutation. */
  exampleOrder: 6,
  /** Initial weights. step = ordinal of the parameter in the model's list; index = draws of that parameter. */
  initialWeights: 8,
  /** Seeded replacements in sentences shown to people. step = sentence; index = draws of that sentence. */
  demonstration: 9,
  /** Ids shown at masked places instead of [MASK]. step = training step; index = (batch row) × N + (masked place). */
  randomIds: 10,
  /** Order of words, where whole words are masked. step = training step; index = (batch row) × T + (number of the draw). */
  wordOrder: 11,
  /**
   * Replacements drawn again because they equalled the original. step = training step;
   * index = 4 × (8 × ((batch row) × N + (masked place)) + attempt): column, coin, and two words that are not used.
   */
  replacementAgain: 12,
  /** Rules of official examples. Key = a constant, not the run's seed; step = document ordinal; index = draws of that document. */
  officialExamples: 13,
  /**
   * Replacements by neighbours. step = training step; index = 5 × ((batch row) × N + (masked place)) + which: the piece
   * between both neighbours, which neighbour is left, the piece beside it, column and coin of the alias table.
   */
  ngram: 14,
  /** Replacements from stored candidates. step = training step; index = (batch row) × N + (masked place). */
  cachedCandidates: 15,
  /** Dropout of site n draws from stream dropout + n. step = training step; index over the whole batch's tensor. */
  dropout: 0x10000,
} as const;
