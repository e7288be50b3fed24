/** What becomes of ids on their way to a shard: every piece is counted, and where ids fit in 16 bits they are brought together. */

/**
 * Count the ids [ids, ids + 4 count): even ones in one table of u32 by id, odd ones in another, so that a piece that follows
 * itself does not wait for its own count.
 */
export function countIds(ids: usize, count: i32, even: usize, odd: usize): void {
  const end = ids + (<usize>count << 2);
  let src = ids;
  for (; src + 8 <= end; src += 8) {
    bump(even, load<u32>(src));
    bump(odd, load<u32>(src, 4));
  }
  if (src < end) bump(even, load<u32>(src));
}

/** Make 16-bit ids of 32-bit ones, in place. May write up to 14 bytes behind the last. */
export function packIds(ids: usize, count: i32): void {
  const end = ids + (<usize>count << 2);
  let dst = ids;
  for (let src = ids; src < end; src += 32, dst += 16) {
    v128.store(dst, i16x8.narrow_i32x4_u(v128.load(src), v128.load(src, 16)));
  }
}

@inline
function bump(table: usize, id: u32): void {
  const at = table + (<usize>id << 2);
  store<u32>(at, load<u32>(at) + 1);
}
