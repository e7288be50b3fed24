/** What a person wants to know of model folders at a glance. */
import type { ElectraConfig } from '../model/config.js';
import type { ModelPart } from '../model/parameters.js';
import { findModelFolders, modelParts, readModelFolder } from './huggingface.js';

export interface ModelSummary {
  readonly part: ModelPart;
  readonly directory: string;
  readonly config: ElectraConfig;
  readonly parameters: number;
  readonly tensors: readonly { readonly name: string; readonly values: number }[];
}

/** Of the one model in `directory`, or of both in folders of their names. */
export async function summarizeModels(directory: string): Promise<ModelSummary[]> {
  const found = await findModelFolders(directory);
  const summaries: ModelSummary[] = [];
  for (const part of modelParts) {
    const folder = found[part];
    if (folder === undefined) continue;
    const { config, weights } = await readModelFolder(folder);
    const tensors = [...weights].map(([name, { length }]) => ({ name, values: length }));
    const parameters = tensors.reduce((sum, { values }) => sum + values, 0);
    summaries.push({ part, directory: folder, config, parameters, tensors });
  }
  return summaries;
}
