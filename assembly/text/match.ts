/**
 * Greedy longest match of one normalised word over the trie of pieces (state.ts draws it). The word is at most `wordLimit`
 * code points long, so the work a word is bounded by limit × longest piece.
 */
import { trieLabels, trieNodes, trieRoots, unknownId, wordLimit } from './state';

/** The child of `node` by `byte`, or 0. Labels of siblings lie side by side and are compared sixteen at a time. */
function childOf(node: usize, byte: u32): usize {
  const first: usize = load<u32>(trieNodes + (node << 3));
  const count = <usize>load<u32>(trieNodes + (node << 3), 8) - first;
  // Most nodes have one child. A branch that is guessed right lets the next node load before this label has been compared.
  if (count && load<u8>(trieLabels + first) == byte) return first;
  const wanted = i8x16.splat(<i8>byte);
  for (let i: usize = 0; i < count; i += 16) {
    const hits = i8x16.bitmask(i8x16.eq(v128.load(trieLabels + first + i), wanted));
    if (hits) {
      const index = i + <usize>ctz(hits);
      return index < count ? first + index : 0;
    }
  }
  return 0;
}

/** Write the ids of the word at `dst`. @returns the end of what was written. */
export function matchWord(word: usize, length: usize, codePoints: u32, dst: usize): usize {
  if (codePoints > wordLimit) return writeUnknown(dst);
  const end = word + length;
  let pos = word;
  let out = dst;
  let roots = trieRoots;
  while (pos < end) {
    let node: usize = load<u32>(roots + (<usize>load<u8>(pos) << 2));
    let id = -1;
    let next = pos;
    let scan = pos;
    while (node) {
      scan++;
      const here = load<i32>(trieNodes + (node << 3), 4);
      if (here >= 0) {
        id = here;
        next = scan;
      }
      if (scan == end) break;
      node = childOf(node, load<u8>(scan));
    }
    if (id < 0) return writeUnknown(dst);
    store<i32>(out, id);
    out += 4;
    pos = next;
    roots = trieRoots + 1024;
  }
  return out;
}

function writeUnknown(dst: usize): usize {
  store<u32>(dst, unknownId);
  return dst + 4;
}

/** How many of the ids in [ids, end) are [UNK]. */
export function countUnknown(ids: usize, end: usize): u32 {
  const wanted = i32x4.splat(unknownId);
  let counts = i32x4.splat(0);
  let pos = ids;
  for (; pos + 16 <= end; pos += 16) counts = i32x4.sub(counts, i32x4.eq(v128.load(pos), wanted));
  let count = <u32>(
    i32x4.extract_lane(counts, 0) + i32x4.extract_lane(counts, 1) + i32x4.extract_lane(counts, 2) + i32x4.extract_lane(counts, 3)
  );
  for (; pos < end; pos += 4) count += load<u32>(pos) == unknownId ? 1 : 0;
  return count;
}
