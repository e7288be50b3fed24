/**
 * The public API of `galvani`, and nothing else. Engines and formats are loaded when they are first used; a program that
 * only tokenizes imports `galvani/tokenizer`, which is lighter.
 */
export { type Batch, type Loader, openLoader } from './batching/loader.js';
export type { MaskingSettings } from './batching/masking.js';
export type { LoaderOptions, WeightedData } from './batching/options.js';
export { type PrepareResult, type PrepareSettings, prepare } from './corpus/prepare.js';
export { type MergeResult, type MergeSettings, merge } from './dataset/merge.js';
export { GalvaniError } from './errors.js';
export { type LoadModelOptions, loadModel, type Model } from './inference/model.js';
export { type EncodeOptions, Tokenizer, type TokenizerOptions, Vocabulary } from './text/tokenizer.js';
export { type CacheCandidatesOptions, type CachedCandidates, cacheCandidates } from './training/candidates.js';
export { presetTraining, type Setting, type TrainingConfig, withSettings } from './training/config.js';
export { type Exported, exportRun } from './training/export.js';
export type { MetricsLine } from './training/metrics.js';
export { type PretrainEvent, type PretrainOptions, type PretrainResult, pretrain } from './training/pretrain.js';
