/**
 * A team of threads on one memory: the barrier between entries of a tape, and the loop in which a thread waits for work.
 *
 * Waiting spins for `spins` loads, then sleeps in memory.atomic.wait32, so that more threads than cores are slow, never
 * stuck. A sleeper announces itself before it looks a last time, and a waker changes the word before it looks for
 * sleepers: one of the two sees the other (all atomics are sequentially consistent).
 */
import { Control } from './opcodes';
import { walk } from './tape';

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
function waitUntilChanged(control: usize, address: usize, before: i32, spins: i32): void {
  for (let i = 0; i < spins; i++) {
    if (atomic.load<i32>(address) != before) return;
  }
  atomic.add<i32>(control + Control.Sleepers, 1);
  while (atomic.load<i32>(address) == before) atomic.wait<i32>(address, before, -1);
  atomic.sub<i32>(control + Control.Sleepers, 1);
}

/**
 * The life of one thread: waits for a job, walks its tape, and says when the whole team is done with it. Two jobs may
 * be posted at once: the host sets the tape first, then advances Submitted and notifies. Returns at a tape of 0.
 *
 * scratch: this thread's own memory, see scratch.ts.
 */
export function serve(control: usize, thread: i32, threads: i32, spins: i32, scratch: usize): void {
  let job = 0;
  while (true) {
    waitUntilChanged(control, control + Control.Submitted, job, spins);
    const tape = <usize>atomic.load<u32>(control + Control.Tapes + <usize>((job & 1) << 2));
    if (tape == 0) return;
    walk(tape, control, thread, threads, spins, scratch);
    barrier(control, threads, spins);
    job++;
    if (thread == 0) {
      atomic.store<i32>(control + Control.Completed, job);
      atomic.notify(control + Control.Completed, 1);
    }
  }
}
