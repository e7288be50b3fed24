/** Whether all of a value is finite: NaN and infinities have an exponent of ones. */
import { firstElement } from './elementwise';

const EXPONENT: i32 = 0x7f800000;

/** x, count, number of its operation, address of the smallest such number of what is not finite. */
export function checkFinite(args: usize, thread: i32, threads: i32): void {
  const x = load<usize>(args, 0);
  const count = load<i32>(args, 4);
  const last = firstElement(count, thread + 1, threads);
  let i = firstElement(count, thread, threads);
  const exponent = i32x4.splat(EXPONENT);
  let found = i32x4.splat(0);
  for (; i + 4 <= last; i += 4) {
    found = v128.or(found, i32x4.eq(v128.and(v128.load(x + (<usize>i << 2)), exponent), exponent));
  }
  let isFinite = !v128.any_true(found);
  for (; i < last; i++) isFinite = isFinite && (load<i32>(x + (<usize>i << 2)) & EXPONENT) != EXPONENT;
  if (!isFinite) lower(load<usize>(args, 12), load<i32>(args, 8));
}

function lower(address: usize, value: i32): void {
  let before = atomic.load<i32>(address);
  while (before > value) {
    const seen = atomic.cmpxchg<i32>(address, before, value);
    if (seen == before) return;
    before = seen;
  }
}
