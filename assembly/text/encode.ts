/**
 * Text → ids, 64 bytes a step. Each step classifies its bytes, writes the lower-cased copy, and turns four masks into the
 * starts and ends of runs: a run is a lone ASCII punctuation mark, a lone line end, or the longest stretch of anything else
 * but ASCII space. Nothing ASCII ever combines, reorders or joins across such a border, so each run stands alone (but for a
 * capital sigma, see unicode.ts).
 *
 *   word    1 1 1 0 1 1 0 0 0          starts = word & ~(word << 1) | single
 *   single  0 0 0 0 0 0 1 1 0          ends   = ~word & (word << 1) | (single << 1)      the n-th end belongs to the n-th start
 *
 * Runs of plain ASCII of at most 15 bytes are looked up by their lower-cased bytes, runs with anything else by their raw bytes.
 * Source of the masks: simdjson and Keiser & Lemire's classification by two nibble tables.
 */
import { admit, findSlot, infoOf, writeIds } from './cache';
import { matchWord } from './match';
import { encodeRun, sawSigma } from './normalize';
import {
  LINE_END,
  LOWERCASE,
  MAYBE_SPECIAL,
  addUnknown,
  flags,
  singleIds,
  specialTokens,
  unknownCount,
  unknownId,
} from './state';

/** Sixteen 0xff, sixteen 0: loaded at 16 − n, the first n bytes are kept. */
const keepMasks = memory.data<u8>([
  255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
]);

const KEY_BYTES: usize = 15;

let lineCount: i32 = 0;

/** Line ends that the last `encode` saw and wrote. */
export function getLineCount(): i32 {
  return lineCount;
}

/**
 * src       len bytes of well-formed UTF-8, with 80 bytes of room behind them (overwritten)
 * low       len + 80 bytes of scratch
 * ids       u32 out; room for len + 4
 * lineEnds  u32 out; room for len: for each LF the number of ids before it
 * @returns the number of ids
 */
export function encode(src: usize, low: usize, len: i32, ids: usize, lineEnds: usize): i32 {
  memory.fill(src + <usize>len, 0x20, 80);
  const end = src + <usize>len;
  const upperBit = i8x16.splat(flags & LOWERCASE ? 0x20 : 0);
  const toLow = low - src;
  let dst = ids;
  let lines = lineEnds;
  let wordCarry: u64 = 0;
  let singleCarry: u64 = 0;
  let oddCarry = false; // the open run may hold a byte that is not plain ASCII
  let start: usize = 0;
  let skipUntil: usize = 0; // end of the special token that was cut out

  for (let block = src; block <= end; block += 64) {
    let word: u64 = 0;
    let single: u64 = 0;
    let odd: u32 = 0;
    for (let part: usize = 0; part < 64; part += 16) {
      const bytes = v128.load(block + part);
      const isUpper = i8x16.lt_u(i8x16.sub(bytes, i8x16.splat(0x41)), i8x16.splat(26));
      v128.store(block + part + toLow, v128.or(bytes, v128.and(isUpper, upperBit)));
      const kind = kindsOf(bytes);
      word |= <u64>(<u32>i8x16.bitmask(i8x16.eq(kind, i8x16.splat(0)))) << part;
      single |= <u64>(<u32>i8x16.bitmask(i8x16.ne(v128.and(kind, i8x16.splat(<i8>0x9f)), i8x16.splat(0)))) << part;
      odd |= <u32>i8x16.bitmask(oddBytes(bytes, kind));
    }
    const afterWord = (word << 1) | wordCarry;
    const afterSingle = (single << 1) | singleCarry;
    let starts = (word & ~afterWord) | single;
    let ends = (~word & afterWord) | afterSingle;
    if (!(wordCarry | singleCarry)) {
      start = block + <usize>ctz(starts);
      starts &= starts - 1;
    }
    const mayBeOdd = odd != 0 || oddCarry;
    while (ends) {
      const stop = block + <usize>ctz(ends);
      ends &= ends - 1;
      const length = stop - start;
      if (start < skipUntil) {
        // Inside a special token: written already.
      } else if (length == 1) {
        const id = load<u32>(singleIds + (<usize>load<u8>(start + toLow) << 2));
        if (id < MAYBE_SPECIAL) {
          store<u32>(dst, id);
          dst += 4;
          if (id == unknownId) addUnknown(1);
        } else if (id == LINE_END) {
          store<u32>(lines, <u32>((dst - ids) >> 2));
          lines += 4;
        } else if (id == MAYBE_SPECIAL) {
          const special = specialAt(start, end);
          const plain = load<u32>(singleIds + 512);
          store<u32>(dst, special ? load<u32>(special, 4) : plain);
          dst += 4;
          if (special) skipUntil = start + <usize>load<u32>(special);
          else if (plain == unknownId) addUnknown(1);
        }
      } else if (mayBeOdd && hasOddByte(start, stop)) {
        dst = length <= KEY_BYTES ? encodeOddRun(start, stop, src, end, dst) : encodeRun(start, stop, src, end, dst);
      } else if (length <= KEY_BYTES) {
        dst = encodeWord(start + toLow, length, dst);
      } else {
        dst = matchWord(start + toLow, length, <u32>length, dst);
      }
      start = block + <usize>ctz(starts);
      starts &= starts - 1;
    }
    wordCarry = word >> 63;
    singleCarry = single >> 63;
    oddCarry = mayBeOdd && wordCarry != 0;
  }
  lineCount = <i32>((lines - lineEnds) >> 2);
  return <i32>((dst - ids) >> 2);
}

/**
 * The kind of each byte: 0x1f any punctuation, 0x60 space, 0x80 line end, 0 part of a word (odd bytes too).
 * Bit by row (high nibble): 1 = 2x, 2 = 3x, 4 = 4x and 6x, 8 = 5x, 16 = 7x punctuation; 32 = space in 2x, 64 = TAB, CR; 128 = LF.
 */
@inline
function kindsOf(bytes: v128): v128 {
  const byLow = i8x16(
    4 | 32, 1, 1, 1, 1, 1, 1, 1, 1, 1 | 64, <i8>(1 | 2 | 128), 1 | 2 | 8 | 16, 1 | 2 | 8 | 16, 1 | 2 | 8 | 16 | 64, 1 | 2 | 8 | 16, 1 | 2 | 8);
  const byHigh = i8x16(<i8>(64 | 128), 0, 1 | 32, 2, 4, 8, 4, 16, 0, 0, 0, 0, 0, 0, 0, 0);
  const lowNibble = v128.and(bytes, i8x16.splat(15));
  return v128.and(i8x16.swizzle(byLow, lowNibble), i8x16.swizzle(byHigh, i8x16.shr_u(bytes, 4)));
}

/** Bytes that the plain path may not touch: 0x80 and above, and control characters other than TAB, LF, CR. */
@inline
function oddBytes(bytes: v128, kind: v128): v128 {
  const outside = i8x16.ge_u(i8x16.sub(bytes, i8x16.splat(0x20)), i8x16.splat(0x5f));
  return v128.and(outside, i8x16.eq(kind, i8x16.splat(0)));
}

/** Whether a run of word bytes holds an odd one. */
function hasOddByte(start: usize, stop: usize): bool {
  for (let pos = start; pos < stop; pos += 16) {
    const bytes = v128.load(pos);
    let hits = <u32>i8x16.bitmask(i8x16.ge_u(i8x16.sub(bytes, i8x16.splat(0x20)), i8x16.splat(0x5f)));
    if (stop - pos < 16) hits &= (1 << <u32>(stop - pos)) - 1;
    if (hits) return true;
  }
  return false;
}

@inline
function keyOf(ptr: usize, length: usize, mark: u32): v128 {
  const bytes = v128.and(v128.load(ptr), v128.load(keepMasks + 16 - length));
  return i8x16.replace_lane(bytes, 15, <i8>(<u32>length | mark));
}

/** Ids of a plain ASCII word of at most 15 bytes, already lower-cased if that is asked for. */
@inline
function encodeWord(word: usize, length: usize, dst: usize): usize {
  const key = keyOf(word, length, 0);
  const slot = findSlot(key);
  const info = infoOf(slot);
  if (info) {
    if (info >> 16) addUnknown(info >> 16);
    return writeIds(slot, dst);
  }
  return learnWord(slot, key, word, length, dst);
}

function learnWord(slot: usize, key: v128, word: usize, length: usize, dst: usize): usize {
  const unknownBefore = unknownCount;
  const stop = matchWord(word, length, <u32>length, dst);
  if (admit(slot, dst, <u32>((stop - dst) >> 2), unknownCount - unknownBefore)) v128.store(slot, key);
  return stop;
}

/** Ids of a run of at most 15 bytes that holds more than plain ASCII. */
function encodeOddRun(start: usize, stop: usize, src: usize, end: usize, dst: usize): usize {
  const key = keyOf(start, stop - start, 0x80);
  const slot = findSlot(key);
  if (v128.any_true(v128.load(slot))) {
    addUnknown(infoOf(slot) >> 16);
    return writeIds(slot, dst);
  }
  const unknownBefore = unknownCount;
  const after = encodeRun(start, stop, src, end, dst);
  if (!sawSigma && admit(slot, dst, <u32>((after - dst) >> 2), unknownCount - unknownBefore)) v128.store(slot, key);
  return after;
}

/** The special token that stands at `ptr` in the raw text, or 0. */
export function specialAt(ptr: usize, end: usize): usize {
  const bytes = load<u64>(ptr);
  const count: usize = load<u32>(specialTokens);
  for (let i: usize = 0; i < count; i++) {
    const token = specialTokens + 8 + i * 24;
    if ((bytes & load<u64>(token, 8)) == load<u64>(token, 16) && ptr + <usize>load<u32>(token) <= end) return token;
  }
  return 0;
}
