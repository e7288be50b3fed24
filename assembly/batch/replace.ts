/**
 * Replacement ids by token frequency, from an alias table: a column, then a coin between its two ids.
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
      const column = <u32>((<u64>load<u32>(draws + (<usize>j << 3)) * <u64>V) >> 32);
      const coin = load<u32>(draws + (<usize>j << 3), 4);
      const entry = table + (<usize>column << 3);
      store<i32>(given + (<usize>j << 2), coin < load<u32>(entry) ? column : load<i32>(entry, 4));
    }
    const first = load<i32>(ids);
    for (let j = count; j < N; j++) store<i32>(given + (<usize>j << 2), first);
    ids += <usize>T << 2;
    given += <usize>N << 2;
    draws += <usize>N << 3;
  }
}
