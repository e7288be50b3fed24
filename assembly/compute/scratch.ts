/**
 * A thread's own memory, which the host sets aside (src/engines/wasm/layout.ts):
 *
 *   0     barriers that this thread has come to: barrier.ts
 *   4     for the host, which asks where it is: the entry that it walks; how long it has waited in profiles (f64, ms): tape.ts
 *   16    whether the machine takes two neighbouring vectors as one, as the tape says
 *   64    one 6 × 8 tile of floats, for the ragged edges of a matrix
 *   256   coefficients of gelu: math.ts
 *   384   zeros, where a product begins with nothing: gemm.ts
 *   448   work: whatever one kernel needs while it runs
 */
import { Place } from './opcodes';

export const SCRATCH_BARRIERS: usize = Place.Barriers;
export const SCRATCH_ENTRY: usize = Place.Entry;
export const SCRATCH_WAITED: usize = Place.Waited;
export const SCRATCH_WIDE: usize = 16;
export const SCRATCH_TILE: usize = 64;
export const SCRATCH_GELU: usize = 256;
export const SCRATCH_ZEROS: usize = 384;
export const SCRATCH_WORK: usize = 448;
