/**
 * Characters of three bytes that always are words of their own: ideographs, and most punctuation beyond ASCII. Their ids lie in
 * a table by code point, filled from the exact path when a character is first met.
 *
 *   0 not met yet   1 joins its neighbours, or is not that simple   2 white space   else the id + 3
 */
import { encodeRun } from './normalize';
import { isolated } from './state';
import { DROP, IDEOGRAPH, PUNCTUATION, SPACE, classOf, mapOf } from './unicode';

export const JOINS: u32 = 1;
export const BLANK: u32 = 2;
export const FIRST_ID: u32 = 3;

/** What the character of three bytes at `ptr` is; `dst` has room for its ids. */
@inline
export function isolatedAt(ptr: usize, dst: usize): u32 {
  const bytes = load<u32>(ptr);
  const codePoint = ((bytes & 0x0f) << 12) | ((bytes >> 2) & 0x0fc0) | ((bytes >> 16) & 0x3f);
  const known = load<u32>(isolated + (<usize>codePoint << 2));
  return known ? known : meet(codePoint, ptr, dst);
}

function meet(codePoint: u32, ptr: usize, dst: usize): u32 {
  const found = judge(codePoint, ptr, dst);
  store<u32>(isolated + (<usize>codePoint << 2), found);
  return found;
}

function judge(codePoint: u32, ptr: usize, dst: usize): u32 {
  const kind = classOf(codePoint);
  if (kind & DROP) return JOINS;
  if (kind & SPACE) return BLANK;
  const standsAlone = kind & IDEOGRAPH || (kind & PUNCTUATION && mapOf(codePoint) == 0 && kind >> 8 == 0);
  if (!standsAlone) return JOINS;
  const end = encodeRun(ptr, ptr + 3, ptr, ptr + 3, dst);
  const id = load<u32>(dst);
  return end - dst == 4 && id < u32.MAX_VALUE - FIRST_ID ? id + FIRST_ID : JOINS;
}
