/**
 * A thread's own memory, which the host sets aside (src/engines/wasm/layout.ts):
 *
 *   0     32 words of the last Philox block
 *   128   its counter (u64), step, stream, seed low, seed high: what those words belong to
 *   160   barriers that this thread has come to: barrier.ts
 *   164   for the host, which asks where it is: the entry that it walks; how long it has waited in profiles (f64, ms): tape.ts
 *   176   whether the machine takes two neighbouring vectors as one, as the tape says
 *   192   one 6 × 8 tile of floats, for the ragged edges of a matrix
 *   384   coefficients of gelu: math.ts
 *   512   zeros, where a product begins with nothing: gemm.ts
 *   576   work: whatever one kernel needs while it runs
 */
import { Place } from './opcodes';

export const SCRATCH_WORDS: usize = 0;
export const SCRATCH_BLOCK: usize = 128;
export const SCRATCH_BARRIERS: usize = Place.Barriers;
export const SCRATCH_ENTRY: usize = Place.Entry;
export const SCRATCH_WAITED: usize = Place.Waited;
export const SCRATCH_WIDE: usize = 176;
export const SCRATCH_TILE: usize = 192;
export const SCRATCH_GELU: usize = 384;
export const SCRATCH_ZEROS: usize = 512;
export const SCRATCH_WORK: usize = 576;
