/**
 * The word cache: bytes of a run → its ids, for runs of at most 31 bytes. It never changes what is written, only how fast.
 *
 * Keys of up to 15 bytes and longer ones have tables of their own. A line holds two entries. A new key takes the second place
 * of its line; a hit there swaps the two: frequent words stay in the first place however many rare ones come by, and a
 * stream that changes its language brings its own words in. A table begins small and doubles when it has to forget much:
 * the first touch of a page costs as much as ten words, and a small table stays in the processor's caches.
 *
 *   short line, 64 bytes, two entries of   0 ─ key: the bytes, zero-filled; byte 15 = length
 *                                         16 ─ list of ids, 16 bytes
 *   long line, 128 bytes, two entries of   0 ─ key: the bytes, zero-filled; byte 31 = length
 *                                         32 ─ list of ids, 32 bytes
 *
 * A list is of Id = u16 where the vocabulary allows, u32 else: ids, and in its last place their number. More ids than that lie
 * in the ring of u32, their place (u64) here; new ones overwrite the oldest, and an entry whose ids are gone is a miss.
 */
import { LONG_BITS, RING_BITS, SHORT_BITS, longLines, ring, shortLines } from './state';

const FIRST_SHORT_BITS: u32 = 12;
const FIRST_LONG_BITS: u32 = 9;

export const SHORT_LIST: usize = 16;
export const LONG_LIST: usize = 32;

/** No run of 31 bytes gives more; the ring is read sixteen bytes at a time and has as much room behind its end. */
const MOST_IDS: usize = 64;
/** A line on its way. */
const held = memory.data(128);

const RING_WORDS: u64 = 1 << RING_BITS;

/** Words written to the ring so far: the place of the next list, modulo the ring's size. */
let ringHead: u64 = 0;

let shortBits: u32 = FIRST_SHORT_BITS;
let longBits: u32 = FIRST_LONG_BITS;
/** Entries that were replaced since the table last grew. */
let shortForgotten: u32 = 0;
let longForgotten: u32 = 0;

@inline
export function isSame(a: v128, b: v128): bool {
  return !v128.any_true(v128.xor(a, b));
}

/** The first bits of a hash are its line, whatever the table's size. */
@inline
function hashOfShort(key: v128): u64 {
  const mixed = i64x2.extract_lane(key, 0) ^ rotl<i64>(i64x2.extract_lane(key, 1), 29);
  return <u64>(mixed * 0x9e3779b97f4a7c15);
}

@inline
function hashOfLong(key: v128, rest: v128): u64 {
  return <u64>((<i64>hashOfShort(key) ^ rotl<i64>(<i64>hashOfShort(rest), 32)) * 0x9e3779b97f4a7c15);
}

/** The line of a key of at most 15 bytes. */
@inline
export function shortLineOf(key: v128): usize {
  return shortLines + (<usize>(hashOfShort(key) >> (64 - <u64>shortBits)) << 6);
}

/** The line of a key of 16 to 31 bytes, in two halves. */
@inline
export function longLineOf(key: v128, rest: v128): usize {
  return longLines + (<usize>(hashOfLong(key, rest) >> (64 - <u64>longBits)) << 7);
}

/** The entry of a line that a new key takes. */
export function entryForShort(line: usize): usize {
  if (!v128.any_true(v128.load(line))) return line;
  if (v128.any_true(v128.load(line, 32))) shortForgotten++;
  return line + 32;
}

export function entryForLong(line: usize): usize {
  if (!v128.any_true(v128.load(line, 16))) return line;
  if (v128.any_true(v128.load(line, 64 + 16))) longForgotten++;
  return line + 64;
}

/** Double the tables that forgot a thirty-second of their lines. Moves lines: none may be in hand. */
@inline
export function growCrowded(): void {
  if (shortForgotten >> (shortBits - 5) && shortBits < SHORT_BITS) growShort();
  if (longForgotten >> (longBits - 5) && longBits < LONG_BITS) growLong();
}

/** Line n becomes lines 2n and 2n + 1, by the hash's next bit; from the last to the first, each has been read before it is written. */
function growShort(): void {
  for (let n = (1 << shortBits) - 1; n >= 0; n--) {
    const line = shortLines + (<usize>n << 6);
    splitLine(line, shortLines + (<usize>n << 7), 32, isOdd(hashOfShort(v128.load(line)), shortBits), isOdd(hashOfShort(v128.load(line, 32)), shortBits));
  }
  shortBits++;
  shortForgotten = 0;
}

function growLong(): void {
  for (let n = (1 << longBits) - 1; n >= 0; n--) {
    const line = longLines + (<usize>n << 7);
    const first = hashOfLong(v128.load(line), v128.load(line, 16));
    const second = hashOfLong(v128.load(line, 64), v128.load(line, 80));
    splitLine(line, longLines + (<usize>n << 8), 64, isOdd(first, longBits), isOdd(second, longBits));
  }
  longBits++;
  longForgotten = 0;
}

@inline
function isOdd(hash: u64, bits: u32): bool {
  return ((hash >> (63 - <u64>bits)) & 1) != 0;
}

/** Move a line's two entries, `bytes` each, into the two lines at `to`; an entry's first place is filled first. */
function splitLine(line: usize, to: usize, bytes: usize, firstIsOdd: bool, secondIsOdd: bool): void {
  copyVectors(held, line, 2 * bytes);
  for (let i: usize = 0; i < 4 * bytes; i += 16) v128.store(to + i, i64x2.splat(0));
  const first = to + (firstIsOdd ? 2 * bytes : 0);
  const second = to + (secondIsOdd ? 2 * bytes : 0);
  copyVectors(first, held, bytes);
  copyVectors(second + (firstIsOdd == secondIsOdd ? bytes : 0), held + bytes, bytes);
}

/** Not memory.copy: for a line, the call costs more than the copying. */
@inline
function copyVectors(to: usize, from: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += 16) v128.store(to + i, v128.load(from + i));
}

/** Number of ids of the list of `bytes`. */
@inline
export function countOfList<Id>(list: usize, bytes: usize): usize {
  return <usize>load<Id>(list + bytes - sizeof<Id>());
}

/** The most ids that a list of `bytes` holds itself. */
@inline
export function roomOfList<Id>(bytes: usize): usize {
  return bytes / sizeof<Id>() - 1;
}

/** Write what lies in a list of `bytes` at `dst`, as `bytes` / sizeof(Id) words, its count among them. */
@inline
export function writeInline<Id>(list: usize, bytes: usize, dst: usize): void {
  for (let i: usize = 0; i < bytes; i += 16) {
    const ids = v128.load(list + i);
    if (sizeof<Id>() == 2) {
      v128.store(dst + 2 * i, i32x4.extend_low_i16x8_u(ids));
      v128.store(dst + 2 * i, i32x4.extend_high_i16x8_u(ids), 16);
    } else {
      v128.store(dst + i, ids);
    }
  }
}

/** Write the ids of any list at `dst`, up to 16 words beyond its end. @returns the end of the ids, or 0 if they are gone. */
export function writeList<Id>(list: usize, bytes: usize, dst: usize): usize {
  const count = countOfList<Id>(list, bytes);
  const end = dst + (count << 2);
  if (count <= roomOfList<Id>(bytes)) {
    writeInline<Id>(list, bytes, dst);
    return end;
  }
  const place = load<u64>(list);
  if (ringHead - place > RING_WORDS) return 0;
  const from = ring + (<usize>(place & (RING_WORDS - 1)) << 2);
  for (let i: usize = 0; i < count << 2; i += 16) v128.store(dst + i, v128.load(from + i));
  return end;
}

/** Keep [ids, end) in a list of `bytes`. @returns false where they are too many. */
export function keepList<Id>(list: usize, bytes: usize, ids: usize, end: usize): bool {
  const count = (end - ids) >> 2;
  if (count > MOST_IDS) return false;
  if (count <= roomOfList<Id>(bytes)) {
    for (let i: usize = 0; i < count; i++) store<Id>(list + i * sizeof<Id>(), <Id>load<u32>(ids + (i << 2)));
  } else {
    if ((ringHead & (RING_WORDS - 1)) + count > RING_WORDS) ringHead = (ringHead | (RING_WORDS - 1)) + 1;
    memory.copy(ring + (<usize>(ringHead & (RING_WORDS - 1)) << 2), ids, end - ids);
    store<u64>(list, ringHead);
    ringHead += count;
  }
  store<Id>(list + bytes - sizeof<Id>(), <Id>count);
  return true;
}

/** Exchange the two entries of a line, `bytes` each. */
export function swapEntries(line: usize, bytes: usize): void {
  for (let i: usize = 0; i < bytes; i += 16) {
    const held = v128.load(line + i);
    v128.store(line + i, v128.load(line + bytes + i));
    v128.store(line + bytes + i, held);
  }
}
