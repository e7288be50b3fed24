/**
 * How documents become examples, the rows of batches: a cutter takes the documents of one side of the held-out split in
 * the order of the corpus, and says which tokens stand in each example. No token is touched.
 *
 *   example  segments in a row, [CLS] A [SEP] or [CLS] A [SEP] B [SEP] each, at most T places in all
 *   piece    consecutive tokens of one shard; A and B are one piece each, or several
 */

/** What stands before a piece; [SEP] behind the last one of an example goes without saying. */
export const openings = {
  /** [CLS]: a segment begins (and [SEP] before it, where another one ends). */
  segment: 0,
  /** [SEP]: B begins, the part of the segment with token type 1. */
  second: 1,
  /** Nothing: the part goes on. */
  none: 2,
} as const;
export type Opening = (typeof openings)[keyof typeof openings];

export interface ExampleSink {
  /** Tokens [start, start + tokens) of a shard, tokens > 0, are next in the example. */
  piece(shard: number, start: number, tokens: number, opening: Opening): void;
  /** The example is whole. */
  end(): void;
}

export interface Document {
  /** Number of its shard, and its first token there. */
  shard: number;
  start: number;
  /** At least 1. */
  tokens: number;
  /** Its number in the whole dataset, held-out ones counted. */
  ordinal: number;
  /** Ends of its lines, in tokens of the document, ascending; the last one is `tokens`. Only where the cutter asks for them. */
  lineEnds?: Uint32Array;
}

export interface Cutter {
  readonly needsLines: boolean;
  add(document: Document): void;
  /** There are no more documents: what was kept back becomes examples. */
  finish(): void;
}
