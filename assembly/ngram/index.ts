/**
 * The ngram module: token ids → how often each piece stands in each context, for the contexts of one partition.
 *
 *   startPartition   countStretch …   sortCounts → listContexts
 *
 * Private memory, laid out by the host (src/batching/ngram/counting.ts); no allocation. contexts.ts says what a context is.
 */
export { largestId } from '../batch/check';
export { countStretch, startPartition } from './count';
export { listContexts, sortCounts } from './list';
