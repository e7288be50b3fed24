/** The n-gram model by plain maps: what is counted, what is drawn, and how likely each piece is, as the rules say it. */
import { integerOfWord } from '../../src/random/philox.js';
import { special } from './twin.js';

export const any = '*';
type Neighbour = number | typeof any;

export interface Context {
  /** By id, in the order of ids: pieces that stand there at least `leastCount` times. */
  counts: Map<number, number>;
  /** Tokens and types of all pieces. */
  weight: number;
}

export type Model = Map<string, Context>;

const isSpecial = new Set<number>(Object.values(special));

export function contextName(left: Neighbour, right: Neighbour): string {
  return `${left} ${right}`;
}

/** `isCounted` says whether a token of a document is, by the number of tokens before it in all documents. */
export function countPlainly(
  documents: number[][],
  leastCount: number,
  isCounted: (token: number, document: number) => boolean = () => true,
): Model {
  const all = new Map<string, Map<number, number>>();
  let token = 0;
  for (const [number, ids] of documents.entries()) {
    for (const [i, id] of ids.entries()) {
      if (!isCounted(token++, number) || isSpecial.has(id)) continue;
      const left = ids[i - 1] ?? special.cls;
      const right = ids[i + 1] ?? special.sep;
      for (const name of [contextName(left, right), contextName(left, any), contextName(any, right)]) {
        const counts = all.get(name) ?? new Map<number, number>();
        all.set(name, counts);
        counts.set(id, (counts.get(id) ?? 0) + 1);
      }
    }
  }
  const model: Model = new Map();
  for (const [name, counts] of all) {
    const kept = [...counts].filter(([, count]) => count >= leastCount).sort(([a], [b]) => a - b);
    const weight = [...counts.values()].reduce((sum, count) => sum + count + 1, 0);
    if (kept.length > 0) model.set(name, { counts: new Map(kept), weight });
  }
  return model;
}

/** The five words of a place → the replacement. `excluded` is the original, where it may not come. */
export function drawPlainly(
  model: Model,
  aliases: Uint32Array,
  left: Neighbour,
  right: Neighbour,
  words: ArrayLike<number>,
  excluded?: number,
): number {
  const side = words[1] < 2 ** 31 ? contextName(left, any) : contextName(any, right);
  return (
    drawIn(model.get(contextName(left, right)), words[0], excluded) ??
    drawIn(model.get(side), words[2], excluded) ??
    drawAlias(aliases, words[3], words[4])
  );
}

function drawIn(context: Context | undefined, word: number, excluded?: number): number | undefined {
  if (context === undefined) return undefined;
  const own = excluded === undefined ? 0 : (context.counts.get(excluded) ?? 0);
  let left = Number((BigInt(word) * BigInt(context.weight - own)) >> 32n);
  for (const [id, count] of context.counts) {
    if (id === excluded) continue;
    if (left < count) return id;
    left -= count;
  }
  return undefined;
}

function drawAlias(aliases: Uint32Array, word: number, coin: number): number {
  const column = integerOfWord(word, aliases.length / 2);
  return coin < aliases[2 * column] ? column : aliases[2 * column + 1];
}

/** P(id | left, right) of each id, from the probabilities of the lowest level. */
export function probabilities(
  model: Model,
  unigram: number[],
  left: Neighbour,
  right: Neighbour,
  excluded?: number,
): number[] {
  const blend = (name: string, below: number[]) => {
    const context = model.get(name);
    if (context === undefined) return below;
    const own = excluded === undefined ? 0 : (context.counts.get(excluded) ?? 0);
    const weight = context.weight - own;
    const counts = below.map((_, id) => (id === excluded ? 0 : (context.counts.get(id) ?? 0)));
    const rest = weight - counts.reduce((sum, count) => sum + count, 0);
    return below.map((share, id) => (counts[id] + rest * share) / weight);
  };
  const besideLeft = blend(contextName(left, any), unigram);
  const besideRight = blend(contextName(any, right), unigram);
  return blend(
    contextName(left, right),
    besideLeft.map((share, id) => (share + besideRight[id]) / 2),
  );
}

const codeMask = (1n << 42n) - 1n;

/** The 42 bits of a context; of assembly/contexts.ts. */
export function codeOf(name: string): bigint {
  const [left, right] = name.split(' ').map((neighbour) => (neighbour === any ? 0x1fffffn : BigInt(neighbour)));
  let code = (left << 21n) | right;
  code ^= code >> 21n;
  code = (code * (0xbf58476d1ce4e5b9n & codeMask)) & codeMask;
  code ^= code >> 21n;
  code = (code * (0x94d049bb133111ebn & codeMask)) & codeMask;
  return code ^ (code >> 21n);
}

/** The table of a model, word for word, as src/batching/ngram/table.ts says it. */
export function tableOf(model: Model, leastCount: number): Uint32Array {
  const contexts = [...model].map(([name, context]) => ({ code: codeOf(name), ...context }));
  contexts.sort((a, b) => (a.code < b.code ? -1 : 1));
  const buckets = Math.max(1, contexts.length);
  const starts: number[] = [];
  const words: number[] = [];
  const first = 4 + buckets + 1;
  for (const { code, counts, weight } of contexts) {
    const bucket = Number(((code >> 10n) * BigInt(buckets)) >> 32n);
    while (starts.length <= bucket) starts.push(first + words.length);
    words.push(Number(code & 0xffffffffn), counts.size * 1024 + Number(code >> 32n), weight);
    let before = 0;
    for (const [id, count] of counts) {
      before += count;
      words.push(id, before);
    }
  }
  while (starts.length <= buckets) starts.push(first + words.length);
  const pieces = contexts.reduce((sum, { counts }) => sum + counts.size, 0);
  return Uint32Array.from([buckets, contexts.length, pieces, leastCount, ...starts].concat(words));
}
