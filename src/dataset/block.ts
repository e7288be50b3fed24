/**
 * What tokenizing hands to the shard writer: the tokens of some consecutive lines, and where documents end.
 * A document may go on from one block into the next, so blocks can be cut at any line.
 */
export type TokenIds = Uint16Array | Uint32Array;

export interface TokenBlock {
  ids: TokenIds;
  /** Ends of the lines that hold a token, in tokens of this block, ascending; the last one is `ids.length`. */
  lineEnds: Uint32Array;
  /** Ascending; a document border stands before line i, and one at `lineEnds.length` stands after the last. */
  borders: Uint32Array;
  /** Count of every piece in `ids`, by id. */
  pieceCounts: Uint32Array;
  unknownTokens: number;
  droppedBytes: number;
}
