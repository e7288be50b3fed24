/**
 * One row of `ids`: [CLS] text [SEP], and [PAD] to the end.
 *
 * source  n ids of idBytes (2 or 4) each, n ≤ T − 2; nothing beyond them is read
 * row     (T) i32 out
 * @returns the row's length: n + 2
 */
export function gatherRow(source: usize, n: i32, idBytes: i32, row: usize, T: i32, cls: i32, sep: i32, pad: i32): i32 {
  store<i32>(row, cls);
  const text = row + 4;
  if (idBytes == 2) widen(source, text, n);
  else memory.copy(text, source, <usize>n << 2);
  store<i32>(text + (<usize>n << 2), sep);
  fill(text + (<usize>(n + 1) << 2), row + (<usize>T << 2), pad);
  return n + 2;
}

/** A row without text, behind the end of a finite pass: all [PAD]. */
export function padRow(row: usize, T: i32, pad: i32): void {
  fill(row, row + (<usize>T << 2), pad);
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
