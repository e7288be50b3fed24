/**
 * JSON lines → the texts in them. Private memory, laid out by the host (src/corpus/readers/jsonLines.ts); no allocation, no trap for
 * any input. A line is validated to its end before its text counts.
 */
export { getLinesEnd, getTextsEnd, open, readLines } from './lines';
export { setPath } from './path';
export { getPlace, getReason } from './refusal';
