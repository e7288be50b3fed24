/**
 * How the threads of a team wait for each other: the barrier between entries of a tape.
 *
 * Waiting spins for `spins` loads, then sleeps in memory.atomic.wait32, so that more threads than cores are slow, never
 * stuck. A sleeper announces itself before it looks a last time, and a waker changes the word before it looks for
 * sleepers: one of the two sees the other (all atomics are sequentially consistent).
 */
import { Control } from './opcodes';

/** Returns when all threads have called it. */
export function barrier(control: usize, threads: i32, spins: i32): void {
  if (threads == 1) return;
  const generation = control + Control.Generation;
  // Read before arriving: it cannot advance until this thread has arrived.
  const before = atomic.load<i32>(generation);
  if (atomic.add<i32>(control + Control.Arrived, 1) == threads - 1) {
    atomic.store<i32>(control + Control.Arrived, 0);
    atomic.store<i32>(generation, before + 1);
    if (atomic.load<i32>(control + Control.Sleepers) > 0) atomic.notify(generation, threads);
  } else {
    waitUntilChanged(control, generation, before, spins);
  }
}

/** Waits until the word at `address` is no longer `before`. */
export function waitUntilChanged(control: usize, address: usize, before: i32, spins: i32): void {
  for (let i = 0; i < spins; i++) {
    if (atomic.load<i32>(address) != before) return;
  }
  atomic.add<i32>(control + Control.Sleepers, 1);
  while (atomic.load<i32>(address) == before) atomic.wait<i32>(address, before, -1);
  atomic.sub<i32>(control + Control.Sleepers, 1);
}
