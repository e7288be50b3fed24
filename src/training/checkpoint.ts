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
import { publishFolder, sha256File, writeFileDurably } from '../files.js';
import { readSafetensors, type StoredTensor, type StoredTensors, writeSafetensors } from '../formats/safetensors.js';

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

const tensorsFile = 'model.safetensors';
const stateFile = 'state.json';

export async function writeCheckpoint(
  run: string,
  state: Omit<CheckpointState, 'format' | 'format_version' | 'tensors_sha256'>,
  variables: readonly VariableInfo[],
  snapshot: ReadonlyMap<string, TypedArray>,
): Promise<string> {
  const final = path.join(run, 'checkpoints', `step-${state.step}`);
  const beside = path.join(run, 'checkpoints', `.step-${state.step}.tmp-${process.pid}`);
  await rm(beside, { recursive: true, force: true });
  await mkdir(beside, { recursive: true });
  try {
    const kept = variables.filter(({ role }) => role !== 'gradient');
    const tensors = new Map(
      kept.map(({ name, shape }): [string, StoredTensor] => [
        name,
        { shape, values: toFloat32(snapshot.get(name) as TypedArray) },
      ]),
    );
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
    throw error;
  }
  return final;
}

/** Steps of the checkpoints of a run, ascending; whether they are whole shows when they are read. */
export async function listCheckpoints(run: string): Promise<number[]> {
  const names = await readdir(path.join(run, 'checkpoints')).catch(() => []);
  return names
    .map((name) => /^step-(\d+)$/.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
}

/** The newest checkpoint that is whole, if there is one; `onDamage` hears of those that are not. */
export async function readNewestCheckpoint(
  run: string,
  onDamage: (message: string) => void,
): Promise<Checkpoint | undefined> {
  for (const step of (await listCheckpoints(run)).reverse()) {
    try {
      return await readCheckpoint(path.join(run, 'checkpoints', `step-${step}`));
    } catch (error) {
      if (!(error instanceof GalvaniError)) throw error;
      onDamage(error.message);
    }
  }
  return undefined;
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

/** Puts a checkpoint's tensors into a runtime: the variables that it has, whichever engine wrote them. */
export async function restoreVariables(runtime: Runtime, { directory, tensors }: Checkpoint): Promise<void> {
  for (const { name, shape, role } of runtime.variables()) {
    if (role === 'gradient') continue;
    const tensor = tensors.get(name);
    if (String(tensor?.shape) !== String(shape)) {
      throw damaged(path.join(directory, tensorsFile), `${name} of [${shape}]`, tensor ? `[${tensor.shape}]` : 'none');
    }
    await runtime.write(name, tensor!.values);
  }
}

/** Keeps the newest `most`, and clears what killed processes left half-written. */
export async function pruneCheckpoints(run: string, most: number): Promise<void> {
  const folder = path.join(run, 'checkpoints');
  const steps = await listCheckpoints(run);
  for (const step of steps.slice(0, Math.max(0, steps.length - most))) {
    await rm(path.join(folder, `step-${step}`), { recursive: true, force: true });
  }
  for (const name of await readdir(folder).catch(() => [])) {
    if (name.startsWith('.step-')) await rm(path.join(folder, name), { recursive: true, force: true });
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

function toFloat32(values: TypedArray): Float32Array {
  return values instanceof Float32Array ? values : Float32Array.from(values);
}
