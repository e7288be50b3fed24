/** The programs of a run by name, as it trains with them: built again from its settings and its datasets. */
import { openData } from '../batching/planning.js';
import type { Program } from '../program/program.js';
import { surveyStages } from './data.js';
import { buildPrograms } from './programs.js';
import { requireRun } from './run.js';

/** @throws where there is no run, or its datasets are not where it found them: they say how many segments a row has. */
export async function programsOfRun(directory: string): Promise<Record<string, Program>> {
  const { training, datasets } = await requireRun(directory);
  const data = await openData(datasets.map(({ directory, weight }) => ({ data: directory, weight })));
  return buildPrograms(training, await surveyStages(data, training));
}
