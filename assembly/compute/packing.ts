/**
 * Padding is not computed: a value that has something for every place (B, T, …) holds its real rows alone, one after
 * another, and what stands behind them is nobody's. How many there are is known when the lengths are, so the first
 * entry of a tape counts them and writes that number into the entries behind it.
 *
 *   firsts    (B + 1) i32   the first packed row of each row of the batch, and how many there are
 *   origins   (B · T) i32   of each packed row, its place in the batch: row · T + place
 *   patches   pairs of words: where a number stands on the tape, and what it is a row
 */
import { firstUnit } from './shares';

/** lengths, firsts, origins, rows, places, segments a row, words from here to the patches, patches. By thread 0. */
export function packPlaces(args: usize): void {
  const firsts = load<usize>(args, 4);
  const origins = load<usize>(args, 8);
  const rows = load<i32>(args, 12);
  const places = load<i32>(args, 16);
  const segments = load<i32>(args, 20);
  let lengths = load<usize>(args, 0);
  let packed = 0;
  for (let row = 0; row < rows; row++) {
    store<i32>(firsts + (<usize>row << 2), packed);
    let real = 0;
    for (let s = 0; s < segments; s++) {
      real += load<i32>(lengths);
      lengths += 4;
    }
    for (let place = 0; place < real; place++) {
      store<i32>(origins + (<usize>(packed + place) << 2), row * places + place);
    }
    packed += real;
  }
  store<i32>(firsts + (<usize>rows << 2), packed);
  let patch = args + (<usize>load<i32>(args, 24) << 2);
  for (let i = load<i32>(args, 28); i > 0; i--) {
    store<i32>(args + (<usize>load<i32>(patch) << 2), packed * load<i32>(patch, 4));
    patch += 8;
  }
}

/** Where the places of a row of the batch begin; firsts is 0 where nothing is packed. */
// @ts-ignore: decorator
@inline
export function firstPlace(firsts: usize, row: i32, places: i32): i32 {
  return firsts == 0 ? row * places : load<i32>(firsts + (<usize>row << 2));
}

/** Places that a row of the batch has there. */
// @ts-ignore: decorator
@inline
export function placesOf(firsts: usize, row: i32, places: i32): i32 {
  return firsts == 0 ? places : load<i32>(firsts + (<usize>row << 2), 4) - load<i32>(firsts + (<usize>row << 2));
}

/** Where in the batch a row stands that may be packed; origins is 0 where nothing is. */
// @ts-ignore: decorator
@inline
export function originOf(origins: usize, row: i32): i32 {
  return origins == 0 ? row : load<i32>(origins + (<usize>row << 2));
}

/** from, to, firsts, rows, places, bytes of a place: as they stand in the batch, with zeros for padding. */
export function unpackPlaces(args: usize, thread: i32, threads: i32): void {
  const firsts = load<usize>(args, 8);
  const rows = load<i32>(args, 12);
  const places = load<i32>(args, 16);
  const bytes = <usize>load<i32>(args, 20);
  const last = firstUnit(rows, thread + 1, threads);
  for (let row = firstUnit(rows, thread, threads); row < last; row++) {
    const real = <usize>placesOf(firsts, row, places) * bytes;
    const to = load<usize>(args, 4) + <usize>(row * places) * bytes;
    memory.copy(to, load<usize>(args, 0) + <usize>firstPlace(firsts, row, places) * bytes, real);
    memory.fill(to + real, 0, <usize>places * bytes - real);
  }
}
