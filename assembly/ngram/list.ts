import { ID_BITS } from '../contexts';
import { counts, ENTRY_BYTES, slotBits, used } from './state';

/** A key has 63 bits: six digits of 11. The number is even, so that the entries end where they began. */
const DIGIT_BITS: u64 = 11;
const DIGITS = 6;
const BUCKETS = 1 << 11;

/**
 * Sort what was counted by key, into the back half of the table: packed there, it goes to the front and back again, a
 * digit at a time (radix sort from the lowest digit on).
 *
 * tallies  4 × 2048 bytes of scratch
 */
export function sortCounts(tallies: usize): void {
  const back = pack();
  let from = back;
  let to = counts;
  for (let digit = 0; digit < DIGITS; digit++) {
    sortDigit(from, to, <u64>digit * DIGIT_BITS, tallies);
    const other = from;
    from = to;
    to = other;
  }
}

/** Move all entries to the end of the table, which they fill to a half at most. @returns the middle, where they are moved to then */
function pack(): usize {
  const end = counts + (ENTRY_BYTES << <usize>slotBits);
  let to = end;
  for (let from = end; from > counts; ) {
    from -= ENTRY_BYTES;
    if (load<u32>(from, 8) == 0) continue;
    to -= ENTRY_BYTES;
    v128.store(to, v128.load(from));
  }
  const middle = backHalf();
  memory.copy(middle, to, end - to);
  return middle;
}

function sortDigit(from: usize, to: usize, shift: u64, tallies: usize): void {
  memory.fill(tallies, 0, 4 * BUCKETS);
  const end = from + <usize>used * ENTRY_BYTES;
  for (let entry = from; entry < end; entry += ENTRY_BYTES) {
    const tally = tallies + (digitOf(entry, shift) << 2);
    store<u32>(tally, load<u32>(tally) + 1);
  }
  let before: u32 = 0;
  for (let tally = tallies; tally < tallies + 4 * BUCKETS; tally += 4) {
    const here = load<u32>(tally);
    store<u32>(tally, before);
    before += here;
  }
  for (let entry = from; entry < end; entry += ENTRY_BYTES) {
    const tally = tallies + (digitOf(entry, shift) << 2);
    const place = load<u32>(tally);
    store<u32>(tally, place + 1);
    v128.store(to + <usize>place * ENTRY_BYTES, v128.load(entry));
  }
}

// @ts-ignore: decorator
@inline
function digitOf(entry: usize, shift: u64): usize {
  return <usize>(load<u64>(entry) >> shift) & (BUCKETS - 1);
}

function backHalf(): usize {
  return counts + (ENTRY_BYTES << <usize>(slotBits - 1));
}

/**
 * The contexts in the order of their codes, from the beginning of the table on, as words:
 *
 *   code, low 32 bits │ pieces << 10 │ code, high 10 bits │ tokens + types │ (id, count) for each piece, by id
 *
 * Pieces are those that stand there at least `leastCount` times; tokens and types are of all. A context without pieces
 * is left out. Written are at most 20 bytes an entry, and read are 16 from the middle on, so the one is never overtaken.
 * @returns bytes written
 */
export function listContexts(leastCount: u32): usize {
  let entry = backHalf();
  const end = entry + <usize>used * ENTRY_BYTES;
  let at = counts;
  while (entry < end) {
    const code = load<u64>(entry) >> ID_BITS;
    let weight: u32 = 0;
    let to = at + 12;
    do {
      const id = load<u32>(entry) & 0x1fffff;
      const count = load<u32>(entry, 8);
      weight += count + 1;
      entry += ENTRY_BYTES;
      if (count >= leastCount) {
        store<u32>(to, id);
        store<u32>(to, count, 4);
        to += 8;
      }
    } while (entry < end && load<u64>(entry) >> ID_BITS == code);
    const pieces = <u32>((to - at - 12) >> 3);
    if (pieces == 0) continue;
    store<u32>(at, <u32>code);
    store<u32>(at, (pieces << 10) | <u32>(code >> 32), 4);
    store<u32>(at, weight, 8);
    at = to;
  }
  return at - counts;
}
