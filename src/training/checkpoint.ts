/**
 * Checkpoints: `checkpoints/step-N/` with model.safetensors (every variable by name, no engine's layout) and state.json
 * (what else the run needs to go on, and the checksum of the tensors). Written beside, flushed, renamed: a checkpoint
 * is whole or absent. One that is damaged later is named and passed over for the newest that is whole.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { Runtime, TypedArray, VariableInfo } from '../engines/engine.js';
import { GalvaniError } from '../errors.js';
import { explainWriteError, publishFolder, sha256File, writeFileDurably } from '../files.js';
import { readSafetensors, type StoredTensor, type StoredTensors, writeSafetensors } from '../formats/safetensors.js';
import { release } from '../release.js';

const stateSchema = z.strictObject({
  format: z.literal('galvani-checkpoint'),
  format_version: z.literal(1),
  /** Updates done. */
  step: z.int().nonnegative(),
  /** Engine build that computed it: another one goes on with other last bits. */
  build: z.string(),
  /** Sums since the last line of metrics. */
  sums: z.record(z.string(), z.number()),
  tensors_sha256: z.string(),
});
export type CheckpointState = z.infer<typeof stateSchema>;

export interface Checkpoint {
  readonly directory: string;
  readonly state: CheckpointState;
  readonly tensors: StoredTensors;
}

export const tensorsFile = 'model.safetensors';
export const stateFile = 'state.json';

export function checkpointFolder(run: string, step: number): string {
  return path.join(run, 'checkpoints', `step-${step}`);
}

export async function writeCheckpoint(
  run: string,
  state: Omit<CheckpointState, 'format' | 'format_version' | 'tensors_sha256'>,
  variables: readonly VariableInfo[],
  snapshot: ReadonlyMap<string, TypedArray>,
): Promise<string> {
  const tensors = tensorsOf(variables, snapshot, state.step);
  const final = checkpointFolder(run, state.step);
  const beside = path.join(run, 'checkpoints', `.step-${state.step}.tmp-${process.pid}`);
  try {
    await rm(beside, { recursive: true, force: true });
    await mkdir(beside, { recursive: true });
    await writeSafetensors(path.join(beside, tensorsFile), tensors);
    const whole: CheckpointState = {
      format: 'galvani-checkpoint',
      format_version: 1,
      ...state,
      tensors_sha256: await sha256File(path.join(beside, tensorsFile)),
    };
    await writeFileDurably(path.join(beside, stateFile), `${JSON.stringify(whole, null, 2)}\n`);
    await rm(final, { recursive: true, force: true });
    await publishFolder(beside, final);
  } catch (error) {
    await rm(beside, { recursive: true, force: true });
    throw explainWriteError(error, final);
  }
  return final;
}

/** Steps of the checkpoints of a run, ascending; whether they are whole shows when they are read. */
export async function listCheckpoints(run: string): Promise<number[]> {
  const names = await readdir(path.join(run, 'checkpoints')).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names
    .map((name) => /^step-(\d+)$/.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
}

/**
 * The newest checkpoint that is whole, or undefined where there are none; `onDamage` hears of those that are not.
 * @throws badInput when there are some and none is whole: what was learned is not thrown away without a word.
 */
export async function readNewestCheckpoint(
  run: string,
  onDamage: (message: string) => void,
): Promise<Checkpoint | undefined> {
  const steps = await listCheckpoints(run);
  for (const step of steps.toReversed()) {
    try {
      return await readCheckpoint(checkpointFolder(run, step));
    } catch (error) {
      if (!(error instanceof GalvaniError)) throw error;
      onDamage(error.message);
    }
  }
  if (steps.length === 0) return undefined;
  throw new GalvaniError({
    stage: 'checkpoint',
    expected: 'one that is whole',
    got: `damaged ones alone: ${steps.map((step) => `step-${step}`).join(', ')}`,
    where: path.join(run, 'checkpoints'),
    remedy: 'Bring one back from a copy, or move the folder away to begin again from step 0.',
    kind: 'badInput',
  });
}

/** Like readNewestCheckpoint, for those who need one to be there. */
export async function requireCheckpoint(run: string, onDamage: (message: string) => void): Promise<Checkpoint> {
  const checkpoint = await readNewestCheckpoint(run, onDamage);
  if (checkpoint) return checkpoint;
  throw new GalvaniError({
    stage: 'run',
    expected: 'a run with a whole checkpoint',
    got: 'none',
    where: run,
    remedy: 'Train on with "galvani pretrain" until the next checkpoint.',
    kind: 'badInput',
  });
}

/** @throws badInput that names the file, for a checkpoint that is not whole. */
export async function readCheckpoint(directory: string): Promise<Checkpoint> {
  const stateAt = path.join(directory, stateFile);
  const tensorsAt = path.join(directory, tensorsFile);
  const state = parseState(await readFile(stateAt, 'utf8').catch(() => ''), stateAt);
  const sum = await sha256File(tensorsAt).catch(() => 'no file');
  if (sum !== state.tensors_sha256) throw damaged(tensorsAt, `SHA-256 ${state.tensors_sha256}`, sum);
  return { directory, state, tensors: (await readSafetensors(tensorsAt)).tensors };
}

/**
 * Puts a checkpoint's tensors into a runtime: the variables that it has, whichever engine wrote them. The tensors'
 * memory is given back.
 */
export async function restoreVariables(runtime: Runtime, { directory, tensors }: Checkpoint): Promise<void> {
  const values = new Map<string, TypedArray>();
  for (const { name, shape, role } of runtime.variables()) {
    if (role === 'gradient') continue;
    const tensor = tensors.get(name);
    if (String(tensor?.shape) !== String(shape)) {
      throw damaged(path.join(directory, tensorsFile), `${name} of [${shape}]`, tensor ? `[${tensor.shape}]` : 'none');
    }
    values.set(name, tensor!.values);
  }
  await runtime.write(values);
  release([...tensors.values()].map((tensor) => tensor.values));
}

/**
 * Keeps the newest `most` up to `step`. Later ones are damaged, or the run would have gone on from them; they go, and so
 * does what killed processes left half-written.
 */
export async function pruneCheckpoints(run: string, step: number, most: number): Promise<void> {
  const folder = path.join(run, 'checkpoints');
  const kept = (await listCheckpoints(run)).filter((other) => other <= step).slice(-most);
  const names = new Set(kept.map((other) => `step-${other}`));
  for (const name of await readdir(folder)) {
    if (/^\.?step-/.test(name) && !names.has(name)) await rm(path.join(folder, name), { recursive: true, force: true });
  }
}

function parseState(text: string, file: string): CheckpointState {
  try {
    return stateSchema.parse(JSON.parse(text));
  } catch {
    throw damaged(file, 'the state of a checkpoint, format version 1', text === '' ? 'nothing' : 'something else');
  }
}

function damaged(file: string, expected: string, got: string): GalvaniError {
  return new GalvaniError({
    stage: 'checkpoint',
    expected,
    got,
    where: file,
    remedy: 'The checkpoint is damaged; an older one is used if there is one.',
    kind: 'badInput',
  });
}

/** What a checkpoint holds: all but gradients. @throws for weights that are no numbers, which nobody could go on from. */
function tensorsOf(
  variables: readonly VariableInfo[],
  snapshot: ReadonlyMap<string, TypedArray>,
  step: number,
): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const { name, shape, role } of variables) {
    if (role === 'gradient') continue;
    const values = toFloat32(snapshot.get(name) as TypedArray);
    const wrong = values.find((value) => !Number.isFinite(value));
    if (wrong !== undefined) {
      throw new GalvaniError({
        stage: 'step',
        expected: `finite values in ${name}`,
        got: String(wrong),
        where: `step ${step}`,
        remedy:
          'Lower learning_rate and run again; it goes on from the newest checkpoint: remove one that is spoiled already.',
      });
    }
    tensors.set(name, { shape, values });
  }
  return tensors;
}

function toFloat32(values: TypedArray): Float32Array {
  return values instanceof Float32Array ? values : Float32Array.from(values);
}
