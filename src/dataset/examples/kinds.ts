/** The ways to form examples, by the names that `--examples` takes. */
import type { Cutter, ExampleSink } from './cutter.js';
import { DocumentCutter } from './documents.js';
import { OfficialCutter } from './official.js';
import { PackedCutter } from './packed.js';

export const exampleKinds = ['documents', 'official', 'official-strict', 'packed'] as const;
export type ExampleKind = (typeof exampleKinds)[number];

/** blockExamples: examples that are read together. */
export function makeCutter(
  kind: ExampleKind,
  sink: ExampleSink,
  sequenceLength: number,
  blockExamples: number,
): Cutter {
  switch (kind) {
    case 'documents':
      return new DocumentCutter(sink, sequenceLength);
    case 'official':
      return new OfficialCutter(sink, sequenceLength, 'carried');
    case 'official-strict':
      return new OfficialCutter(sink, sequenceLength, 'discarded');
    case 'packed':
      return new PackedCutter(sink, sequenceLength, blockExamples);
  }
}
