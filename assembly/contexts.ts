/**
 * Contexts of the n-gram model, shared by the modules that count and that draw: the left and the right neighbour of a
 * place, either of which may be ANY. A context is a number of 42 bits, mixed by a bijection, so that it needs no
 * comparison beside its own and its high bits are spread evenly: they choose partitions and buckets.
 *
 * The mixing is splitmix64's (Steele, Lea and Flood, OOPSLA 2014), in 42 bits: right shifts by half of them, and the low
 * 42 bits of its multipliers.
 */

/** In place of a neighbour: whatever it is. Ids are below it. */
export const ANY: u32 = 0x1fffff;
export const ID_BITS: u64 = 21;
export const CODE_BITS: u64 = 42;

const CODE_MASK: u64 = (1 << 42) - 1;
const MULTIPLIER_0: u64 = 0xbf58476d1ce4e5b9 & 0x3ffffffffff;
const MULTIPLIER_1: u64 = 0x94d049bb133111eb & 0x3ffffffffff;

// @ts-ignore: decorator
@inline
export function contextCode(left: u32, right: u32): u64 {
  let code = (<u64>left << ID_BITS) | <u64>right;
  code ^= code >> 21;
  code = (code * MULTIPLIER_0) & CODE_MASK;
  code ^= code >> 21;
  code = (code * MULTIPLIER_1) & CODE_MASK;
  return code ^ (code >> 21);
}
