/**
 * Who does what: work is cut into units that do not depend on the number of threads, and what is computed in a unit not
 * on who does it. Results are therefore equal bit for bit however many threads there are and however fast each is.
 *
 * Units of some size are taken one by one as threads come for them (takeUnit), and small ones in runs (firstUnit), of
 * which there are several a thread: one that the machine holds up costs the team what it is at, not half an operation.
 */
import { TapeLayout } from './opcodes';

/**
 * The next unit of this entry that nobody has taken, or −1 when there is none; to be asked for until it says so.
 *
 * The count stands in the entry itself. Every thread that walks the tape is refused exactly once, so the count ends at
 * units + threads, and whoever draws the last of these numbers knows that nobody will ask again: it puts the count back
 * to 0 for the next walk, which begins behind a barrier.
 */
export function takeUnit(args: usize, units: i32, threads: i32): i32 {
  const taken = args - (TapeLayout.EntryHeaderWords - TapeLayout.TakenWord) * 4;
  const unit = atomic.add<i32>(taken, 1);
  if (unit < units) return unit;
  if (unit == units + threads - 1) atomic.store<i32>(taken, 0);
  return -1;
}

/** First unit of a thread's share; its last is the one before the next thread's first. */
// @ts-ignore: decorator
@inline
export function firstUnit(units: i32, thread: i32, threads: i32): i32 {
  return <i32>((<i64>units * <i64>thread) / <i64>threads);
}

/** Elements in a unit of elementwise work: 16 KiB, and a multiple of the 64 decisions of a Philox block. */
export const UNIT_ELEMENTS: i32 = 4096;

// @ts-ignore: decorator
@inline
export function unitsOf(elements: i32, size: i32): i32 {
  return (elements + size - 1) / size;
}
