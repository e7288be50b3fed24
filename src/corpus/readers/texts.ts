/**
 * What every reader of the corpus hands on: some MiB of text as lines, whatever they were read from. A line stays bytes; no
 * JavaScript string is made of it.
 */
import type { Complaint } from '../../errors.js';

export interface Texts {
  /** UTF-8, also invalid. A line ends at LF; the last one may lack it. A view, valid until the next texts are asked for. */
  bytes: Uint8Array;
  /**
   * Of records (a JSON line, a row of a table), each of which is a document: how many lines of `bytes` each one has, one at
   * least; the text of a record is followed by LF. Absent where documents are found in the lines themselves.
   */
  recordLines?: Uint32Array;
  /** Behind `bytes` stood a line of so many bytes that is too long to be held. */
  overlongBytes?: number;
}

/** What a reader calls where something cannot be read: it throws, or notes it, and the reader goes on behind it. */
export type Refuse = (at: string, complaint: Complaint) => void;
