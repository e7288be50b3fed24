/**
 * Text → ids. Bytes are classified 64 a step, and masks turned into the starts and stops of runs: a run is a stretch of ASCII
 * punctuation, at most seven marks, or the longest stretch of anything else but ASCII white space. Nothing ASCII ever
 * combines, reorders or joins across such a border, so each run stands alone (but for a capital sigma, see unicode.ts).
 *
 *   word    1 1 1 0 1 1 0 0 0          starts = word & ~(word << 1) | mark & (~(mark << 1) | cut)
 *   mark    0 0 0 0 0 0 1 1 0          stops  = ~word & (word << 1) | (mark << 1) & (~mark | cut)      the n-th stop belongs to the n-th start
 *
 * Line ends are no runs: each knows the run that follows it. A special token's bracket is cut out of its marks, and has no key.
 * A chunk's runs are then taken in two passes: the first makes each run's key and touches its line of the cache, without a
 * branch that could be guessed wrong, so that the misses of the processor's caches overlap; the second copies ids. Keys are
 * the run's bytes with ASCII letters lower-cased where that is asked for, which changes no run's ids.
 * Source of the masks: simdjson and Keiser & Lemire's classification by two nibble tables.
 */
import {
  LONG_LIST,
  SHORT_LIST,
  countOfList,
  entryForLong,
  entryForShort,
  growCrowded,
  isSame,
  keepList,
  longLineOf,
  roomOfList,
  shortLineOf,
  swapEntries,
  writeInline,
  writeList,
} from './cache';
import { BLANK, FIRST_ID, JOINS, isolatedAt } from './isolated';
import { countUnknown, matchWord } from './match';
import { encodeRun, sawSigma } from './normalize';
import {
  CHUNK_BYTES,
  LOWERCASE,
  addUnknown,
  flags,
  idBytes,
  probes,
  specialTokens,
  starts,
  stops,
  tokens,
  unknownId,
  wordBytes,
} from './state';

/** Sixteen 0xff, sixteen 0: loaded at 16 − n, the first n bytes are kept. */
const keepMasks = memory.data<u8>([
  255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
]);

const BRACKET: i8 = 0x5b;
/** Runs of marks end here too, so that their ids lie in the key's own list. */
const MARK_CUTS: u64 = 0x8102_0408_1020_4081;
const SHORT_KEY: usize = 15;
const LONG_KEY: usize = 31;
const SHORT_ENTRY: usize = 32;
const LONG_ENTRY: usize = 64;

let textStart: usize = 0;
let textEnd: usize = 0;
let firstId: usize = 0;
let skipUntil: usize = 0; // end of the special token that was cut out
let literalUnknown: u32 = 0; // special tokens [UNK] in the text
let lineCount: i32 = 0;
let touched: u32 = 0;

/** Line ends that the last `encode` saw and wrote. */
export function getLineCount(): i32 {
  return lineCount;
}

/**
 * src        len bytes of well-formed UTF-8, with 112 bytes of room behind them (96 are overwritten)
 * ids        u32 out; room for len + 24
 * lineEnds   u32 out; room for len: for each LF the number of ids before it, and idsBefore
 * @returns the number of ids
 */
export function encode(src: usize, len: i32, ids: usize, lineEnds: usize, idsBefore: u32): i32 {
  const end = src + <usize>len;
  memory.fill(end, 0x20, 96);
  textStart = src;
  textEnd = end;
  firstId = ids - (<usize>idsBefore << 2);
  skipUntil = 0;
  literalUnknown = 0;
  const byLow = v128.load(kindTables);
  const byHigh = v128.load(kindTables, 16);
  let dst = ids;
  let wordCarry: u64 = 0;
  let markCarry: u64 = 0;
  let tokenCarry: u64 = 0;
  let nextLineEnd = lineEnds;
  let startsEnd = starts;
  for (let chunk = src; chunk <= end; chunk += CHUNK_BYTES) {
    const chunkEnd = min(chunk + CHUNK_BYTES, end + 1);
    const firstLineEnd = nextLineEnd;
    let stopsEnd = stops;
    let tokensEnd = tokens;
    for (let block = chunk; block < chunkEnd; block += 64) {
      const kind0 = kindsOf(v128.load(block), byLow, byHigh);
      const kind1 = kindsOf(v128.load(block, 16), byLow, byHigh);
      const kind2 = kindsOf(v128.load(block, 32), byLow, byHigh);
      const kind3 = kindsOf(v128.load(block, 48), byLow, byHigh);
      const lineFeed = masksOf(kind0, kind1, kind2, kind3);
      const word = masksOf(isZero(kind0), isZero(kind1), isZero(kind2), isZero(kind3));
      const mark = masksOf(fromFour(kind0), fromFour(kind1), fromFour(kind2), fromFour(kind3)) & ~lineFeed;
      const bracket = masksOf(isBracket(block), isBracket(block + 16), isBracket(block + 32), isBracket(block + 48));
      const token = bracket ? tokensAmong(bracket, block) : 0;
      const tokenStop = (token << 1) | tokenCarry;
      const cut = MARK_CUTS | token | tokenStop;
      const afterWord = (word << 1) | wordCarry;
      const afterMark = (mark << 1) | markCarry;
      const stop = (~word & afterWord) | (afterMark & (~mark | cut));
      const probe = probes + ((stopsEnd - stops) << 3);
      startsEnd = writePlaces((word & ~afterWord) | (mark & (~afterMark | cut)), block, startsEnd);
      stopsEnd = writePlaces(stop, block, stopsEnd);
      nextLineEnd = writeProbes(lineFeed, stop, probe, nextLineEnd);
      tokensEnd = writeProbes(tokenStop, stop, probe - 32, tokensEnd);
      wordCarry = word >> 63;
      markCarry = mark >> 63;
      tokenCarry = token >> 63;
    }
    growCrowded();
    const places = stopsEnd - stops;
    makeProbes(places);
    for (let at = tokens; at < tokensEnd; at += 4) store<u32>(load<u32>(at), 0, 16);
    touchLines(places);
    dst = idBytes == 2 ? resolveProbes<u16>(places, dst) : resolveProbes<u32>(places, dst);
    for (let at = firstLineEnd; at < nextLineEnd; at += 4) {
      store<u32>(at, <u32>((<usize>load<u32>(load<u32>(at), 20) - firstId) >> 2));
    }
    // The run that is still open.
    if (startsEnd - starts > places) {
      store<u32>(starts, load<u32>(starts + places));
      startsEnd = starts + 4;
    } else {
      startsEnd = starts;
    }
  }
  addUnknown(countUnknown(ids, dst) - literalUnknown);
  lineCount = <i32>((nextLineEnd - lineEnds) >> 2);
  return <i32>((dst - ids) >> 2);
}

/** Tables of kindsOf. They and the constants of `lowered` are read from memory once a call: V8 would make them anew a step. */
const kindTables = memory.data<u8>([
  16 | 1, 4, 4, 4, 4, 4, 4, 4, 4, 4 | 2, 4 | 8 | 128, 4 | 8 | 32 | 64, 4 | 8 | 32 | 64, 4 | 8 | 32 | 64 | 2, 4 | 8 | 32 | 64, 4 | 8 | 32,
  2 | 128, 0, 4 | 1, 8, 16, 32, 16, 64, 0, 0, 0, 0, 0, 0, 0, 0,
]);

/**
 * The kind of each byte: 128 LF, else 4 and above punctuation, 2 TAB or CR, 1 space, 0 part of a word.
 * Bit of punctuation by row (high nibble): 4 = 2x, 8 = 3x, 16 = 4x and 6x, 32 = 5x, 64 = 7x.
 */
@inline
function kindsOf(bytes: v128, byLow: v128, byHigh: v128): v128 {
  const lowNibble = v128.and(bytes, i8x16.splat(15));
  return v128.and(i8x16.swizzle(byLow, lowNibble), i8x16.swizzle(byHigh, i8x16.shr_u(bytes, 4)));
}

@inline
function isZero(kind: v128): v128 {
  return i8x16.eq(kind, i8x16.splat(0));
}

@inline
function fromFour(kind: v128): v128 {
  return i8x16.add_sat_u(kind, i8x16.splat(0x7c));
}

@inline
function isBracket(ptr: usize): v128 {
  return i8x16.eq(v128.load(ptr), i8x16.splat(BRACKET));
}

/** The first bits of 64 bytes. */
@inline
function masksOf(a: v128, b: v128, c: v128, d: v128): u64 {
  const low = <u64>(<u32>(i8x16.bitmask(a) | (i8x16.bitmask(b) << 16)));
  const high = <u64>(<u32>(i8x16.bitmask(c) | (i8x16.bitmask(d) << 16)));
  return low | (high << 32);
}

/** Write the places of the set bits; up to seven words beyond the last are overwritten. @returns the end of the places. */
@inline
function writePlaces(mask: u64, block: usize, out: usize): usize {
  const end = out + (<usize>popcnt(mask) << 2);
  while (out < end) {
    for (let i: usize = 0; i < 32; i += 4) {
      store<u32>(out + i, block + <usize>ctz(mask));
      mask &= mask - 1;
    }
    out += 32;
  }
  return end;
}

/** Of the places in the mask those where a special token begins. */
function tokensAmong(brackets: u64, block: usize): u64 {
  let found: u64 = 0;
  for (; brackets; brackets &= brackets - 1) {
    if (specialAt(block + <usize>ctz(brackets), textEnd)) found |= brackets & (0 - brackets);
  }
  return found;
}

/**
 * Write for each set bit the probe of the run behind the stops that come before it or there; the first of `stop` ends the run
 * of `probe`. @returns the end of what was written.
 */
@inline
function writeProbes(mask: u64, stop: u64, probe: usize, out: usize): usize {
  for (; mask; mask &= mask - 1) {
    store<u32>(out, probe + (<usize>popcnt(stop & (mask ^ (mask - 1))) << 5));
    out += 4;
  }
  return out;
}

/**
 * A probe, 32 bytes: 0 the key, 16 its line (0: no short key, or a special token; nothing there equals a key), 20 where its
 * ids begin.
 */
function makeProbes(places: usize): void {
  const firstStart = starts;
  const firstStop = stops;
  const lowerBy = upperBit();
  let probe = probes;
  for (let place: usize = 0; place < places; place += 4) {
    makeProbe(probe, load<u32>(firstStart + place), load<u32>(firstStop + place), lowerBy);
    probe += 32;
  }
}

@inline
function makeProbe(probe: usize, start: usize, stop: usize, lowerBy: v128): void {
  const length = stop - start;
  const bytes = min<usize>(length, 16);
  const key = keyOf(lowered(start, lowerBy), bytes, bytes);
  v128.store(probe, key);
  store<u32>(probe, length <= SHORT_KEY ? shortLineOf(key) : 0, 16);
}

/** Read a word of each line, and nothing else, so that as many reads as the processor can hold are under way at once. */
function touchLines(places: usize): void {
  const end = probes + (places << 3);
  let touch: u32 = 0;
  for (let probe = probes; probe < end; probe += 32) touch |= load<u32>(load<u32>(probe, 16));
  touched = touch;
}

/** Sixteen bytes with ASCII letters in lower case, where `upperBit` asks for it. */
@inline
function lowered(ptr: usize, upperBit: v128): v128 {
  const bytes = v128.load(ptr);
  const isUpper = i8x16.lt_s(i8x16.add(bytes, i8x16.splat(<i8>(0x80 - 0x41))), i8x16.splat(<i8>(0x80 + 26)));
  return v128.or(bytes, v128.and(isUpper, upperBit));
}

/** The first `count` ≤ 16 bytes of a lowered vector, and the key's length in byte 15. */
@inline
function keyOf(bytes: v128, count: usize, length: usize): v128 {
  return i8x16.replace_lane(v128.and(bytes, v128.load(keepMasks + 16 - count)), 15, <i8>length);
}

@inline
function upperBit(): v128 {
  return i8x16.splat(flags & LOWERCASE ? 0x20 : 0);
}

/** Ids of the chunk's runs. @returns the end of the ids. */
function resolveProbes<Id>(places: usize, dst: usize): usize {
  const firstStart = starts;
  const firstStop = stops;
  const firstProbe = probes;
  for (let place = skipSpecial(0, places); place < places; place += 4) {
    const probe = firstProbe + (place << 3);
    store<u32>(probe, dst, 20);
    const line: usize = load<u32>(probe, 16);
    if (!v128.any_true(v128.xor(v128.load(probe), v128.load(line)))) {
      const count = countOfList<Id>(line + 16, SHORT_LIST);
      if (count <= roomOfList<Id>(SHORT_LIST)) {
        writeInline<Id>(line + 16, SHORT_LIST, dst);
        dst += count << 2;
        continue;
      }
      const end = writeList<Id>(line + 16, SHORT_LIST, dst);
      if (end) {
        dst = end;
        continue;
      }
    }
    dst = encodeSlowly<Id>(probe, load<u32>(firstStart + place), load<u32>(firstStop + place), dst);
    place = skipSpecial(place + 4, places) - 4;
  }
  store<u32>(firstProbe + (places << 3), dst, 20);
  return dst;
}

/** The first place from `place` on that the last special token leaves something of; its run then begins behind the token. */
function skipSpecial(place: usize, places: usize): usize {
  while (place < places && <usize>load<u32>(starts + place) < skipUntil) {
    if (<usize>load<u32>(stops + place) > skipUntil) {
      store<u32>(starts + place, skipUntil);
      makeProbe(probes + (place << 3), skipUntil, load<u32>(stops + place), upperBit());
      break;
    }
    place += 4;
  }
  return place;
}

/** A run that is not in the first place of its line: a new word, one with a long key, or a special token. */
function encodeSlowly<Id>(probe: usize, start: usize, stop: usize, dst: usize): usize {
  const length = stop - start;
  if (length > SHORT_KEY) return isSpread(start, length) ? encodeSpread<Id>(start, stop, dst) : encodeLong<Id>(start, stop, dst);
  const line: usize = load<u32>(probe, 16);
  return line ? encodeShort<Id>(v128.load(probe), line, start, stop, dst) : encodeSpecial(start, dst);
}

/** Runs better cut at their ideographs and marks than kept whole: too long for a key, or begun like Chinese or Japanese. */
@inline
function isSpread(start: usize, length: usize): bool {
  return length > LONG_KEY || <u32>load<u8>(start) - 0xe3 < 7;
}

function encodeShort<Id>(key: v128, line: usize, start: usize, stop: usize, dst: usize): usize {
  if (isSame(key, v128.load(line))) {
    const end = writeList<Id>(line + 16, SHORT_LIST, dst);
    if (end) return end;
    return learnShort<Id>(key, line, start, stop, dst);
  }
  const second = line + SHORT_ENTRY;
  if (isSame(key, v128.load(second))) {
    const end = writeList<Id>(second + 16, SHORT_LIST, dst);
    if (end) {
      swapEntries(line, SHORT_ENTRY);
      return end;
    }
  }
  return learnShort<Id>(key, entryForShort(line), start, stop, dst);
}

function learnShort<Id>(key: v128, entry: usize, start: usize, stop: usize, dst: usize): usize {
  const length = stop - start;
  const isPlain = isPlainWord(key, length) && (length == 1 || !isMark(load<u8>(start)));
  let end: usize;
  if (isPlain) {
    v128.store(wordBytes, key);
    end = matchWord(wordBytes, length, <u32>length, dst);
  } else {
    end = encodeRun(start, stop, textStart, textEnd, dst);
  }
  if ((isPlain || !sawSigma) && keepList<Id>(entry + 16, SHORT_LIST, dst, end)) v128.store(entry, key);
  return end;
}

/** Whether the ASCII byte is punctuation. */
@inline
function isMark(byte: u32): bool {
  return (load<u8>(kindTables + (byte & 15)) & load<u8>(kindTables + 16 + (byte >> 4))) >= 4;
}

/** Whether the key holds printable ASCII only: it is its own normal form. */
@inline
function isPlainWord(key: v128, length: usize): bool {
  const odd = i8x16.ge_u(i8x16.sub(key, i8x16.splat(0x20)), i8x16.splat(0x5f));
  return !(<u32>i8x16.bitmask(odd) & ((1 << <u32>length) - 1));
}

function encodeLong<Id>(start: usize, stop: usize, dst: usize): usize {
  const length = stop - start;
  const key = lowered(start, upperBit());
  const rest = keyOf(lowered(start + 16, upperBit()), length - 16, length);
  const line = longLineOf(key, rest);
  if (isSame(key, v128.load(line)) && isSame(rest, v128.load(line, 16))) {
    const end = writeList<Id>(line + 32, LONG_LIST, dst);
    if (end) return end;
    return learnLong<Id>(key, rest, line, start, stop, dst);
  }
  const second = line + LONG_ENTRY;
  if (isSame(key, v128.load(second)) && isSame(rest, v128.load(second, 16))) {
    const end = writeList<Id>(second + 32, LONG_LIST, dst);
    if (end) {
      swapEntries(line, LONG_ENTRY);
      return end;
    }
  }
  return learnLong<Id>(key, rest, entryForLong(line), start, stop, dst);
}

function learnLong<Id>(key: v128, rest: v128, entry: usize, start: usize, stop: usize, dst: usize): usize {
  const end = encodeRun(start, stop, textStart, textEnd, dst);
  if (!sawSigma && keepList<Id>(entry + 32, LONG_LIST, dst, end)) {
    v128.store(entry, key);
    v128.store(entry, rest, 16);
  }
  return end;
}

/** A run cut at its isolated characters; what lies between them is taken like a run of its own. */
function encodeSpread<Id>(start: usize, stop: usize, dst: usize): usize {
  let segment = start;
  let pos = start;
  while (pos < stop) {
    const lead: u32 = load<u8>(pos);
    if ((lead & 0xf0) != 0xe0) {
      pos += lead < 0x80 ? 1 : lead < 0xe0 ? 2 : 4;
      continue;
    }
    const found = isolatedAt(pos, dst);
    if (found == JOINS) {
      pos += 3;
      continue;
    }
    if (segment < pos) dst = encodeSegment<Id>(segment, pos, dst);
    if (found != BLANK) {
      store<u32>(dst, found - FIRST_ID);
      dst += 4;
    }
    pos += 3;
    segment = pos;
  }
  return segment < stop ? encodeSegment<Id>(segment, stop, dst) : dst;
}

function encodeSegment<Id>(start: usize, stop: usize, dst: usize): usize {
  const length = stop - start;
  if (length > LONG_KEY) return encodeRun(start, stop, textStart, textEnd, dst);
  if (length > SHORT_KEY) return encodeLong<Id>(start, stop, dst);
  const key = keyOf(lowered(start, upperBit()), length, length);
  return encodeShort<Id>(key, shortLineOf(key), start, stop, dst);
}

/** The special token that stands at `start`; what it covers is skipped. */
function encodeSpecial(start: usize, dst: usize): usize {
  const special = specialAt(start, textEnd);
  const id = load<u32>(special, 4);
  skipUntil = start + <usize>load<u32>(special);
  if (id == unknownId) literalUnknown++;
  store<u32>(dst, id);
  return dst + 4;
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
