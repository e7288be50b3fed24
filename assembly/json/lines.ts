/**
 * Lines to texts, over the same memory: the first text may begin 16 bytes before the first line. A text and its LF take no
 * more bytes than the string with its quotes, so what is written stays 16 bytes behind what is read.
 */
import { NO_TEXT, UNEXPECTED, refuse } from './refusal';
import { hasText, readRecord, skipSpace, textEnd, textLines } from './values';

const LF: u32 = 0x0a;

let out: usize = 0;
let linesPtr: usize = 0;

/** Texts go to `texts`, 16 bytes before the lines or more; for each the number of its lines, a u32, to `lines`. */
export function open(texts: usize, lines: usize): void {
  out = texts;
  linesPtr = lines;
}

/**
 * The texts of the lines in [pos, end), which is not empty. May write one byte at `end`, and loads sixteen from there.
 * @returns the begin of a line that was refused, whose text is not kept, or `end`.
 */
export function readLines(pos: usize, end: usize): usize {
  if (load<u8>(end - 1) != LF) store<u8>(end, LF);
  while (pos < end) {
    const line = pos;
    pos = skipSpace(pos);
    if (load<u8>(pos) != LF) {
      pos = readRecord(pos, out);
      if (pos == 0) return line;
      pos = skipSpace(pos);
      if (load<u8>(pos) != LF) return refused(UNEXPECTED, pos, line);
      if (!hasText()) return refused(NO_TEXT, line, line);
      out = textEnd;
      store<u32>(linesPtr, textLines);
      linesPtr += 4;
    }
    pos++;
  }
  return end;
}

function refused(reason: i32, place: usize, line: usize): usize {
  refuse(reason, place);
  return line;
}

export function getTextsEnd(): usize {
  return out;
}

export function getLinesEnd(): usize {
  return linesPtr;
}
