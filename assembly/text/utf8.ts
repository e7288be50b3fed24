/**
 * UTF-8: validation by dropping, decoding and encoding of single code points.
 *
 * `dropInvalid` leaves what Python's bytes.decode("utf-8", "ignore") would: a byte that is not part of a well-formed
 * sequence (Unicode 3.9, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF) vanishes and its neighbours join.
 */

/** Length of the well-formed sequence at `ptr` (1–4), or 0. `end` bounds the reading. */
function sequenceLength(ptr: usize, end: usize): usize {
  const lead: u32 = load<u8>(ptr);
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  const left = end - ptr;
  if (lead < 0xe0) return left >= 2 && isContinuation(load<u8>(ptr, 1)) ? 2 : 0;
  if (left < 3) return 0;
  const second: u32 = load<u8>(ptr, 1);
  if (lead < 0xf0) {
    if (!isContinuation(second) || !isContinuation(load<u8>(ptr, 2))) return 0;
    if (lead == 0xe0 && second < 0xa0) return 0; // overlong
    if (lead == 0xed && second > 0x9f) return 0; // surrogates
    return 3;
  }
  if (left < 4 || lead > 0xf4) return 0;
  if (!isContinuation(second) || !isContinuation(load<u8>(ptr, 2)) || !isContinuation(load<u8>(ptr, 3))) return 0;
  if (lead == 0xf0 && second < 0x90) return 0; // overlong
  if (lead == 0xf4 && second > 0x8f) return 0; // above U+10FFFF
  return 4;
}

@inline
function isContinuation(byte: u32): bool {
  return (byte & 0xc0) == 0x80;
}

/** Compact [ptr, ptr + len) in place to its well-formed part. @returns the new length. */
export function dropInvalid(ptr: usize, len: i32): i32 {
  const end = ptr + <usize>len;
  let pos = ptr;
  let out = ptr;
  while (pos < end) {
    if (pos + 16 <= end) {
      const bytes = v128.load(pos);
      if (!i8x16.bitmask(bytes)) {
        if (out != pos) v128.store(out, bytes);
        pos += 16;
        out += 16;
        continue;
      }
    }
    const length = sequenceLength(pos, end);
    if (length == 0) {
      pos++;
      continue;
    }
    for (let i: usize = 0; i < length; i++) store<u8>(out + i, load<u8>(pos + i));
    pos += length;
    out += length;
  }
  return <i32>(out - ptr);
}

/** Bytes of the sequence that begins with `lead`, which must be well formed. */
@inline
export function lengthOf(lead: u32): usize {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/** The code point at `ptr`, which must begin a well-formed sequence. */
export function decode(ptr: usize): u32 {
  const lead: u32 = load<u8>(ptr);
  if (lead < 0x80) return lead;
  const second: u32 = load<u8>(ptr, 1) & 0x3f;
  if (lead < 0xe0) return ((lead & 0x1f) << 6) | second;
  const third: u32 = load<u8>(ptr, 2) & 0x3f;
  if (lead < 0xf0) return ((lead & 0x0f) << 12) | (second << 6) | third;
  return ((lead & 0x07) << 18) | (second << 12) | (third << 6) | (load<u8>(ptr, 3) & 0x3f);
}

/** Write `codePoint` at `ptr`. @returns the bytes written. */
export function encodeCodePoint(codePoint: u32, ptr: usize): usize {
  if (codePoint < 0x80) {
    store<u8>(ptr, codePoint);
    return 1;
  }
  if (codePoint < 0x800) {
    store<u8>(ptr, 0xc0 | (codePoint >> 6));
    store<u8>(ptr, 0x80 | (codePoint & 0x3f), 1);
    return 2;
  }
  if (codePoint < 0x10000) {
    store<u8>(ptr, 0xe0 | (codePoint >> 12));
    store<u8>(ptr, 0x80 | ((codePoint >> 6) & 0x3f), 1);
    store<u8>(ptr, 0x80 | (codePoint & 0x3f), 2);
    return 3;
  }
  store<u8>(ptr, 0xf0 | (codePoint >> 18));
  store<u8>(ptr, 0x80 | ((codePoint >> 12) & 0x3f), 1);
  store<u8>(ptr, 0x80 | ((codePoint >> 6) & 0x3f), 2);
  store<u8>(ptr, 0x80 | (codePoint & 0x3f), 3);
  return 4;
}
