/**
 * Strings, sixteen bytes at a time: every one is written unescaped as it is read, and whoever asked keeps it or not. Storing
 * what nobody keeps costs less than telling the two cases apart.
 *
 * `out` must lie at least 16 bytes before `pos`: a block that is stored then never reaches what is still to be read, since no
 * escape is shorter than what it stands for. LF ends the reading, so that nothing here looks for the end of the text.
 */
import { encodeCodePoint } from '../text/utf8';
import { CONTROL, ESCAPE, UNTERMINATED, refuse } from './refusal';

const LF: u32 = 0x0a;
const QUOTE: u32 = 0x22;
const BACKSLASH: u32 = 0x5c;
/** A backslash and a `u`, as they lie in memory. */
const UNIT_BEGIN: u32 = 0x755c;
const REPLACEMENT: u32 = 0xfffd;

/** Of the string written last: its end, and the line feeds in it. They can only come from escapes. */
export let stringEnd: usize = 0;
export let lineFeeds: u32 = 0;

/** What a letter behind a backslash stands for; 0 where it stands for nothing by itself. Without branches: text mixes them. */
const escapes = memory.data(256);
store<u8>(escapes, QUOTE, 0x22);
store<u8>(escapes, BACKSLASH, 0x5c);
store<u8>(escapes, 0x2f, 0x2f); // solidus
store<u8>(escapes, 0x08, 0x62); // b
store<u8>(escapes, 0x09, 0x74); // t
store<u8>(escapes, LF, 0x6e); // n
store<u8>(escapes, 0x0c, 0x66); // f
store<u8>(escapes, 0x0d, 0x72); // r

/** What `readUnits` wrote ends here. */
let unitsEnd: usize = 0;

/** @param pos behind the opening quote. @returns the place behind the closing one, or 0. */
export function readString(pos: usize, out: usize): usize {
  const opening = pos - 1;
  lineFeeds = 0;
  while (true) {
    const bytes = v128.load(pos);
    v128.store(out, bytes);
    const stops = v128.or(
      v128.or(i8x16.eq(bytes, i8x16.splat(<i8>QUOTE)), i8x16.eq(bytes, i8x16.splat(<i8>BACKSLASH))),
      i8x16.le_u(bytes, i8x16.splat(0x1f)),
    );
    if (!v128.any_true(stops)) {
      pos += 16;
      out += 16;
      continue;
    }
    const plain = <usize>ctz(i8x16.bitmask(stops));
    pos += plain;
    out += plain;
    const byte: u32 = load<u8>(pos);
    if (byte == QUOTE) {
      stringEnd = out;
      return pos + 1;
    }
    if (byte != BACKSLASH) return byte == LF ? refuse(UNTERMINATED, opening) : refuse(CONTROL, pos);
    do {
      const letter: u32 = load<u8>(pos, 1);
      const meant: u32 = load<u8>(escapes + letter);
      if (meant) {
        store<u8>(out, meant);
        lineFeeds += u32(meant == LF);
        pos += 2;
        out += 1;
      } else {
        if (letter != 0x75) return refuse(ESCAPE, pos);
        pos = readUnits(pos, out);
        if (pos == 0) return 0;
        out = unitsEnd;
      }
    } while (load<u8>(pos) == BACKSLASH);
  }
}

/** A UTF-16 unit as `\uXXXX`, or the two of a pair. A surrogate without its other half becomes U+FFFD. */
function readUnits(pos: usize, out: usize): usize {
  let codePoint = unitAt(pos + 2);
  if (codePoint < 0) return refuse(ESCAPE, pos);
  pos += 6;
  if ((codePoint & 0xf800) == 0xd800) {
    const low = codePoint < 0xdc00 && load<u16>(pos) == UNIT_BEGIN ? unitAt(pos + 2) : -1;
    if ((low & ~0x3ff) == 0xdc00) {
      codePoint = 0x10000 + ((codePoint & 0x3ff) << 10) + (low & 0x3ff);
      pos += 6;
    } else {
      codePoint = REPLACEMENT;
    }
  }
  if (codePoint == LF) lineFeeds++;
  unitsEnd = out + encodeCodePoint(codePoint, out);
  return pos;
}

/** The value of four hexadecimal digits, or −1. */
@inline
function unitAt(pos: usize): i32 {
  const bytes = v128.load32_zero(pos);
  const isDigit = i8x16.lt_u(i8x16.sub(bytes, i8x16.splat(0x30)), i8x16.splat(10));
  const lower = v128.or(bytes, i8x16.splat(0x20));
  const isLetter = i8x16.lt_u(i8x16.sub(lower, i8x16.splat(0x61)), i8x16.splat(6));
  if (i32x4.extract_lane(v128.or(isDigit, isLetter), 0) != -1) return -1;
  const digits = bswap<u32>(load<u32>(pos));
  const values = (digits & 0x0f0f0f0f) + 9 * ((digits >> 6) & 0x01010101);
  const pairs = (values | (values >> 4)) & 0x00ff00ff;
  return (pairs | (pairs >> 8)) & 0xffff;
}
