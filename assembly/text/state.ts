/**
 * Where things lie. The host lays out this module's private memory: first the tables, then `workBytes()` bytes of zeros for
 * the kernel, then the window of text and its results. Nothing here allocates.
 *
 * The tables (src/text/tables.ts writes them) are one block that begins with a header of u32 words; offsets count from the
 * block's first byte:
 *
 *    0 flags            bit 0 lower-case, 1 strip accents, 2 final sigma, 3 every id is below 65,536
 *    1 word limit       code points after normalisation; a longer word is one [UNK]
 *    2 unknown id
 *    3 class stage 1    u16 block number of code point >> 7
 *    4 class stage 2    u8 record number, 128 a block
 *    5 class records    u16: class bits (low byte), canonical combining class (high byte)
 *    6 map stage 1      u16; offset 0 where the settings change no character
 *    7 map stage 2      u16 index into the pool, 0 = the character itself
 *    8 map pool         u32: count << 24 | first code point, then count − 1 further code points
 *    9 trie nodes       { first child u32, id i32 (−1: none) }; the children of node n are [first(n), first(n + 1))
 *   10 trie labels      u8, the byte that leads to a node
 *   11 trie roots       u32[2][256]: child of the word-initial and of the continuing root for each first byte, 0 = none
 *   12 special tokens   u32 count, u32 unused, then { length u32, id u32, mask u64, bytes u64 }, each at most 8 bytes long
 *   13 piece bytes      u16 by id: how many bytes of a word the piece takes, 0 where no word can hold it
 *
 * The kernel's own memory:
 *
 *   one word            its normalised bytes (4 × limit + 8), marks waiting for their order (12 × (limit + 1)), and where the
 *                       character that begins at each byte came from (8 × (4 × limit + 8); origins.ts)
 *   one chunk           starts and stops of its runs, special tokens (u32 each), then a probe of 32 bytes for each run (encode.ts)
 *   the word cache      lines of short keys, lines of long keys, the ring of ids (cache.ts)
 *   isolated characters u32 for each code point of the first plane (isolated.ts)
 */

export const LOWERCASE: u32 = 1;
export const STRIP_ACCENTS: u32 = 2;
export const FINAL_SIGMA: u32 = 4;
const SMALL_IDS: u32 = 8;

/** Text is taken in chunks of this many bytes: what a chunk's words touch of the cache stays in the first-level cache. */
export const CHUNK_BYTES: usize = 2048;
/** Logarithms: lines of 64 bytes with two short keys, of 128 bytes with two long keys, words of the ring. */
export const SHORT_BITS: u32 = 18;
export const LONG_BITS: u32 = 14;
export const RING_BITS: u32 = 19;

const WORD_BYTES: usize = 10240; // 48 × limit + 84, and the limit is at most 200
const PLACES_BYTES: usize = 4 * (CHUNK_BYTES + 16); // an open run of the chunk before, and eight places written ahead
const PROBES_BYTES: usize = 32 * CHUNK_BYTES + 64;

export let tables: usize = 0;
export let flags: u32 = 0;
export let wordLimit: u32 = 0;
export let unknownId: u32 = 0;
/** Of an id in the word cache: 2 where all ids allow it, 4 else. */
export let idBytes: u32 = 0;
export let classStage1: usize = 0;
export let classStage2: usize = 0;
export let classRecords: usize = 0;
export let mapStage1: usize = 0;
export let mapStage2: usize = 0;
export let mapPool: usize = 0;
export let trieNodes: usize = 0;
export let trieLabels: usize = 0;
export let trieRoots: usize = 0;
export let specialTokens: usize = 0;
export let pieceBytes: usize = 0;

export let wordBytes: usize = 0;
export let pendingMarks: usize = 0;
export let wordOrigins: usize = 0;
export let starts: usize = 0;
export let stops: usize = 0;
export let tokens: usize = 0;
export let probes: usize = 0;
export let shortLines: usize = 0;
export let longLines: usize = 0;
export let ring: usize = 0;
export let isolated: usize = 0;

/** Tokens that became [UNK] since the last `takeUnknownCount`. */
let unknownCount: u32 = 0;

export function addUnknown(count: u32): void {
  unknownCount += count;
}

export function takeUnknownCount(): u32 {
  const count = unknownCount;
  unknownCount = 0;
  return count;
}

@inline
function header(word: usize): u32 {
  return load<u32>(tables + (word << 2));
}

/** Bytes of the kernel's own memory; `open` wants them zero, on a border of 64. */
export function workBytes(): usize {
  return (
    WORD_BYTES + 3 * PLACES_BYTES + PROBES_BYTES + (64 << SHORT_BITS) + (128 << LONG_BITS) + (4 << RING_BITS) + 64 + (4 << 16)
  );
}

/** Must be called once before anything else. */
export function open(tablesPtr: usize, work: usize): void {
  tables = tablesPtr;
  flags = header(0);
  wordLimit = header(1);
  unknownId = header(2);
  idBytes = flags & SMALL_IDS ? 2 : 4;
  classStage1 = tables + header(3);
  classStage2 = tables + header(4);
  classRecords = tables + header(5);
  mapStage1 = header(6) == 0 ? 0 : tables + header(6);
  mapStage2 = tables + header(7);
  mapPool = tables + header(8);
  trieNodes = tables + header(9);
  trieLabels = tables + header(10);
  trieRoots = tables + header(11);
  specialTokens = tables + header(12);
  pieceBytes = tables + header(13);
  wordBytes = work;
  pendingMarks = wordBytes + <usize>(4 * wordLimit + 8);
  wordOrigins = pendingMarks + <usize>(12 * (wordLimit + 1));
  starts = work + WORD_BYTES;
  stops = starts + PLACES_BYTES;
  tokens = stops + PLACES_BYTES;
  probes = tokens + PLACES_BYTES;
  shortLines = probes + PROBES_BYTES;
  longLines = shortLines + (64 << SHORT_BITS);
  ring = longLines + (128 << LONG_BITS);
  isolated = ring + (4 << RING_BITS) + 64;
}
