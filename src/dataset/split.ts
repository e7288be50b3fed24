/**
 * Which documents are held out: a pure function of (ordinal of the document in the dataset, fraction), so every run on
 * a dataset holds out the same ones whatever its seed, and a document held out at one fraction is so at any larger one.
 */
import { drawWords, keyOfSeed } from '../random/philox.js';
import { streams } from '../random/streams.js';

/** The split has a key of its own: the seed of a run must not move documents between training and validation. */
const splitKey = keyOfSeed(0);

/** 1 for each held-out document among those with ordinals firstDocument … firstDocument + count − 1. */
export function markHeldOut(firstDocument: number, count: number, fraction: number): Uint8Array {
  const held = new Uint8Array(count);
  const threshold = Math.round(fraction * 0x100000000);
  const words = new Uint32Array(Math.min(count, 4096));
  for (let start = 0; start < count; start += words.length) {
    drawWords(words, splitKey, streams.split, 0, firstDocument + start);
    for (let i = 0; i < words.length && start + i < count; i++) held[start + i] = words[i] < threshold ? 1 : 0;
  }
  return held;
}
