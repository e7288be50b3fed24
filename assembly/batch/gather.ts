/**
 * The rows of `ids`, from pieces of blocks (src/dataset/examples/blocks.ts): [CLS] before each segment, [SEP] behind each
 * part, [PAD] to the end.
 *
 *   rows     (B, 3) u32: address of the block's tokens, address of its index (0: a row of padding), number of the example
 *            in it; openRows makes of them: tokens, address of the row's first piece, pieces
 *   piece    place in the block's tokens u32; tokens | opening << 30: 0 segment, 1 second part, 2 goes on
 */

/** Everything about all rows is asked for before any is copied, so that misses of the cache overlap. @returns nothing of use */
export function openRows(rows: usize, B: i32, idBytes: i32): u32 {
  const end = rows + 12 * <usize>B;
  for (let row = rows; row < end; row += 12) {
    const head = <usize>load<u32>(row, 4);
    if (head == 0) {
      store<u32>(row, 0, 8);
      continue;
    }
    // Behind head and runs stand the firsts of n examples, one more, and the pieces.
    const firsts = head + 16 + 20 * <usize>load<u32>(head, 4);
    const pieces = firsts + ((<usize>load<u32>(head) + 1) << 2);
    const own = firsts + (<usize>load<u32>(row, 8) << 2);
    const first = load<u32>(own);
    store<u32>(row, <u32>(pieces + (<usize>first << 3)), 4);
    store<u32>(row, load<u32>(own, 4) - first, 8);
  }
  let touched: u32 = 0;
  for (let row = rows; row < end; row += 12) {
    if (load<u32>(row, 8) == 0) continue;
    const piece = <usize>load<u32>(row, 4);
    const source = <usize>load<u32>(row) + <usize>load<u32>(piece) * <usize>idBytes;
    touched += load<u32>(source & ~63);
  }
  return touched;
}

/** What a row takes of a batch: its longest row decides how far all of them are filled up. */
export function longestRow(rows: usize, B: i32): i32 {
  let longest = 0;
  for (let row = 0; row < B; row++) {
    const pieces = <usize>load<u32>(rows, 4);
    const count = load<i32>(rows, 8);
    let length = 0;
    for (let i: usize = 0; i < <usize>count; i++) {
      const word = load<u32>(pieces + (i << 3), 4);
      // [CLS] and [SEP] with a segment, [SEP] with a second part.
      length += <i32>(word & 0x3fffffff) + 2 - min<i32>(word >>> 30, 2);
    }
    longest = max(longest, length);
    rows += 12;
  }
  return longest;
}

/**
 * ids      (B, T) i32 out
 * lengths  (B, S) i32 out: places of each segment, [CLS] and [SEP] among them; 0 for one that the row does not have
 * seconds  (B, S) i32 out: where the second part begins in the segment; its length where there is none
 * @returns Σ lengths
 */
export function gatherRows(
  rows: usize, B: i32, S: i32, T: i32, idBytes: i32, ids: usize, lengths: usize, seconds: usize,
  cls: i32, sep: i32, pad: i32,
): i32 {
  let total = 0;
  for (let row = 0; row < B; row++) {
    const used = gatherRow(rows, idBytes, ids, lengths, seconds, S, cls, sep);
    const end = ids + (<usize>T << 2);
    fill(ids + (<usize>used << 2), end, pad);
    total += used;
    rows += 12;
    ids = end;
    lengths += <usize>S << 2;
    seconds += <usize>S << 2;
  }
  return total;
}

function gatherRow(
  row: usize, idBytes: i32, ids: usize, lengths: usize, seconds: usize, S: i32, cls: i32, sep: i32,
): i32 {
  const tokens = <usize>load<u32>(row);
  let piece = <usize>load<u32>(row, 4);
  const end = piece + (<usize>load<u32>(row, 8) << 3);
  const lengthsEnd = lengths + (<usize>S << 2);
  let pos = ids;
  let start = ids;
  let second: usize = 0;
  while (piece < end) {
    const word = load<u32>(piece, 4);
    const opening = word >>> 30;
    if (opening == 0) {
      if (pos > ids) {
        pos = closeSegment(pos, start, second, lengths, seconds, sep);
        lengths += 4;
        seconds += 4;
      }
      start = pos;
      second = 0;
      store<i32>(pos, cls);
      pos += 4;
    } else if (opening == 1) {
      store<i32>(pos, sep);
      pos += 4;
      second = pos;
    }
    const n = <i32>(word & 0x3fffffff);
    const source = tokens + <usize>load<u32>(piece) * <usize>idBytes;
    if (idBytes == 2) widen(source, pos, n);
    else memory.copy(pos, source, <usize>n << 2);
    pos += <usize>n << 2;
    piece += 8;
  }
  if (pos > ids) {
    pos = closeSegment(pos, start, second, lengths, seconds, sep);
    lengths += 4;
    seconds += 4;
  }
  while (lengths < lengthsEnd) {
    store<i32>(lengths, 0);
    store<i32>(seconds, 0);
    lengths += 4;
    seconds += 4;
  }
  return <i32>((pos - ids) >> 2);
}

/** @returns where the next segment begins */
function closeSegment(pos: usize, start: usize, second: usize, lengths: usize, seconds: usize, sep: i32): usize {
  store<i32>(pos, sep);
  pos += 4;
  const length = <i32>((pos - start) >> 2);
  store<i32>(lengths, length);
  store<i32>(seconds, second == 0 ? length : <i32>((second - start) >> 2));
  return pos;
}

/** uint16 → int32, eight at a time. */
function widen(source: usize, target: usize, n: i32): void {
  const end = source + (<usize>n << 1);
  while (source + 16 <= end) {
    const eight = v128.load(source);
    v128.store(target, i32x4.extend_low_i16x8_u(eight));
    v128.store(target, i32x4.extend_high_i16x8_u(eight), 16);
    source += 16;
    target += 32;
  }
  while (source < end) {
    store<i32>(target, <i32>load<u16>(source));
    source += 2;
    target += 4;
  }
}

function fill(pos: usize, end: usize, value: i32): void {
  const four = i32x4.splat(value);
  while (pos + 16 <= end) {
    v128.store(pos, four);
    pos += 16;
  }
  while (pos < end) {
    store<i32>(pos, value);
    pos += 4;
  }
}
