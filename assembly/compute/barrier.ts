/**
 * How the threads of a team wait for each other: the barrier between entries of a tape.
 *
 * Waiting spins for `spins` loads, then sleeps in Atomics.wait, so that more threads than cores are slow, never stuck. A
 * sleeper announces itself before it looks a last time, and a waker changes the word before it looks for sleepers: one of
 * the two sees the other (all atomics are sequentially consistent).
 *
 * Every thread counts its barriers itself (in its scratch), and arrivals are counted on and on: whoever arrives out of
 * turn, because a wait ended too early, traps there instead of taking another's place, which computes on half-written
 * memory and then waits for ever. test/engines/barrier.test.ts walks every interleaving.
 */
import { Control } from './opcodes';
import { SCRATCH_BARRIERS } from './scratch';

/**
 * Sleeps until somebody wakes the word at `address`, unless it is not `value`: Atomics.wait, of the host. The instruction
 * memory.atomic.wait32 is not to be had: V8 11.3 (Node 20) spills its address over four bytes of the function's last
 * local until the optimising compiler has seen the function, and a sleeper forgets what it waited for.
 */
@external("env", "sleep")
declare function sleep(address: usize, value: i32): void;

/** Returns when all threads have called it. Counts wrap around together. */
export function barrier(control: usize, threads: i32, spins: i32, scratch: usize): void {
  if (threads == 1) return;
  const generation = control + Control.Generation;
  const before = load<i32>(scratch + SCRATCH_BARRIERS);
  store<i32>(scratch + SCRATCH_BARRIERS, before + 1);
  const others = atomic.add<i32>(control + Control.Arrived, 1) - before * threads;
  if (<u32>others >= <u32>threads) unreachable();
  if (others == threads - 1) {
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
  while (atomic.load<i32>(address) == before) sleep(address, before);
  atomic.sub<i32>(control + Control.Sleepers, 1);
}
