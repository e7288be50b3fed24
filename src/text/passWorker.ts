/** A thread of passes.ts: its own instance of the text module, its word cache kept from pass to pass. */
import { workerData } from 'piscina';
import { WordPieceEncoder } from './encoder.js';
import { begun, next, type PassData } from './passes.js';

const { module, tables, threads, cuts, text, ids, counts, state } = workerData as PassData;
const encoder = new WordPieceEncoder(module, tables);

/** Take ranges until each has been taken `times` times. Every thread begins before any goes on. */
export default function encodeRanges(times: number): void {
  if (Atomics.add(state, begun, 1) === threads - 1) Atomics.notify(state, begun);
  for (let seen = Atomics.load(state, begun); seen < threads; seen = Atomics.load(state, begun)) {
    Atomics.wait(state, begun, seen);
  }
  for (;;) {
    const turn = Atomics.add(state, next, 1);
    if (turn >= times * counts.length) return;
    const range = turn % counts.length;
    const encoded = encoder.encodeLines(text.subarray(cuts[range], cuts[range + 1])).ids;
    ids.set(encoded, cuts[range]);
    counts[range] = encoded.length;
  }
}
