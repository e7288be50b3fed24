/**
 * UTF-8 bytes → WordPiece ids. Private memory, laid out by the host (src/text/encoder.ts); no allocation, no trap for any input.
 * One instance a worker: its word cache lives as long as the instance.
 */
export { encode, getLineCount } from './encode';
export { writeWords } from './normalize';
export { encodeWithOffsets, getUnit } from './offsets';
export { countIds, packIds } from './pack';
export { open, takeUnknownCount, workBytes } from './state';
export { dropInvalid } from './utf8';
