/** A thread of the team: the loop in which it waits for work, walks the tape that it is given, and says that it is done. */
import { barrier, waitUntilChanged } from './barrier';
import { Control } from './opcodes';
import { walk } from './tape';

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
    barrier(control, threads, spins, scratch);
    job++;
    if (thread == 0) {
      atomic.store<i32>(control + Control.Completed, job);
      atomic.notify(control + Control.Completed, 1);
    }
  }
}
