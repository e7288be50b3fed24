import { philoxWords } from '../philox';

/**
 * Replacement ids from an alias table: a column, then a coin between its two ids.
 *
 * table   (V) of (threshold u32, alias u32): the column's own id if the coin is below threshold, of 2³²
 * draws   (B, N, 2) u32: column, coin
 * given   (B, N) i32 out; a draw may equal the original. Beyond a row's count, the id at place 0
 * Source: Walker 1977; Vose 1991.
 */
export function drawReplacements(
  ids: usize, counts: usize, given: usize, draws: usize, table: usize, B: i32, T: i32, N: i32, V: i32,
): void {
  for (let row = 0; row < B; row++) {
    const count = load<i32>(counts + (<usize>row << 2));
    for (let j = 0; j < count; j++) {
      const draw = draws + (<usize>j << 3);
      store<i32>(given + (<usize>j << 2), lookUp(table, V, load<u32>(draw), load<u32>(draw, 4)));
    }
    const first = load<i32>(ids);
    for (let j = count; j < N; j++) store<i32>(given + (<usize>j << 2), first);
    ids += <usize>T << 2;
    given += <usize>N << 2;
    draws += <usize>N << 3;
  }
}

/**
 * Draw again where a replacement equals the original: up to 8 times, and if all of them equal it, the next id behind it
 * (cyclic) that has a weight. What comes out has the distribution of the table without the original, renormalised, but
 * for the p⁹ of the cases that come to the end, where p is the original's share.
 *
 * drawable  (V) u8: 1 for ids that have a weight; at least two
 * scratch   16 bytes
 * Place j of row r draws attempt a at counter (first + r × N + j) × 8 + a: words 0 and 1 are column and coin.
 */
export function redrawCorrect(
  ids: usize, places: usize, counts: usize, given: usize, table: usize, drawable: usize, scratch: usize,
  first: u64, keyLow: u32, keyHigh: u32, step: u32, stream: u32, B: i32, T: i32, N: i32, V: i32,
): void {
  for (let row = 0; row < B; row++) {
    const count = load<i32>(counts + (<usize>row << 2));
    for (let j = 0; j < count; j++) {
      const original = load<i32>(ids + (<usize>load<i32>(places + (<usize>j << 2)) << 2));
      let id = load<i32>(given + (<usize>j << 2));
      if (id != original) continue;
      for (let attempt = 0; attempt < 8 && id == original; attempt++) {
        philoxWords(scratch, keyLow, keyHigh, ((first + <u64>j) << 3) + <u64>attempt, step, stream);
        id = lookUp(table, V, load<u32>(scratch), load<u32>(scratch, 4));
      }
      if (id == original) id = nextDrawable(drawable, V, original);
      store<i32>(given + (<usize>j << 2), id);
    }
    ids += <usize>T << 2;
    places += <usize>N << 2;
    given += <usize>N << 2;
    first += <u64>N;
  }
}

/** What the words of a column and a coin draw from an alias table. */
// @ts-ignore: decorator
@inline
export function lookUp(table: usize, V: i32, columnDraw: u32, coin: u32): i32 {
  const column = <u32>((<u64>columnDraw * <u64>V) >> 32);
  const entry = table + (<usize>column << 3);
  // Without a branch: coins are random.
  return select(<i32>column, load<i32>(entry, 4), coin < load<u32>(entry));
}

function nextDrawable(drawable: usize, V: i32, id: i32): i32 {
  do id = id + 1 == V ? 0 : id + 1;
  while (load<u8>(drawable + <usize>id) == 0);
  return id;
}
