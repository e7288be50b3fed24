/**
 * The batch module: token windows → the planes of one batch (src/batching/plan.ts lays them out).
 *
 *   gatherRows → ids, lengths, seconds   drawWords → draws   maskRows → places, seen, counts
 *   drawReplacements or drawNgrams, redrawCorrect → given; or drawCached
 *
 * One shared memory, laid out by the host; no static data, no allocation. Kernels depend only on what they are given:
 * the draws of a row are at the same counters whichever part of a batch is made.
 */
export { philoxBlock, philoxWords } from '../philox';
export { drawCached } from './cached';
export { largestId, sumWords } from './check';
export { drawWords } from './draws';
export { gatherRows, longestRow, openRows } from './gather';
export { maskRows } from './mask';
export { drawNgrams } from './ngram';
export { permuteRun } from './permute';
export { drawReplacements, redrawCorrect } from './replace';
