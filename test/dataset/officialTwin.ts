/** Official examples of one document by the rules on lists of tokens: what src/dataset/examples/official.ts is held against. */
import { drawWord, keyOfSeed } from '../../src/random/philox.js';
import { streams } from '../../src/random/streams.js';

/** A and B of an example, as the numbers of their tokens. */
export type Example = [number[], number[]];

/** The draws of a document as Python's `random` gives them, from the stream's words. */
export function drawsOf(ordinal: number) {
  let draws = 0;
  const random = () => drawWord(keyOfSeed(0), streams.officialExamples, ordinal, draws++) / 2 ** 32;
  return { random, randint: (low: number, high: number) => low + Math.floor(random() * (high - low + 1)) };
}

/** The plain twin: the rules on lists of tokens. A sentence of the queue is a list, what is not used goes back into it. */
export function cutPlainly(lines: number[], ordinal: number, T: number, overflow: 'carried' | 'discarded'): Example[] {
  const { random, randint } = drawsOf(ordinal);
  let token = 0;
  let queue = lines.map((length) => Array.from({ length }, () => token++));
  const examples: Example[] = [];
  while (queue.some((sentence) => sentence.length > 0)) {
    const target = random() < 0.05 ? randint(5, T) : T;
    const sentences: number[][] = [];
    const gathered = () => sentences.reduce((sum, sentence) => sum + sentence.length, 0);
    while (queue.length > 0 && gathered() < target) sentences.push(queue.shift() as number[]);
    const firstTarget = random() < 0.1 ? 100_000 : Math.floor((target - 3) / 2);
    let first: number[] = [];
    let second: number[] = [];
    for (const sentence of sentences) {
      if (first.length === 0 || first.length + sentence.length < firstTarget) first.push(...sentence);
      else if (second.length === 0 && first.length < firstTarget && random() < 0.5) first.push(...sentence);
      else second.push(...sentence);
    }
    first = first.slice(0, T - 2);
    second = second.slice(0, Math.max(0, T - first.length - 3));
    examples.push([first, second]);
    const used = new Set([...first, ...second]);
    if (overflow === 'carried') queue = [...sentences.map((s) => s.filter((t) => !used.has(t))), ...queue];
  }
  return examples;
}
