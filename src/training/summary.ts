/** What a person wants to know of a run, or of one checkpoint, at a glance. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { parametersOf } from '../model/parameters.js';
import { sizeOf } from '../ops/operation.js';
import { checkpointFolder, listCheckpoints, readCheckpoint, tensorsFile } from './checkpoint.js';
import { type MetricsLine, readMetrics } from './metrics.js';
import { type RunConfig, requireRun } from './run.js';

export interface RunSummary extends Omit<RunConfig, 'format' | 'format_version'> {
  /** Updates that the newest checkpoint holds. */
  readonly step: number;
  /** Values of both models, shared ones once. */
  readonly parameters: number;
  readonly checkpoints: readonly { readonly step: number; readonly bytes: number }[];
  /** The last lines of metrics of each kind. */
  readonly metrics: { readonly train?: MetricsLine; readonly evaluation?: MetricsLine };
}

/** Reads no tensors: whether a checkpoint is whole shows when it is inspected itself. */
export async function summarizeRun(directory: string): Promise<RunSummary> {
  const { format: _, format_version: __, ...run } = await requireRun(directory);
  const lines = await readMetrics(directory);
  const checkpoints = await Promise.all(
    (await listCheckpoints(directory)).map(async (step) => {
      const file = path.join(checkpointFolder(directory, step), tensorsFile);
      return {
        step,
        bytes: await stat(file).then(
          ({ size }) => size,
          () => 0,
        ),
      };
    }),
  );
  return {
    ...run,
    step: checkpoints.at(-1)?.step ?? 0,
    parameters: parametersOf(run.training.model).reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    checkpoints,
    metrics: {
      train: lines.findLast(({ kind }) => kind === 'train'),
      evaluation: lines.findLast(({ kind }) => kind === 'evaluation'),
    },
  };
}

export interface CheckpointSummary {
  readonly step: number;
  readonly build: string;
  readonly values: number;
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

/** @throws badInput that names the file, for a checkpoint that is not whole. */
export async function summarizeCheckpoint(directory: string): Promise<CheckpointSummary> {
  const { state, tensors } = await readCheckpoint(directory);
  const shapes = [...tensors].map(([name, { shape }]) => ({ name, shape }));
  return {
    step: state.step,
    build: state.build,
    values: shapes.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    tensors: shapes,
  };
}
