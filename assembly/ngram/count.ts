import { ANY, CODE_BITS, contextCode, ID_BITS } from '../contexts';
import { counts, ENTRY_BYTES, prefix, prefixShift, setUsed, slotBits, start, used } from './state';

/**
 * Begin the partition of the contexts whose first `prefixBits` bits are `first`.
 *
 * at  16 × 2^bits bytes, bits ≥ 1
 */
export function startPartition(at: usize, bits: u32, prefixBits: u32, first: u32): void {
  start(at, bits, CODE_BITS - <u64>prefixBits, first);
}

/**
 * Count the tokens [first, last) of a shard, each in its contexts (left, right), (left, any) and (any, right).
 *
 * ids      of token `first`, idBytes (2 or 4) each, with the token before and the token behind the stretch where they
 *          are of the same document
 * offsets  (rows + 1) u32: the first token of each document that has a token in the stretch, and the end of the last
 * held     (rows) u8: 1 for a document that is not counted
 *
 * A document stands alone, with [CLS] before and [SEP] behind it. Special tokens but [UNK] are neighbours, never counted.
 * @returns whether all of it had room
 */
export function countStretch(
  ids: usize, idBytes: i32, first: u32, last: u32, offsets: usize, rows: i32, held: usize,
  cls: u32, sep: u32, mask: u32, pad: u32,
): bool {
  for (let row = 0; row < rows; row++) {
    if (load<u8>(held + <usize>row) != 0) continue;
    const begin = load<u32>(offsets + (<usize>row << 2));
    const end = load<u32>(offsets + (<usize>row << 2), 4);
    const hasRoom = idBytes == 2
      ? countRow<u16>(ids, first, last, begin, end, cls, sep, mask, pad)
      : countRow<u32>(ids, first, last, begin, end, cls, sep, mask, pad);
    if (!hasRoom) return false;
  }
  return true;
}

/** What is in the stretch [first, last) of the document [begin, end). */
function countRow<T>(
  ids: usize, first: u32, last: u32, begin: u32, end: u32, cls: u32, sep: u32, mask: u32, pad: u32,
): bool {
  const stop = min(last, end);
  let token = max(first, begin);
  let pos = ids + <usize>(token - first) * sizeof<T>();
  let left = token == begin ? cls : <u32>load<T>(pos - sizeof<T>());
  let id = <u32>load<T>(pos);
  while (token < stop) {
    token++;
    pos += sizeof<T>();
    const right = token == end ? sep : <u32>load<T>(pos);
    if (id != cls && id != sep && id != mask && id != pad) {
      if (!add(contextCode(left, right), id)) return false;
      if (!add(contextCode(left, ANY), id)) return false;
      if (!add(contextCode(ANY, right), id)) return false;
    }
    left = id;
    id = right;
  }
  return true;
}

// @ts-ignore: decorator
@inline
function add(code: u64, id: u32): bool {
  return (code >> prefixShift) != prefix || addKey((code << ID_BITS) | <u64>id);
}

/** Multiplicative hashing (Knuth, TAOCP 3, 6.4): the context is mixed already, the id is not. */
function addKey(key: u64): bool {
  const last = (ENTRY_BYTES << <usize>slotBits) - ENTRY_BYTES;
  let slot = <usize>((key * 0x9e3779b97f4a7c15) >> (64 - slotBits)) * ENTRY_BYTES;
  let entry = counts + slot;
  let count = load<u32>(entry, 8);
  while (count != 0 && load<u64>(entry) != key) {
    slot = (slot + ENTRY_BYTES) & last;
    entry = counts + slot;
    count = load<u32>(entry, 8);
  }
  if (count == 0) {
    if (used == 1 << (<i32>slotBits - 1)) return false;
    store<u64>(entry, key);
    setUsed(used + 1);
  }
  store<u32>(entry, count + 1, 8);
  return true;
}
