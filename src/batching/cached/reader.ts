/** A store of candidates as a loader uses it: found to be for its batches, then read a record at a time by the workers. */
import path from 'node:path';
import { firstDifference } from '../../dataset/difference.js';
import { FileReader } from '../../dataset/fileReader.js';
import { GalvaniError } from '../../errors.js';
import type { BatchOrigin } from '../origin.js';
import { wrongSetting } from '../wrongSetting.js';
import { damagedStore, layOutRecord, openRecord, type RecordLayout, readHeader, recordsFile } from './format.js';

/** What a worker needs to know of a store; plain data. */
export interface CandidateSource {
  file: string;
  /** K: step s has the rows and masks of batch s mod K. */
  batches: number;
  /** k */
  topK: number;
  idBytes: number;
  record: RecordLayout;
  temperature: number;
}

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

export class CandidateReader {
  private readonly reader = new FileReader();

  constructor(private readonly source: CandidateSource) {}

  /**
   * The record of a batch.
   * @param planesSum sumOfPlanes of the batch as it was made here
   * @throws badInput for one that is damaged, or was stored for other rows and masks
   */
  read(batch: number, planesSum: number, into: Uint8Array): void {
    const { file, record } = this.source;
    this.reader.read(file, batch * record.bytes, record.bytes, into, 0);
    const stored = openRecord(into, batch);
    if (stored === planesSum) return;
    throw damagedStore(
      file,
      `the record of batch ${batch}`,
      stored === undefined ? 'other bytes than were written' : 'one for other rows or masks',
    );
  }

  close(): void {
    this.reader.close();
  }
}
