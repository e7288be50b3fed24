/**
 * What a trained generator would put in, kept for runs without one (Fast-ELECTRA, arXiv 2310.07347): the generator of a
 * run's newest checkpoint reads batches as a loader will make them again, and at each masked place its most likely ids
 * go into a store, which `replacement: 'cached'` draws from.
 */
import type { CandidateHeader } from '../batching/cached/header.js';
import { layOutRecord, sumOfPlanes } from '../batching/cached/record.js';
import { CandidateWriter } from '../batching/cached/writer.js';
import { type Batch, type Loader, openLoader } from '../batching/loader.js';
import type { LoaderOptions } from '../batching/options.js';
import { originOf } from '../batching/origin.js';
import { openData } from '../batching/planning.js';
import type { Inputs, Runtime } from '../engines/engine.js';
import { loadEngine } from '../engines/index.js';
import { GalvaniError } from '../errors.js';
import { buildFillMask } from '../model/electra.js';
import { requireCheckpoint, restoreVariables } from './checkpoint.js';
import { settingsOf, type TrainingConfig, withSettings } from './config.js';
import { batchOptions, surveyStages } from './data.js';
import { requireRun } from './run.js';
import { TopCandidates } from './topCandidates.js';

export interface CacheCandidatesOptions {
  /** Run folder that `pretrain` made: the generator of its newest whole checkpoint is taken. */
  run: string;
  /** Folder made by `prepare`, of the run's vocabulary; or several, with their weights. */
  data: LoaderOptions['data'];
  /** Folder that is made. What a stopped call left beside it, at `<output>.partial`, is gone on with. */
  output: string;
  /** K, batches: training goes through them over and over. */
  steps: number;
  /** k, candidates a masked place. Place by place (4 + bytes of an id) × k bytes. */
  topK: number;
  /**
   * What the run that will use them has set otherwise than this one, by the names of config.json: `seed`, `batch_size`,
   * `sequence_length`, … Batches are those of its last stage.
   */
  settings?: object;
  /** Default `wasm`. */
  engine?: string;
  /** Compute threads. Default: what the machine has. */
  threads?: number;
  /** Threads that make batches. Default 1. */
  workers?: number;
  onProgress?(done: number, of: number): void;
  /** Checkpoints that are passed over because they are not whole. */
  onWarning?(message: string): void;
  /** Stop behind the batch at hand; another call goes on. */
  signal?: AbortSignal;
}

export interface CachedCandidates {
  readonly directory: string;
  /** Batches that are stored. */
  readonly batches: number;
  /** false when it was stopped; there is no `directory` then. */
  readonly isDone: boolean;
  /** Of all records. */
  readonly bytes: number;
}

/**
 * @throws wrongUse for numbers that cannot be; badInput for a folder that is no run or dataset, a dataset of another
 * vocabulary, or an output of other settings.
 */
export async function cacheCandidates(options: CacheCandidatesOptions): Promise<CachedCandidates> {
  const { run, output, steps, topK, onProgress, signal, workers } = options;
  const saved = await requireRun(run);
  const config = withSettings(saved.training, settingsOf(options.settings ?? {}, 'settings'));
  const data = await openData(options.data);
  const [{ data: first }] = data;
  if (first.manifest.vocabulary.sha256 !== saved.vocabulary.sha256) throw otherVocabulary(run, first.directory);
  const stages = await surveyStages(data, config);
  expectCount('steps', steps, 2 ** 31 - 1);
  expectCount('topK', topK, Math.min(config.model.generator.vocab_size, 1024));
  const checkpoint = await requireCheckpoint(run, options.onWarning ?? (() => {}));
  const stage = { ...stages[stages.length - 1], replacement: 'generator' as const };
  const batches = { ...batchOptions(data, config, stage, { workers }), bucket: false };
  const header: CandidateHeader = {
    format: 'galvani-candidates',
    formatVersion: 1,
    generator: { step: checkpoint.state.step, tensorsSha256: checkpoint.state.tensors_sha256 },
    batches: steps,
    topK,
    idBytes: first.idBytes,
    origin: originOf(batches, data),
  };
  const finished = { directory: output, batches: steps, isDone: true, bytes: steps * layOutRecord(header).bytes };
  const writer = await CandidateWriter.open(output, header);
  if (writer === undefined) return finished;
  let loader: Loader | undefined;
  let runtime: Runtime | undefined;
  let isLeft = true;
  try {
    loader = await openLoader({ ...batches, startStep: writer.batches });
    const shape = {
      rows: stage.microBatchSize,
      places: stage.sequenceLength,
      masked: loader.maskedPerRow,
      segments: loader.segments,
    };
    const engine = await loadEngine(options.engine ?? 'wasm');
    runtime = await engine.load({ [program]: buildFillMask(config.model, shape) }, { threads: options.threads });
    await restoreVariables(runtime, checkpoint);
    while (writer.batches < steps && !signal?.aborted) {
      const batch = (await loader.next())!;
      const { logProbs, ids } = await candidatesOf(batch, runtime, config, stage.microBatchSize, topK);
      await writer.append(logProbs, ids, sumOfPlanes(batch));
      batch.release();
      onProgress?.(writer.batches, steps);
    }
    isLeft = writer.batches < steps;
  } finally {
    await runtime?.close();
    await loader?.close();
    if (isLeft) await writer.leave();
  }
  if (isLeft) {
    const stored = writer.batches;
    return { ...finished, batches: stored, isDone: false, bytes: stored * layOutRecord(header).bytes };
  }
  await writer.finish();
  return finished;
}

const program = 'fillMask';

/** (B, N, k) of a batch. While the host ranks, the engine is at the next rows. */
async function candidatesOf(batch: Batch, runtime: Runtime, config: TrainingConfig, rows: number, topK: number) {
  const { B, N, counts } = batch;
  const { vocab_size: V } = config.model.generator;
  const found = { logProbs: new Float32Array(B * N * topK), ids: new Int32Array(B * N * topK) };
  const top = new TopCandidates(V, topK);
  const pending: Promise<void>[] = [];
  for (let first = 0; first < B; first += rows) {
    const ticket = await runtime.submit(program, hiddenRows(batch, first, rows));
    const ranked = ticket.outputs.then(({ logits }) => {
      for (let row = 0; row < rows; row++) {
        for (let j = 0; j < counts[first + row]; j++) {
          const to = ((first + row) * N + j) * topK;
          top.rank(logits, (row * N + j) * V, found.ids, found.logProbs, to);
        }
      }
    });
    // What goes wrong is heard below, or by the next submit; until then it must not count as unheard.
    ranked.catch(() => {});
    pending.push(ranked);
  }
  await Promise.all(pending);
  return found;
}

/** Rows as the generator sees them. */
function hiddenRows(
  { ids, lengths, seconds, places, seen, counts, T, S, N }: Batch,
  first: number,
  rows: number,
): Inputs {
  const hidden = ids.slice(first * T, (first + rows) * T);
  for (let row = 0; row < rows; row++) {
    const at = (first + row) * N;
    for (let j = 0; j < counts[first + row]; j++) hidden[row * T + places[at + j]] = seen[at + j];
  }
  return {
    ids: hidden,
    lengths: lengths.slice(first * S, (first + rows) * S),
    seconds: seconds.slice(first * S, (first + rows) * S),
    places: places.slice(first * N, (first + rows) * N),
    // Nothing is drawn: inference has no dropout.
    draw: new Int32Array(4),
  };
}

function expectCount(name: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= most) return;
  throw new GalvaniError({
    stage: 'candidates',
    expected: `a whole number from 1 to ${most}`,
    got: String(value),
    where: name,
    remedy: `Change ${name}.`,
    kind: 'wrongUse',
  });
}

function otherVocabulary(run: string, data: string): GalvaniError {
  return new GalvaniError({
    stage: 'candidates',
    expected: `a dataset of the vocabulary of ${run}`,
    got: 'one of another',
    where: data,
    remedy: 'Prepare the text with the vocab.txt of the run.',
    kind: 'badInput',
  });
}
