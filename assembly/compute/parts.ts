/** Parts of tensors copied: columns side by side, and the first token of each row. */
import { addRow } from './embed';
import { firstPlace, placesOf } from './packing';
import { firstUnit } from './shares';

/** from, to, rows, width, floats a row of from, first column there, floats a row of to, first column there. */
export function copyColumns(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 8);
  const bytes = <usize>load<i32>(args, 12) << 2;
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const from = <usize>(row * load<i32>(args, 16) + load<i32>(args, 20)) << 2;
    const to = <usize>(row * load<i32>(args, 24) + load<i32>(args, 28)) << 2;
    memory.copy(load<usize>(args, 4) + to, load<usize>(args, 0) + from, bytes);
  }
}

/** x, lengths, y, rows, segments a row, places, width, firsts of x or 0. */
export function firstToken(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 12);
  const bytes = <usize>load<i32>(args, 24) << 2;
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const y = load<usize>(args, 8) + <usize>row * bytes;
    if (hasTokens(load<usize>(args, 4), row, load<i32>(args, 16))) {
      const first = firstPlace(load<usize>(args, 28), row, load<i32>(args, 20));
      memory.copy(y, load<usize>(args, 0) + <usize>first * bytes, bytes);
    } else {
      memory.fill(y, 0, bytes);
    }
  }
}

/** dy, lengths, previous or 0, dx, rows, segments a row, places, width, firsts of dx or 0. dx may be previous. */
export function firstTokenGradient(args: usize, thread: i32, threads: i32): void {
  const previous = load<usize>(args, 8);
  const rows = load<i32>(args, 16);
  const places = load<i32>(args, 24);
  const width = load<i32>(args, 28);
  const firsts = load<usize>(args, 32);
  const bytes = <usize>width << 2;
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const first = <usize>firstPlace(firsts, row, places) * bytes;
    const rowBytes = <usize>placesOf(firsts, row, places) * bytes;
    const dx = load<usize>(args, 12) + first;
    if (previous == 0) memory.fill(dx, 0, rowBytes);
    else if (previous + first != dx) memory.copy(dx, previous + first, rowBytes);
    if (hasTokens(load<usize>(args, 4), row, load<i32>(args, 20))) {
      addRow(load<usize>(args, 0) + <usize>row * bytes, dx, width);
    }
  }
}

function hasTokens(lengths: usize, row: i32, segments: i32): bool {
  for (let s = row * segments; s < (row + 1) * segments; s++) {
    if (load<i32>(lengths + (<usize>s << 2)) > 0) return true;
  }
  return false;
}
