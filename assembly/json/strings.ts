/**
 * Strings, sixteen bytes at a time. Every one is written unescaped as it is read, and whoever asked keeps it or not: one loop
 * for keys, texts and all the rest.
 *
 * `out` must lie at least 16 bytes before `pos`: a block that is stored then never reaches what is still to be read, since no
 * escape is shorter than what it stands for. LF ends the reading, so that nothing here looks for the end of the text; at most
 * sixteen bytes from that LF on are loaded.
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

/** Values of hexadecimal digits; −1 for all other bytes. */
const digits = memory.data(256);
memory.fill(digits, 0xff, 256);
for (let value = 0; value < 16; value++) {
  store<u8>(digits + (value < 10 ? 0x30 + value : 0x57 + value), value); // 0–9, a–f
  if (value >= 10) store<u8>(digits + 0x37 + value, value); // A–F
}

/** What `readUnits` wrote ends here. */
let unitsEnd: usize = 0;

/** @param pos behind the opening quote. @returns the place behind the closing one, or 0. */
export function readString(pos: usize, out: usize): usize {
  const opening = pos - 1;
  lineFeeds = 0;
  while (true) {
    let stops = copyBlock(pos, out);
    while (stops == 0) {
      pos += 16;
      out += 16;
      stops = copyBlock(pos, out);
    }
    const plain = <usize>ctz(stops);
    const byte: u32 = load<u8>(pos + plain);
    if (byte == QUOTE) {
      stringEnd = out + plain;
      return pos + plain + 1;
    }
    if (byte != BACKSLASH) return byte == LF ? refuse(UNTERMINATED, opening) : refuse(CONTROL, pos + plain);
    const letter: u32 = load<u8>(pos + plain, 1);
    const meant: u32 = load<u8>(escapes + letter);
    if (meant) {
      store<u8>(out + plain, meant);
      lineFeeds += u32(meant == LF);
      if (plain < 15 && stops >> <u32>plain < 4) {
        // The only one of its block: what follows it moves up, and the next block need not wait to learn where it begins.
        v128.store(out + plain + 1, v128.load(pos + plain + 2));
        pos += 16;
        out += 15;
      } else {
        pos += plain + 2;
        out += plain + 1;
      }
      continue;
    }
    if (letter != 0x75) return refuse(ESCAPE, pos + plain);
    pos = readUnits(pos + plain, out + plain);
    if (pos == 0) return 0;
    out = unitsEnd;
  }
}

/** @returns a bit for each of the sixteen bytes that is no plain text: a quote, a backslash, a control character. */
@inline
function copyBlock(pos: usize, out: usize): u32 {
  const bytes = v128.load(pos);
  v128.store(out, bytes);
  const marks = v128.or(i8x16.eq(bytes, i8x16.splat(<i8>QUOTE)), i8x16.eq(bytes, i8x16.splat(<i8>BACKSLASH)));
  return i8x16.bitmask(v128.or(marks, i8x16.le_u(bytes, i8x16.splat(0x1f))));
}

/** UTF-16 units as `\uXXXX`, as many as stand side by side. A surrogate without its other half becomes U+FFFD. */
function readUnits(pos: usize, out: usize): usize {
  do {
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
    lineFeeds += u32(codePoint == LF);
    out += encodeCodePoint(codePoint, out);
  } while (load<u16>(pos) == UNIT_BEGIN);
  unitsEnd = out;
  return pos;
}

/** The value of four hexadecimal digits, or what is below 0. */
@inline
function unitAt(pos: usize): i32 {
  return (digitAt(pos) << 12) | (digitAt(pos + 1) << 8) | (digitAt(pos + 2) << 4) | digitAt(pos + 3);
}

@inline
function digitAt(pos: usize): i32 {
  return load<i8>(digits + <usize>load<u8>(pos));
}
