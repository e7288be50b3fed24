/** From a run to the model folders that others open: the weights of its newest whole checkpoint, without the moments. */
import path from 'node:path';
import { vocabularyFile } from '../dataset/manifest.js';
import { writeModelFolders } from '../formats/huggingface.js';
import { parametersOf } from '../model/parameters.js';
import { Tokenizer } from '../text/tokenizer.js';
import { requireCheckpoint } from './checkpoint.js';
import { stagesOf } from './config.js';
import { requireRun } from './run.js';

export interface Exported {
  readonly directory: string;
  /** Updates that the weights have had. */
  readonly step: number;
  /** Values of both models, shared ones once. */
  readonly parameters: number;
}

/** `onDamage` hears of newer checkpoints that are passed over because they are not whole. */
export async function exportRun(run: string, output: string, onDamage: (message: string) => void): Promise<Exported> {
  const { training, tokenizer } = await requireRun(run);
  const checkpoint = await requireCheckpoint(run, onDamage);
  const weights = new Map<string, Float32Array>();
  for (const { name } of parametersOf(training.model)) {
    const values = checkpoint.tensors.get(name)?.values;
    if (values instanceof Float32Array) weights.set(name, values);
  }
  await writeModelFolders(output, {
    model: training.model,
    weights,
    tokenizer: await Tokenizer.fromVocab(path.join(run, vocabularyFile), tokenizer),
    maxLength: Math.max(...stagesOf(training).map(({ sequenceLength }) => sequenceLength)),
  });
  const parameters = [...weights.values()].reduce((sum, { length }) => sum + length, 0);
  return { directory: output, step: checkpoint.state.step, parameters };
}
