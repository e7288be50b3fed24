/**
 * RFC 8259 by recursive descent, and on the way the string at the path. A parser takes the place of a value's first byte and
 * returns the place behind the value, or 0 where the line is refused. Every line ends in LF, which no value may hold: the one
 * byte that all parsers stop at, so that none of them asks where the text ends.
 */
import { isKey, pathLength } from './path';
import { TOO_DEEP, UNEXPECTED, refuse } from './refusal';
import { lineFeeds, readString, stringEnd } from './strings';

/** Arrays and objects in one another. */
const MOST_LEVELS: i32 = 512;
/** Level of what the path does not lead through. */
const OFF_PATH: i32 = -1;

const QUOTE: u32 = 0x22;

/** The text of this line: where it goes, where it ends with its LF (where it begins while none is found), and its lines. */
let textStart: usize = 0;
export let textEnd: usize = 0;
export let textLines: u32 = 0;

/** The value of a whole line; its text goes to `out`. */
export function readRecord(pos: usize, out: usize): usize {
  textStart = out;
  return readOnPath(pos, 0, 0);
}

@inline
export function hasText(): bool {
  return textEnd != textStart;
}

@inline
export function skipSpace(pos: usize): usize {
  while (true) {
    const byte: u32 = load<u8>(pos);
    if (byte != 0x20 && byte != 0x09 && byte != 0x0d) return pos;
    pos++;
  }
}

/**
 * A value that `level` keys of the path lead to, inside `depth` arrays and objects. Of equal keys the last one counts, so what
 * an earlier one led to is forgotten.
 */
function readOnPath(pos: usize, depth: i32, level: i32): usize {
  textEnd = textStart;
  const byte: u32 = load<u8>(pos);
  if (level < pathLength) return byte == 0x7b ? readObject(pos, depth, level) : readValue(pos, depth);
  if (byte != QUOTE) return readValue(pos, depth);
  pos = readString(pos + 1, textStart);
  if (pos == 0) return 0;
  store<u8>(stringEnd, 0x0a);
  textEnd = stringEnd + 1;
  textLines = lineFeeds + 1;
  return pos;
}

function readValue(pos: usize, depth: i32): usize {
  const byte: u32 = load<u8>(pos);
  if (byte == QUOTE) return readString(pos + 1, textEnd);
  if (byte - 0x30 < 10 || byte == 0x2d) return readNumber(pos);
  switch (byte) {
    case 0x7b:
      return readObject(pos, depth, OFF_PATH);
    case 0x5b:
      return readArray(pos, depth);
    case 0x74:
      if (load<u32>(pos) == 0x65757274) return pos + 4; // true
      break;
    case 0x66:
      if (load<u32>(pos, 1) == 0x65736c61) return pos + 5; // alse
      break;
    case 0x6e:
      if (load<u32>(pos) == 0x6c6c756e) return pos + 4; // null
      break;
  }
  return refuse(UNEXPECTED, pos);
}

function readObject(pos: usize, depth: i32, level: i32): usize {
  if (depth == MOST_LEVELS) return refuse(TOO_DEEP, pos);
  pos = skipSpace(pos + 1);
  if (load<u8>(pos) == 0x7d) return pos + 1;
  while (true) {
    if (load<u8>(pos) != QUOTE) return refuse(UNEXPECTED, pos);
    pos = readString(pos + 1, textEnd);
    if (pos == 0) return 0;
    const isOnPath = level != OFF_PATH && isKey(level, textEnd, stringEnd);
    pos = skipSpace(pos);
    if (load<u8>(pos) != 0x3a) return refuse(UNEXPECTED, pos);
    pos = skipSpace(pos + 1);
    pos = isOnPath ? readOnPath(pos, depth + 1, level + 1) : readValue(pos, depth + 1);
    if (pos == 0) return 0;
    pos = skipSpace(pos);
    const byte: u32 = load<u8>(pos);
    if (byte == 0x7d) return pos + 1;
    if (byte != 0x2c) return refuse(UNEXPECTED, pos);
    pos = skipSpace(pos + 1);
  }
}

function readArray(pos: usize, depth: i32): usize {
  if (depth == MOST_LEVELS) return refuse(TOO_DEEP, pos);
  pos = skipSpace(pos + 1);
  if (load<u8>(pos) == 0x5d) return pos + 1;
  while (true) {
    pos = readValue(pos, depth + 1);
    if (pos == 0) return 0;
    pos = skipSpace(pos);
    const byte: u32 = load<u8>(pos);
    if (byte == 0x5d) return pos + 1;
    if (byte != 0x2c) return refuse(UNEXPECTED, pos);
    pos = skipSpace(pos + 1);
  }
}

function readNumber(pos: usize): usize {
  if (load<u8>(pos) == 0x2d) pos++;
  if (load<u8>(pos) == 0x30) pos++;
  else pos = readDigits(pos);
  if (pos == 0) return 0;
  if (load<u8>(pos) == 0x2e) {
    pos = readDigits(pos + 1);
    if (pos == 0) return 0;
  }
  if ((<u32>load<u8>(pos) | 0x20) == 0x65) {
    const sign: u32 = load<u8>(pos, 1);
    pos = readDigits(pos + (sign == 0x2b || sign == 0x2d ? 2 : 1));
  }
  return pos;
}

/** One digit at least. */
function readDigits(pos: usize): usize {
  if (!isDigit(pos)) return refuse(UNEXPECTED, pos);
  while (isDigit(pos)) pos++;
  return pos;
}

@inline
function isDigit(pos: usize): bool {
  return <u32>load<u8>(pos) - 0x30 < 10;
}
