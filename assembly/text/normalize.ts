/**
 * The exact path, one code point at a time: clean, space out ideographs, lower-case, decompose, strip accents, split, and
 * hand each word on. Words leave as ids (longest match) or as text (for counting); both are the same words.
 *
 * Marks with a combining class are put in canonical order before they are stripped or kept: they wait in `pendingMarks` until
 * a character of class 0 comes. A stripped mark of class 0 still separates its neighbours, as in NFD. Each waits with the
 * place that it came from (origins.ts).
 */
import { matchWord } from './match';
import { enterCharacter, originOf, recordOrigin, traces, widenSpan, writeSpans } from './origins';
import { FINAL_SIGMA, LOWERCASE, STRIP_ACCENTS, flags, mapPool, pendingMarks, wordBytes, wordLimit } from './state';
import { DROP, IDEOGRAPH, MARK, PUNCTUATION, SPACE, classOf, isFinalSigma, mapOf } from './unicode';
import { decode, encodeCodePoint, lengthOf } from './utf8';

const CAPITAL_SIGMA: u32 = 0x3a3;
const HANGUL_FIRST: u32 = 0xac00;
const HANGUL_COUNT: u32 = 11172;

let wordLength: usize = 0; // bytes in wordBytes
let wordCodePoints: u32 = 0; // may pass the limit; bytes are kept only up to it
let pendingCount: u32 = 0; // stored, at most wordLimit + 1
let pendingBeyond: u32 = 0; // not stored, since the word is over the limit in any case
let strips: bool = false;
let writesText: bool = false;
let out: usize = 0;

/** Whether the last run held a capital sigma, whose lower case depends on what stands around the run. */
export let sawSigma: bool = false;

/** Ids of [pos, end) at `dst`; [start, limit) is the text around it. @returns the end of what was written. */
export function encodeRun(pos: usize, end: usize, start: usize, limit: usize, dst: usize): usize {
  writesText = false;
  return normalizeRun(pos, end, start, limit, dst);
}

/** The normalised words of [pos, end) at `dst`, each followed by a line end; words over the limit are left out. */
export function writeWords(pos: usize, end: usize, dst: usize): usize {
  writesText = true;
  return normalizeRun(pos, end, pos, end, dst);
}

function normalizeRun(first: usize, end: usize, start: usize, limit: usize, dst: usize): usize {
  out = dst;
  sawSigma = false;
  strips = (flags & STRIP_ACCENTS) != 0;
  const checksSigma = (flags & (FINAL_SIGMA | LOWERCASE)) == (FINAL_SIGMA | LOWERCASE);
  let pos = first;
  while (pos < end) {
    const codePoint = decode(pos);
    const at = pos;
    const length = lengthOf(load<u8>(pos));
    if (traces) enterCharacter(length);
    pos += length;
    const kind = classOf(codePoint);
    if (kind & (DROP | SPACE | IDEOGRAPH)) {
      if (kind & DROP) continue;
      finishWord();
      if (kind & SPACE) continue;
      pushMapped(codePoint, kind);
      finishWord();
    } else if (checksSigma && codePoint == CAPITAL_SIGMA) {
      sawSigma = true;
      const lower: u32 = isFinalSigma(at, start, limit) ? 0x3c2 : 0x3c3;
      push(lower, classOf(lower));
    } else {
      pushMapped(codePoint, kind);
    }
  }
  finishWord();
  return out;
}

/** Push what the settings turn the character into. Hangul syllables decompose by arithmetic (Unicode 3.12). */
function pushMapped(codePoint: u32, kind: u32): void {
  const syllable = codePoint - HANGUL_FIRST;
  if (strips && syllable < HANGUL_COUNT) {
    push(0x1100 + syllable / 588, 0);
    push(0x1161 + (syllable % 588) / 28, 0);
    if (syllable % 28) push(0x11a7 + (syllable % 28), 0);
    return;
  }
  const mapped = mapOf(codePoint);
  if (mapped == 0) {
    push(codePoint, kind);
    return;
  }
  let entry = mapPool + (<usize>mapped << 2);
  let next = load<u32>(entry);
  for (let left = next >> 24; left > 0; left--) {
    const member = next & 0x1fffff;
    push(member, classOf(member));
    entry += 4;
    next = load<u32>(entry);
  }
}

function push(codePoint: u32, kind: u32): void {
  if (strips) {
    const combiningClass = kind >> 8;
    if (combiningClass) {
      if (!(kind & MARK)) holdMark(codePoint, combiningClass);
      return;
    }
    releaseMarks();
    if (kind & MARK) return;
  }
  if (kind & PUNCTUATION) {
    finishWord();
    append(codePoint, originOf());
    finishWord();
  } else {
    append(codePoint, originOf());
  }
}

/**
 * Insert before the held marks of a higher class: stable, as canonical ordering asks. Held as { class << 24 | code point u32,
 * origin u64 }.
 */
function holdMark(codePoint: u32, combiningClass: u32): void {
  if (pendingCount > wordLimit) {
    pendingBeyond++;
    if (traces) widenSpan(originOf());
    return;
  }
  let place = pendingMarks + 12 * <usize>pendingCount;
  while (place > pendingMarks && load<u32>(place - 12) >> 24 > combiningClass) {
    memory.copy(place, place - 12, 12);
    place -= 12;
  }
  store<u32>(place, (combiningClass << 24) | codePoint);
  store<u64>(place, originOf(), 4);
  pendingCount++;
}

function releaseMarks(): void {
  for (let i: u32 = 0; i < pendingCount; i++) {
    const held = pendingMarks + 12 * <usize>i;
    append(load<u32>(held) & 0x1fffff, load<u64>(held, 4));
  }
  wordCodePoints += pendingBeyond;
  pendingCount = 0;
  pendingBeyond = 0;
}

function append(codePoint: u32, origin: u64): void {
  if (traces) recordOrigin(wordLength, origin);
  wordCodePoints++;
  if (wordCodePoints <= wordLimit) wordLength += encodeCodePoint(codePoint, wordBytes + wordLength);
}

function finishWord(): void {
  if (pendingCount) releaseMarks();
  if (wordCodePoints == 0) return;
  if (!writesText) {
    const stop = matchWord(wordBytes, wordLength, wordCodePoints, out);
    if (traces) writeSpans(out, stop);
    out = stop;
  } else if (wordCodePoints <= wordLimit) {
    memory.copy(out, wordBytes, wordLength);
    store<u8>(out + wordLength, 10);
    out += wordLength + 1;
  }
  wordLength = 0;
  wordCodePoints = 0;
}
