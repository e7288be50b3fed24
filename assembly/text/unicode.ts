/**
 * What the pinned tables say of a code point. Two-stage look-ups; the tables come from src/text/generated (see state.ts for
 * their layout), never from the runtime.
 */
import { decode, lengthOf } from './utf8';
import { classRecords, classStage1, classStage2, mapStage1, mapStage2 } from './state';

/** Class bits. The first three hold for characters of the raw text, the others for characters after mapping. */
export const DROP: u32 = 1;
export const SPACE: u32 = 2;
export const IDEOGRAPH: u32 = 4;
export const PUNCTUATION: u32 = 8;
export const MARK: u32 = 16;
export const CASED: u32 = 32;
export const IGNORABLE: u32 = 64;

/** Class bits in the low byte, canonical combining class in the high byte. */
export function classOf(codePoint: u32): u32 {
  const block: usize = load<u16>(classStage1 + ((<usize>codePoint >> 7) << 1));
  const record: usize = load<u8>(classStage2 + (block << 7) + (codePoint & 127));
  return load<u16>(classRecords + (record << 1));
}

/** Index into the map's pool, or 0 where the character stays itself. */
export function mapOf(codePoint: u32): u32 {
  if (mapStage1 == 0) return 0;
  const block: usize = load<u16>(mapStage1 + ((<usize>codePoint >> 7) << 1));
  return load<u16>(mapStage2 + (((block << 7) + (codePoint & 127)) << 1));
}

/**
 * Whether the capital sigma at `ptr` ends a word by Python's rule: the nearest character before it that is not case-ignorable
 * is cased, and the nearest after it is not. The context is the whitespace token inside [start, end): dropped characters are
 * looked through, spaces and ideographs end it.
 * Source: CPython 3.11, Objects/unicodeobject.c, handle_capital_sigma.
 */
export function isFinalSigma(ptr: usize, start: usize, end: usize): bool {
  let pos = ptr;
  let before: u32 = 0;
  while (pos > start) {
    do pos--;
    while ((load<u8>(pos) & 0xc0) == 0x80);
    before = contextOf(decode(pos));
    if (before != IGNORABLE) break;
  }
  if (before != CASED) return false;
  pos = ptr + 2;
  while (pos < end) {
    const after = contextOf(decode(pos));
    if (after != IGNORABLE) return after != CASED;
    pos += lengthOf(load<u8>(pos));
  }
  return true;
}

/** IGNORABLE: look further. CASED: a cased letter. 0: anything that ends the search. */
function contextOf(codePoint: u32): u32 {
  const bits = classOf(codePoint);
  if (bits & (DROP | IGNORABLE)) return IGNORABLE;
  return bits & (SPACE | IDEOGRAPH) ? 0 : bits & CASED;
}
