/**
 * The counts of a partition: a hash table of 2^slotBits entries of 16 bytes, found by linear probing, at most half full.
 *
 *   u64 key     context (42 bits) │ id (21 bits)
 *   u32 count   0 = free
 *   u32 unused
 */
export const ENTRY_BYTES: usize = 16;

export let counts: usize = 0;
export let slotBits: u64 = 0;
export let used: i32 = 0;
/** Contexts of the partition: those whose code, shifted right by this, is `prefix`. */
export let prefixShift: u64 = 0;
export let prefix: u64 = 0;

export function start(at: usize, bits: u32, shift: u64, first: u32): void {
  counts = at;
  slotBits = bits;
  used = 0;
  prefixShift = shift;
  prefix = first;
  memory.fill(at, 0, ENTRY_BYTES << <usize>bits);
}

export function setUsed(value: i32): void {
  used = value;
}
