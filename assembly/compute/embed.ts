/**
 * Rows looked up and added: embeddings, gathered places, replacements, and their gradients.
 *
 * The gradients add where an id or a place occurs twice. They go in order of tokens, each thread owning a strip of
 * columns (tables) or whole rows of the batch (scatter), so no sum depends on the number of threads.
 */
import { firstPlace, placesOf } from './packing';
import { firstUnit, unitsOf } from './shares';

const STRIP: i32 = 16;

/** ids, lengths, seconds, words, positions, types, out, rows, places, segments a row, width, firsts or 0. */
export function embed(args: usize, thread: i32, threads: i32): void {
  const ids = load<usize>(args, 0);
  const words = load<usize>(args, 12);
  const positions = load<usize>(args, 16);
  const types = load<usize>(args, 20);
  const rows = load<i32>(args, 28);
  const places = load<i32>(args, 32);
  const segments = load<i32>(args, 36);
  const width = load<i32>(args, 40);
  const firsts = load<usize>(args, 44);
  const bytes = <usize>width << 2;
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    let token = row * places;
    let out = load<usize>(args, 24) + <usize>firstPlace(firsts, row, places) * bytes;
    const end = out + <usize>placesOf(firsts, row, places) * bytes;
    for (let s = row * segments; s < (row + 1) * segments; s++) {
      const length = load<i32>(load<usize>(args, 4) + (<usize>s << 2));
      const second = load<i32>(load<usize>(args, 8) + (<usize>s << 2));
      for (let place = 0; place < length; place++) {
        const word = words + <usize>load<i32>(ids + (<usize>token << 2)) * bytes;
        const type = place < second ? types : types + bytes;
        addThree(word, positions + <usize>place * bytes, type, out, width);
        out += bytes;
        token++;
      }
    }
    memory.fill(out, 0, end - out);
  }
}

function addThree(word: usize, position: usize, type: usize, out: usize, width: i32): void {
  let i = 0;
  for (; i + 4 <= width; i += 4) {
    const at = <usize>i << 2;
    v128.store(out + at, f32x4.add(f32x4.add(v128.load(word + at), v128.load(position + at)), v128.load(type + at)));
  }
  for (; i < width; i++) {
    const at = <usize>i << 2;
    store<f32>(out + at, load<f32>(word + at) + load<f32>(position + at) + load<f32>(type + at));
  }
}

/**
 * ids, lengths, seconds, dy, dWords, dPositions, dTypes, rows, places, segments a row, width, firsts or 0. The targets
 * hold what is added to: zeros or the previous gradient.
 */
export function embedGradient(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 28);
  const places = load<i32>(args, 32);
  const segments = load<i32>(args, 36);
  const width = load<i32>(args, 40);
  const bytes = <usize>width << 2;
  const units = unitsOf(width, STRIP);
  const last = firstUnit(units, thread + 1, threads);
  for (let unit = firstUnit(units, thread, threads); unit < last; unit++) {
    const strip = min(STRIP, width - unit * STRIP);
    const at = <usize>(unit * STRIP) << 2;
    const dy = load<usize>(args, 12) + at;
    const dWords = load<usize>(args, 16) + at;
    const dPositions = load<usize>(args, 20) + at;
    const dTypes = load<usize>(args, 24) + at;
    for (let row = 0; row < rows; row++) {
      let token = row * places;
      let from = dy + <usize>firstPlace(load<usize>(args, 44), row, places) * bytes;
      for (let s = row * segments; s < (row + 1) * segments; s++) {
        const length = load<i32>(load<usize>(args, 4) + (<usize>s << 2));
        const second = load<i32>(load<usize>(args, 8) + (<usize>s << 2));
        for (let place = 0; place < length; place++) {
          const id = load<i32>(load<usize>(args, 0) + (<usize>token << 2));
          addRow(from, dWords + <usize>id * bytes, strip);
          addRow(from, dPositions + <usize>place * bytes, strip);
          addRow(from, place < second ? dTypes : dTypes + bytes, strip);
          from += bytes;
          token++;
        }
      }
    }
  }
}

/** to += from over `count` floats. */
// @ts-ignore: decorator
@inline
export function addRow(from: usize, to: usize, count: i32): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const at = <usize>i << 2;
    v128.store(to + at, f32x4.add(v128.load(to + at), v128.load(from + at)));
  }
  for (; i < count; i++) {
    const at = <usize>i << 2;
    store<f32>(to + at, load<f32>(to + at) + load<f32>(from + at));
  }
}

/** x, places, out, rows, places a row of x, places asked for a row, width, firsts or 0. Padding gives zeros. */
export function gatherRows(args: usize, thread: i32, threads: i32): void {
  const length = load<i32>(args, 16);
  const count = load<i32>(args, 20);
  const bytes = <usize>load<i32>(args, 24) << 2;
  const firsts = load<usize>(args, 28);
  const units = load<i32>(args, 12) * count;
  const last = firstUnit(units, thread + 1, threads);
  for (let i = firstUnit(units, thread, threads); i < last; i++) {
    const row = i / count;
    const place = load<i32>(load<usize>(args, 4) + (<usize>i << 2));
    const to = load<usize>(args, 8) + <usize>i * bytes;
    if (place < placesOf(firsts, row, length)) {
      const from = firstPlace(firsts, row, length) + place;
      memory.copy(to, load<usize>(args, 0) + <usize>from * bytes, bytes);
    } else {
      memory.fill(to, 0, bytes);
    }
  }
}

/** dy, places, previous or 0, dx, rows, places a row of dx, places a row of dy, width, firsts or 0. dx may be previous. */
export function scatterRows(args: usize, thread: i32, threads: i32): void {
  const previous = load<usize>(args, 8);
  const dx = load<usize>(args, 12);
  const rows = load<i32>(args, 16);
  const length = load<i32>(args, 20);
  const count = load<i32>(args, 24);
  const width = load<i32>(args, 28);
  const firsts = load<usize>(args, 32);
  const bytes = <usize>width << 2;
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const first = <usize>firstPlace(firsts, row, length) * bytes;
    const real = placesOf(firsts, row, length);
    const to = dx + first;
    if (previous == 0) memory.fill(to, 0, <usize>real * bytes);
    else if (previous != dx) memory.copy(to, previous + first, <usize>real * bytes);
    for (let i = row * count; i < (row + 1) * count; i++) {
      const place = load<i32>(load<usize>(args, 4) + (<usize>i << 2));
      if (place < real) addRow(load<usize>(args, 0) + <usize>i * bytes, to + <usize>place * bytes, width);
    }
  }
}

/** ids, places, values, counts, replaced, labels, rows, places a row of ids, places a row of places. */
export function replace(args: usize, thread: i32, threads: i32): void {
  const rows = load<i32>(args, 24);
  const length = load<i32>(args, 28);
  const most = load<i32>(args, 32);
  const bytes = <usize>length << 2;
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const ids = load<usize>(args, 0) + <usize>row * bytes;
    const replaced = load<usize>(args, 16) + <usize>row * bytes;
    const labels = load<usize>(args, 20) + <usize>row * bytes;
    memory.copy(replaced, ids, bytes);
    const first = row * most;
    const end = first + load<i32>(load<usize>(args, 12) + (<usize>row << 2));
    for (let i = first; i < end; i++) {
      const at = <usize>i << 2;
      const place = load<i32>(load<usize>(args, 4) + at);
      store<i32>(replaced + (<usize>place << 2), load<i32>(load<usize>(args, 8) + at));
    }
    for (let i: usize = 0; i < bytes; i += 4) {
      store<i32>(labels + i, i32(load<i32>(replaced + i) != load<i32>(ids + i)));
    }
  }
}
