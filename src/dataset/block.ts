/**
 * What tokenizing hands to the dataset's writer: the tokens of some consecutive lines, and where documents end.
 * A document may go on from one block into the next, so blocks can be cut at any line.
 */
import type { Skipped } from './manifest.js';

export type TokenIds = Uint16Array | Uint32Array;

export interface TokenBlock {
  ids: TokenIds;
  /** Ends of the lines that hold a token, in tokens of this block, ascending; the last one is `ids.length`. */
  lineEnds: Uint32Array;
  /** Ascending; a document border stands before line i, and one at `lineEnds.length` stands after the last. */
  borders: Uint32Array;
  /** (borders + 1): bytes of text before each border and behind the last, line ends not counted. Absent where nobody asks. */
  textBytes?: Float64Array;
}

/** More are counted, but not listed. */
export const mostSkippedListed = 10_000;

/** What tokenizing found in the text of one or several blocks. */
export interface TextCounts {
  /** Count of every piece, by id. */
  pieces: Uint32Array;
  /** Lines that hold a token. */
  lines: number;
  /** Bytes that are no UTF-8 and were left out. */
  droppedBytes: number;
  /** Records that could not be read. */
  errors: number;
  /** The first of them. */
  skipped: Skipped[];
}

/** The part of a block behind border `from` (its beginning: −1) and before border `to` (its end: `borders.length`). */
export function cutBlock(block: TokenBlock, from: number, to: number): TokenBlock {
  const { ids, lineEnds, borders, textBytes } = block;
  const lineAt = (border: number) => (border < 0 ? 0 : border < borders.length ? borders[border] : lineEnds.length);
  const [firstLine, endLine] = [lineAt(from), lineAt(to)];
  const tokenAt = (line: number) => (line === 0 ? 0 : lineEnds[line - 1]);
  const firstToken = tokenAt(firstLine);
  return {
    ids: ids.subarray(firstToken, tokenAt(endLine)) as TokenIds,
    lineEnds: lineEnds.slice(firstLine, endLine).map((end) => end - firstToken),
    borders: borders.slice(from + 1, to).map((border) => border - firstLine),
    textBytes: textBytes?.slice(from + 1, to + 1),
  };
}
