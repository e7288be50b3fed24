/**
 * `documents`: each document by itself, cut into windows of T − 2 tokens ([CLS] and [SEP] take the other two places), the
 * last one shorter. No token is lost.
 */
import { type Cutter, type Document, type ExampleSink, openings } from './cutter.js';

export class DocumentCutter implements Cutter {
  readonly needsLines = false;
  private readonly windowTokens: number;

  constructor(
    private readonly sink: ExampleSink,
    sequenceLength: number,
  ) {
    this.windowTokens = sequenceLength - 2;
  }

  add({ shard, start, tokens }: Document): void {
    for (let at = 0; at < tokens; at += this.windowTokens) {
      this.sink.piece(shard, start + at, Math.min(this.windowTokens, tokens - at), openings.segment);
      this.sink.end();
    }
  }

  finish(): void {}
}
