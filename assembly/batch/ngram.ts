import { ANY, contextCode } from '../contexts';
import { lookUp } from './replace';

const HEADER_BYTES: usize = 16;

/**
 * Replacement ids by their neighbours: a trigram model that sees both sides, with back-off.
 *
 *   P(w | l, r) = (c(l w r) + e × P(w | l or r)) / D     D = tokens + types seen in the context, Σ c + e = D
 *   P(w | l)    = (c(l w) + e × P(w)) / D                likewise P(w | r); a fair coin says which
 *   P(w)        = the alias table of token counts
 *
 * The weight of each level is Witten and Bell's (IEEE Trans. Inf. Theory 37, 1991, method C), and what was left out of
 * the table belongs to the level below. A context that is not in it has no weight; a neighbour outside of the row is any.
 *
 * ids     (B, T) i32; neighbours are the ids that stand there, masked or not
 * places  (B, N) i32, counts (B) i32
 * given   (B, N) i32 out; beyond a row's count, the id at place 0
 * draws   (B, N, 5) u32: in (l, r); the coin, left if below 2³¹; in the one-sided context; column and coin of the alias
 *         table
 * tables  (B) u32: where each row's table stands (src/batching/ngram/table.ts); aliases (V) of (threshold u32, alias u32)
 *
 * disallowCorrect takes the original out of the two upper levels, each renormalised by itself. What the last level drew
 * may still equal it, for redrawCorrect. All in integers. Source: Feng et al., "CodeBERT", EMNLP 2020, 3.3.
 */
export function drawNgrams(
  ids: usize, places: usize, counts: usize, given: usize, draws: usize, tables: usize, aliases: usize,
  B: i32, T: i32, N: i32, V: i32, disallowCorrect: bool,
): void {
  for (let row = 0; row < B; row++) {
    const count = load<i32>(counts + (<usize>row << 2));
    const table = <usize>load<u32>(tables + (<usize>row << 2));
    lookUpContexts(ids, places, given, table, count, T);
    for (let j = 0; j < count; j++) {
      const place = load<i32>(places + (<usize>j << 2));
      const excluded = disallowCorrect ? load<i32>(ids + (<usize>place << 2)) : -1;
      const draw = draws + <usize>j * 20;
      let id = drawIn(table, load<u32>(given + (<usize>j << 2)), load<u32>(draw), excluded);
      if (id < 0) {
        const isLeft = load<u32>(draw, 4) < 0x80000000;
        const code = isLeft
          ? contextCode(leftOf(ids, place), ANY)
          : contextCode(ANY, rightOf(ids, place, T));
        id = drawIn(table, findContext(table, code), load<u32>(draw, 8), excluded);
      }
      if (id < 0) id = lookUp(aliases, V, load<u32>(draw, 12), load<u32>(draw, 16));
      store<i32>(given + (<usize>j << 2), id);
    }
    const first = load<i32>(ids);
    for (let j = count; j < N; j++) store<i32>(given + (<usize>j << 2), first);
    ids += <usize>T << 2;
    places += <usize>N << 2;
    given += <usize>N << 2;
    draws += <usize>N * 20;
  }
}

/** Where the contexts of a row's places stand, 0 for none: all are asked before one is drawn from, so that misses overlap. */
function lookUpContexts(row: usize, places: usize, found: usize, table: usize, count: i32, T: i32): void {
  for (let j = 0; j < count; j++) {
    const place = load<i32>(places + (<usize>j << 2));
    const code = contextCode(leftOf(row, place), rightOf(row, place, T));
    store<u32>(found + (<usize>j << 2), findContext(table, code));
  }
}

// @ts-ignore: decorator
@inline
function leftOf(row: usize, place: i32): u32 {
  return place > 0 ? load<u32>(row + (<usize>place << 2) - 4) : ANY;
}

// @ts-ignore: decorator
@inline
function rightOf(row: usize, place: i32, T: i32): u32 {
  return place + 1 < T ? load<u32>(row + (<usize>place << 2), 4) : ANY;
}

/** A piece of the context that begins at this word of the table, without `excluded`. @returns −1 for the level below */
function drawIn(table: usize, start: u32, word: u32, excluded: i32): i32 {
  if (start == 0) return -1;
  const context = table + (<usize>start << 2);
  const pieces = context + 12;
  const count = load<u32>(context, 4) >> 10;
  // The original's own counts are [before, before + own).
  let before: u32 = 0;
  let own: u32 = 0;
  if (excluded >= 0) {
    const k = lowerBound(pieces, count, <u32>excluded);
    if (k < count && load<u32>(pieces + (<usize>k << 3)) == <u32>excluded) {
      before = cumulativeBefore(pieces, k);
      own = cumulativeBefore(pieces, k + 1) - before;
    }
  }
  let drawn = <u32>((<u64>word * <u64>(load<u32>(context, 8) - own)) >> 32);
  if (drawn >= before) drawn += own;
  if (drawn >= cumulativeBefore(pieces, count)) return -1;
  return load<i32>(pieces + (<usize>upperBound(pieces + 4, count, drawn) << 3));
}

/** The first word of the context in the table, or 0: those of a bucket stand one behind the other. */
function findContext(table: usize, code: u64): u32 {
  const low = <u32>code;
  const high = <u32>(code >> 32);
  const bucket = table + HEADER_BYTES + (<usize>(((code >> 10) * <u64>load<u32>(table)) >> 32) << 2);
  const end = load<u32>(bucket, 4);
  for (let start = load<u32>(bucket); start < end; ) {
    const context = table + (<usize>start << 2);
    const packed = load<u32>(context, 4);
    if (load<u32>(context) == low && (packed & 0x3ff) == high) return start;
    start += 3 + ((packed >> 10) << 1);
  }
  return 0;
}

// @ts-ignore: decorator
@inline
function cumulativeBefore(pieces: usize, k: u32): u32 {
  return k == 0 ? 0 : load<u32>(pieces + (<usize>k << 3) - 4);
}

/** How many of `count` ascending words, 8 bytes apart, are below `value`. */
function lowerBound(words: usize, count: u32, value: u32): u32 {
  let low: u32 = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (load<u32>(words + (<usize>middle << 3)) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How many of them are at most `value`. */
// @ts-ignore: decorator
@inline
function upperBound(words: usize, count: u32, value: u32): u32 {
  return lowerBound(words, count, value + 1);
}
