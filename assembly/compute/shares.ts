/**
 * Who does what: work is cut into units that do not depend on the number of threads, and each thread takes a run of
 * them. Results are therefore equal bit for bit however many threads there are.
 */

/** First unit of a thread's share; its last is the one before the next thread's first. */
// @ts-ignore: decorator
@inline
export function firstUnit(units: i32, thread: i32, threads: i32): i32 {
  return <i32>((<i64>units * <i64>thread) / <i64>threads);
}

/** Elements in a unit of elementwise work: 16 KiB, and a multiple of the 32 decisions of a Philox block. */
export const UNIT_ELEMENTS: i32 = 4096;

// @ts-ignore: decorator
@inline
export function unitsOf(elements: i32, size: i32): i32 {
  return (elements + size - 1) / size;
}
