/** From what is asked for to a plan: opens the datasets and their examples, and shares out the memory for blocks. */
import { openDataset, type TokenDataset } from '../dataset/dataset.js';
import { type ExampleIndex, openExamples } from '../dataset/examples/examples.js';
import { GalvaniError } from '../errors.js';
import { keyOfSeed } from '../random/philox.js';
import { Vocabulary } from '../text/vocabulary.js';
import { bucketStep } from './buckets.js';
import { openCandidates } from './cached/opening.js';
import { fillMasking, maskedPerRow } from './masking.js';
import { Mixture } from './mixture.js';
import { type DataFolder, defaultCacheBytes, type LoaderOptions, type WeightedData } from './options.js';
import { originOf } from './origin.js';
import { type BatchPlan, blockExtents, countBlocks, type Source, type SpecialIds } from './plan.js';
import { wrongSetting } from './wrongSetting.js';

/** Key of the masks and replacements of every validation: evaluations of all runs on a dataset are comparable. */
const validationKey = keyOfSeed(0x76616c6964n);

/** A dataset that is open, and its weight in the mixture. */
export interface WeightedDataset extends WeightedData {
  data: TokenDataset;
}

export interface Planned {
  plan: BatchPlan;
  data: WeightedDataset[];
  vocabulary: Vocabulary;
}

/** @throws wrongUse for settings that do not go together; badInput for a dataset that cannot be read or is empty. */
export async function planBatches(options: LoaderOptions): Promise<Planned> {
  const { batchSize, sequenceLength, split = 'train', workers = 1, startStep = 0, stepStride = 1 } = options;
  const { segments = 1, replacement = 'generator', disallowCorrect = false, temperature = 1 } = options;
  const masking = fillMasking(options.masking ?? {}, sequenceLength);
  const data = await openData(options.data);
  const { manifest, vocabularyPath } = data[0].data;
  const vocabulary = Vocabulary.read(vocabularyPath, manifest.tokenizer.profile);
  const isPass = split === 'validation';
  const sources: Source[] = [];
  for (const { data: dataset, weight } of data) {
    const index = await openExamples(dataset, {
      kind: options.examples ?? 'documents',
      sequenceLength,
      split,
      validationFraction: options.validationFraction ?? 0,
    });
    const { cacheBytes = defaultCacheBytes } = options;
    const cache = isPass ? cachePass(index, batchSize) : cacheWindows(index, batchSize, cacheBytes, data.length);
    sources.push({ index, weight, ...cache });
    if (!isPass && index.examples < batchSize) warnAboutRepeats(dataset, index.examples, batchSize);
  }
  const examples = sources.reduce((sum, { index }) => sum + index.examples, 0);
  const plan = {
    sources,
    B: batchSize,
    T: sequenceLength,
    N: maskedPerRow(masking.maskProb, sequenceLength),
    S: Math.max(segments, ...sources.map(({ index }) => index.segments)),
    bucketStep: options.bucket ? bucketStep(sequenceLength) : sequenceLength,
    key: isPass ? validationKey : keyOfSeed(options.seed ?? 0),
    isPass,
    masking,
    special: readSpecialIds(vocabulary),
    vocabularySize: manifest.vocabulary.size,
    replacement,
    ngramWords: [],
    disallowCorrect,
    candidates:
      replacement === 'cached'
        ? await openCandidates(options.candidates!, originOf(options, data), temperature, disallowCorrect)
        : undefined,
    startStep,
    stepStride,
    endStep: isPass ? Math.ceil(examples / batchSize) : Number.POSITIVE_INFINITY,
    slots: options.slots ?? Math.max(16, 8 * workers),
    workers,
  };
  return { plan, data, vocabulary };
}

/**
 * The datasets, opened and found to have one vocabulary.
 * @throws wrongUse for weights that cannot be; badInput for a folder that is damaged or no dataset.
 */
export async function openData(data: DataFolder | readonly WeightedData[]): Promise<WeightedDataset[]> {
  const wanted: readonly WeightedData[] = isMixture(data) ? data : [{ data, weight: 1 }];
  if (wanted.length === 0) throw wrongSetting('data', 'a dataset', 'none');
  new Mixture(wanted.map(({ weight }) => weight)); // Weights that cannot be are told before anything is read.
  const opened: WeightedDataset[] = [];
  for (const { data, weight } of wanted) {
    const dataset = typeof data === 'string' ? await openDataset(data) : data;
    opened.push({ data: dataset, weight });
    const [{ data: first }] = opened;
    const vocabularyOf = ({ manifest: { vocabulary, tokenizer } }: TokenDataset) =>
      JSON.stringify([vocabulary.sha256, tokenizer]);
    if (vocabularyOf(dataset) !== vocabularyOf(first)) throw otherVocabulary(first, dataset);
  }
  return opened;
}

function isMixture(data: DataFolder | readonly WeightedData[]): data is readonly WeightedData[] {
  return Array.isArray(data);
}

/** Blocks in order: a batch takes from two windows at most. */
function cachePass(index: ExampleIndex, batchSize: number): Omit<Source, 'index' | 'weight'> {
  const windowBlocks = Math.ceil(batchSize / index.blockExamples);
  return { windowBlocks, cachedBlocks: Math.min(2 * windowBlocks, countBlocks(index)) };
}

/**
 * All blocks if they fit into the dataset's share of the cache, or two windows.
 * @throws wrongUse if a window would be smaller than a batch
 */
function cacheWindows(
  index: ExampleIndex,
  batchSize: number,
  cacheBytes: number,
  datasets: number,
): Omit<Source, 'index' | 'weight'> {
  const blocks = countBlocks(index);
  const { blockBytes } = blockExtents(index);
  const fitting = Math.floor(cacheBytes / datasets / blockBytes);
  if (fitting >= blocks) return { windowBlocks: blocks, cachedBlocks: blocks };
  const windowBlocks = Math.floor(fitting / 2);
  const needed = Math.ceil(batchSize / index.blockExamples) + 1;
  // Windows of an epoch are of nearly equal size, so none is smaller than half of the largest.
  if (Math.floor(windowBlocks / 2) < needed) {
    throw new GalvaniError({
      stage: 'batch',
      expected: `at least ${datasets * Math.min(4 * needed, blocks) * blockBytes} bytes of cache for batches of ${batchSize}`,
      got: String(cacheBytes),
      where: index.file,
      remedy: 'Raise cacheBytes (--cache-bytes).',
      kind: 'wrongUse',
    });
  }
  return { windowBlocks, cachedBlocks: 2 * windowBlocks };
}

function readSpecialIds(vocabulary: Vocabulary): SpecialIds {
  return {
    pad: vocabulary.specialId('[PAD]'),
    cls: vocabulary.specialId('[CLS]'),
    sep: vocabulary.specialId('[SEP]'),
    mask: vocabulary.specialId('[MASK]'),
  };
}

function warnAboutRepeats(dataset: TokenDataset, examples: number, batchSize: number): void {
  process.emitWarning(
    `batch: expected at least ${batchSize} examples for a batch, got ${examples} (${dataset.directory}). ` +
      'Batches repeat examples; prepare more text, or make the batch smaller.',
    'GalvaniWarning',
  );
}

function otherVocabulary(first: TokenDataset, other: TokenDataset): GalvaniError {
  return new GalvaniError({
    stage: 'batch',
    expected: `datasets of one vocabulary and tokenizer, those of ${first.directory}`,
    got: 'others',
    where: other.directory,
    remedy: 'Prepare them with the same --vocab and settings.',
    kind: 'badInput',
  });
}
