/**
 * Text → ids with the place that each came from. A word of plain ASCII is matched as it stands and its pieces count their
 * bytes; any other run takes the exact path (normalize.ts). Runs are those of encode.ts, and so are the ids.
 * A sixth to a fifth of encode.ts's speed: no masks of 64 bytes, and no word cache.
 */
import { specialAt } from './encode';
import { countUnknown, matchWord } from './match';
import { encodeRun } from './normalize';
import { getUnit, skipAscii, startTracing, stopTracing, writeAsciiSpans } from './origins';
import { LOWERCASE, addUnknown, flags, specialTokens, unknownId, wordBytes, wordLimit } from './state';
import { PUNCTUATION, classOf } from './unicode';

export { getUnit };

const BRACKET: u32 = 0x5b;

/**
 * src           len bytes of well-formed UTF-8, with 80 bytes of room behind them (overwritten)
 * ids           u32 out; room for len + 4
 * starts, ends  u32 out, as `ids`: UTF-16 units, counted from `firstUnit`; `getUnit` then tells how many there are
 * @returns the number of ids
 */
export function encodeWithOffsets(src: usize, len: i32, ids: usize, starts: usize, ends: usize, firstUnit: u32): i32 {
  memory.fill(src + <usize>len, 0x20, 80);
  const end = src + <usize>len;
  const cuts = load<u32>(specialTokens) != 0;
  let literalUnknown: u32 = 0;
  let dst = ids;
  startTracing(starts - ids, ends - ids, firstUnit);
  for (let pos = src; pos < end; ) {
    const byte: u32 = load<u8>(pos);
    const special = cuts && byte == BRACKET ? specialAt(pos, end) : 0;
    let length: usize = 1;
    if (special) {
      length = load<u32>(special);
      const id = load<u32>(special, 4);
      if (id == unknownId) literalUnknown++;
      store<u32>(dst, id);
      writeAsciiSpans(dst, dst + 4, <u32>length);
      dst += 4;
    } else if (isSpace(byte)) {
      skipAscii(1);
    } else if (isPunctuation(byte)) {
      dst = encodeAscii(pos, 1, dst);
    } else {
      let plain = isPlain(byte);
      let next: u32 = load<u8>(pos + 1);
      while (pos + length < end && !isSpace(next) && !isPunctuation(next)) {
        plain = plain && isPlain(next);
        length++;
        next = load<u8>(pos + length);
      }
      dst = plain ? encodeAscii(pos, length, dst) : encodeRun(pos, pos + length, src, end, dst);
    }
    pos += length;
  }
  stopTracing();
  addUnknown(countUnknown(ids, dst) - literalUnknown);
  return <i32>((dst - ids) >> 2);
}

/** A word or punctuation mark of plain ASCII. */
function encodeAscii(pos: usize, length: usize, dst: usize): usize {
  const upperBit: u32 = flags & LOWERCASE ? 0x20 : 0;
  const kept = min<usize>(length, wordLimit);
  for (let i: usize = 0; i < kept; i++) {
    const byte: u32 = load<u8>(pos + i);
    store<u8>(wordBytes + i, byte - 0x41 < 26 ? byte | upperBit : byte);
  }
  const stop = matchWord(wordBytes, kept, <u32>length, dst);
  writeAsciiSpans(dst, stop, <u32>length);
  return stop;
}

/** ASCII that separates runs and yields nothing. */
@inline
function isSpace(byte: u32): bool {
  return byte == 0x20 || byte - 9 < 2 || byte == 0x0d;
}

@inline
function isPunctuation(byte: u32): bool {
  return byte < 0x80 && (classOf(byte) & PUNCTUATION) != 0;
}

/** Graphic ASCII. */
@inline
function isPlain(byte: u32): bool {
  return byte - 0x21 < 0x5e;
}
