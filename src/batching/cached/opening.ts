/** A store of candidates as a loader asks for it: found to be whole, and for its batches. */
import path from 'node:path';
import { firstDifference } from '../../dataset/difference.js';
import { GalvaniError } from '../../errors.js';
import type { BatchOrigin } from '../origin.js';
import { wrongSetting } from '../wrongSetting.js';
import { readHeader, recordsFile } from './header.js';
import type { CandidateSource } from './reader.js';
import { layOutRecord } from './record.js';

/** @throws wrongUse for disallowCorrect of single candidates; badInput for a folder that is no store, is damaged, or is for other batches than those of `origin`. */
export async function openCandidates(
  directory: string,
  origin: BatchOrigin,
  temperature: number,
  disallowCorrect: boolean,
): Promise<CandidateSource> {
  const header = await readHeader(directory);
  const difference = firstDifference(header.origin, origin, 'origin', ['there', 'asked for']);
  if (difference !== undefined) {
    throw new GalvaniError({
      stage: 'candidates',
      expected: 'candidates for the batches that are asked for',
      got: `those of others: ${difference}`,
      where: directory,
      remedy: 'Ask for the dataset and settings that they were stored for, or store some for these.',
      kind: 'badInput',
    });
  }
  const { batches, topK, idBytes } = header;
  if (disallowCorrect && topK < 2) {
    throw wrongSetting(
      'disallowCorrect',
      'false where one candidate a place is stored, which may be the original',
      true,
    );
  }
  return { file: path.join(directory, recordsFile), batches, topK, idBytes, record: layOutRecord(header), temperature };
}
