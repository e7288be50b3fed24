/**
 * A batch where there is no dataset, for measuring: every row T long, N places masked in each, ids by Philox. It costs a
 * step what the fullest batch of a loader does.
 */
import type { Batch } from '../batching/loader.js';
import { maskedPerRow } from '../batching/masking.js';
import { drawWords, integerOfWord, keyOfSeed } from '../random/philox.js';
import { streams } from '../random/streams.js';
import type { Stage, TrainingConfig } from './config.js';

export function syntheticBatch(config: TrainingConfig, stage: Stage, step: number): Batch {
  const { batchSize: B, sequenceLength: T, replacement } = stage;
  const N = maskedPerRow(config.mask_prob, T);
  const draw = (count: number, stream: number) => {
    const words = new Uint32Array(count);
    drawWords(words, keyOfSeed(config.seed), stream, step);
    return Int32Array.from(words, (word) => integerOfWord(word, config.model.generator.vocab_size));
  };
  return {
    ...{ step, B, T, N, S: 1 },
    ids: draw(B * T, streams.masks),
    lengths: new Int32Array(B).fill(T),
    seconds: new Int32Array(B).fill(T),
    places: Int32Array.from({ length: B * N }, (_, i) => Math.floor(((i % N) * T) / N)),
    seen: draw(B * N, streams.maskChoice),
    counts: new Int32Array(B).fill(N),
    given: replacement !== 'generator' ? draw(B * N, streams.replacement) : undefined,
    maskedCount: B * N,
    tokenCount: B * T,
    release() {},
  };
}
