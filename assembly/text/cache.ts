/**
 * The word cache: bytes of a run → its ids, for runs of at most 15 bytes. Open addressing with linear probing; it stops
 * admitting when half full, so its memory is bounded and look-ups stay short; the words that come first are, by Zipf, the
 * frequent ones. What is cached never changes what is written, only how fast.
 *
 *   slot, 32 bytes:   0 ─ key: the bytes, zero-filled; byte 15 = length, | 0x80 for raw bytes (not plain ASCII words)
 *                    16 ─ info: ids (low 16 bits) | unknown tokens among them << 16
 *                    20 ─ up to three ids, or, when there are more, their first word in the arena
 */
import { cacheArena, cacheArenaWords, cacheBits, cacheSlots } from './state';

const INLINE_IDS: u32 = 3;

let admitted: u32 = 0;
let arenaUsed: u32 = 0;

/** The slot of the key: its own, or the empty one where it belongs. */
@inline
export function findSlot(key: v128): usize {
  const mixed = i64x2.extract_lane(key, 0) ^ rotl<i64>(i64x2.extract_lane(key, 1), 29);
  const mask: usize = (1 << cacheBits) - 1;
  let index = <usize>(<u64>(mixed * 0x9e3779b97f4a7c15) >> (64 - <u64>cacheBits));
  let slot = cacheSlots + (index << 5);
  let there = v128.load(slot);
  while (v128.any_true(v128.xor(there, key)) && v128.any_true(there)) {
    index = (index + 1) & mask;
    slot = cacheSlots + (index << 5);
    there = v128.load(slot);
  }
  return slot;
}

@inline
export function infoOf(slot: usize): u32 {
  return load<u32>(slot, 16);
}

/** Write the slot's ids at `dst` (three words are always written). @returns the end of the ids. */
@inline
export function writeIds(slot: usize, dst: usize): usize {
  const count: usize = load<u16>(slot, 16);
  if (count <= INLINE_IDS) {
    store<u64>(dst, load<u64>(slot, 20));
    store<u32>(dst, load<u32>(slot, 28), 8);
  } else {
    memory.copy(dst, cacheArena + (<usize>load<u32>(slot, 20) << 2), count << 2);
  }
  return dst + (count << 2);
}

/** Keep the `count` ids at `ids` in an empty slot. @returns whether there was room; then the caller writes the key. */
export function admit(slot: usize, ids: usize, count: u32, unknown: u32): bool {
  if (admitted >= 1 << (cacheBits - 1)) return false;
  if (count > INLINE_IDS) {
    if (arenaUsed + count > cacheArenaWords) return false;
    memory.copy(cacheArena + (<usize>arenaUsed << 2), ids, <usize>count << 2);
    store<u32>(slot, arenaUsed, 20);
    arenaUsed += count;
  } else {
    for (let i: usize = 0; i < count; i++) store<u32>(slot + 20 + (i << 2), load<u32>(ids + (i << 2)));
  }
  store<u32>(slot, count | (unknown << 16), 16);
  admitted++;
  return true;
}
