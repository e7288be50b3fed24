/** The path of object keys that leads to the text: unescaped UTF-8, as the host wrote it: { bytes u32, the bytes } each. */

/** Keys of the path. */
export let pathLength: i32 = 0;
let keys: usize = 0;

export function setPath(ptr: usize, count: i32): void {
  keys = ptr;
  pathLength = count;
}

/** Whether [start, end) is the key at `level` of the path. */
export function isKey(level: i32, start: usize, end: usize): bool {
  let key = keys;
  for (; level > 0; level--) key += 4 + load<u32>(key);
  return end - start == load<u32>(key) && memory.compare(key + 4, start, end - start) == 0;
}
