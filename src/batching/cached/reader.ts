/** Reads a store of candidates, a record at a time, for the workers of a loader. */
import { FileReader } from '../../dataset/fileReader.js';
import { damagedStore, openRecord, type RecordLayout } from './record.js';

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
