/** Why a line was refused, and the place in memory of the byte that shows it. src/corpus/readers/jsonLines.ts says it in words. */

/** A byte that cannot stand there; LF where the line ends too soon. */
export const UNEXPECTED: i32 = 1;
/** The place is the string's opening quote. */
export const UNTERMINATED: i32 = 2;
export const CONTROL: i32 = 3;
/** The place is the backslash. */
export const ESCAPE: i32 = 4;
export const TOO_DEEP: i32 = 5;
/** JSON without a fault, but no string at the path. */
export const NO_TEXT: i32 = 6;

let reason: i32 = 0;
let place: usize = 0;

/** @returns 0, which is no position: parsers hand it up to the line. */
export function refuse(why: i32, at: usize): usize {
  reason = why;
  place = at;
  return 0;
}

export function getReason(): i32 {
  return reason;
}

export function getPlace(): usize {
  return place;
}
