/** What merging is about: the datasets that go in, what is to come out, and how far it is. */
import type { Manifest } from './manifest.js';
import type { WriterOptions, WriterState } from './writer.js';

export interface MergeProgress {
  doing: 'linking' | 'comparing hashes' | 'writing documents';
  done: number;
  total: number;
  unit: 'shards' | 'documents';
}

/** A dataset that goes into another. */
export interface Source {
  directory: string;
  manifest: Manifest;
}

/** What the merged dataset is to be; `state` has everything that the sources hold, but for the shards themselves. */
export type MergeTarget = WriterOptions & { state: WriterState };
