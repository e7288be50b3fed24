/**
 * Where things lie. The host lays out this module's private memory and hands over pointers; nothing here allocates.
 *
 * The tables (src/text/tables.ts writes them) are one block that begins with a header of u32 words; offsets count from the
 * block's first byte:
 *
 *    0 flags            bit 0 lower-case, 1 strip accents, 2 final sigma
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
 *   12 single ids       u32[128]: the id of each one-byte word, or one of the marks below
 *   13 special tokens   u32 count, u32 unused, then { length u32, id u32, mask u64, bytes u64 }, each at most 8 bytes long
 *   14 piece bytes      u16 by id: how many bytes of a word the piece takes, 0 where no word can hold it
 */

export const LOWERCASE: u32 = 1;
export const STRIP_ACCENTS: u32 = 2;
export const FINAL_SIGMA: u32 = 4;

/** Marks in the table of single ids: no id may be as large. 0xffffffff, the third, yields nothing: space, or dropped. */
export const LINE_END: u32 = 0xfffffffe;
export const MAYBE_SPECIAL: u32 = 0xfffffffd;

export let tables: usize = 0;
export let flags: u32 = 0;
export let wordLimit: u32 = 0;
export let unknownId: u32 = 0;
export let classStage1: usize = 0;
export let classStage2: usize = 0;
export let classRecords: usize = 0;
export let mapStage1: usize = 0;
export let mapStage2: usize = 0;
export let mapPool: usize = 0;
export let trieNodes: usize = 0;
export let trieLabels: usize = 0;
export let trieRoots: usize = 0;
export let singleIds: usize = 0;
export let specialTokens: usize = 0;
export let pieceBytes: usize = 0;

/**
 * Scratch for one word: its normalised bytes (4 × limit + 8), marks waiting for their order (12 × (limit + 1)), and where
 * the character that begins at each byte came from (8 × (4 × limit + 8); origins.ts).
 */
export let wordBytes: usize = 0;
export let pendingMarks: usize = 0;
export let wordOrigins: usize = 0;

/** The word cache (cache.ts). */
export let cacheSlots: usize = 0;
export let cacheBits: u32 = 0;
export let cacheArena: usize = 0;
export let cacheArenaWords: u32 = 0;

/** Tokens that became [UNK] since the last `takeUnknownCount`. */
export let unknownCount: u32 = 0;

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

/** Must be called once before anything else; the cache must be all zero. Cache: 32 << bits bytes; arena: u32 words. */
export function open(
  tablesPtr: usize,
  scratchPtr: usize,
  cachePtr: usize,
  bits: u32,
  arenaPtr: usize,
  arenaWords: u32,
): void {
  tables = tablesPtr;
  flags = header(0);
  wordLimit = header(1);
  unknownId = header(2);
  classStage1 = tables + header(3);
  classStage2 = tables + header(4);
  classRecords = tables + header(5);
  mapStage1 = header(6) == 0 ? 0 : tables + header(6);
  mapStage2 = tables + header(7);
  mapPool = tables + header(8);
  trieNodes = tables + header(9);
  trieLabels = tables + header(10);
  trieRoots = tables + header(11);
  singleIds = tables + header(12);
  specialTokens = tables + header(13);
  pieceBytes = tables + header(14);
  wordBytes = scratchPtr;
  pendingMarks = wordBytes + <usize>(4 * wordLimit + 8);
  wordOrigins = pendingMarks + <usize>(12 * (wordLimit + 1));
  cacheSlots = cachePtr;
  cacheBits = bits;
  cacheArena = arenaPtr;
  cacheArenaWords = arenaWords;
}
