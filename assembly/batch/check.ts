/** The largest of n ids of idBytes (2 or 4) each, unsigned; 0 of none. */
export function largestId(source: usize, n: i32, idBytes: i32): u32 {
  return idBytes == 2 ? largest16(source, source + (<usize>n << 1)) : largest32(source, source + (<usize>n << 2));
}

function largest16(pos: usize, end: usize): u32 {
  let lanes = i16x8.splat(0);
  while (pos + 16 <= end) {
    lanes = i16x8.max_u(lanes, v128.load(pos));
    pos += 16;
  }
  const widened = i32x4.max_u(i32x4.extend_low_i16x8_u(lanes), i32x4.extend_high_i16x8_u(lanes));
  let largest = largestLane(widened);
  while (pos < end) {
    largest = max<u32>(largest, load<u16>(pos));
    pos += 2;
  }
  return largest;
}

function largest32(pos: usize, end: usize): u32 {
  let lanes = i32x4.splat(0);
  while (pos + 16 <= end) {
    lanes = i32x4.max_u(lanes, v128.load(pos));
    pos += 16;
  }
  let largest = largestLane(lanes);
  while (pos < end) {
    largest = max<u32>(largest, load<u32>(pos));
    pos += 4;
  }
  return largest;
}

function largestLane(lanes: v128): u32 {
  const pairs = i32x4.max_u(lanes, v128.shuffle<i32>(lanes, lanes, 2, 3, 0, 1));
  return <u32>i32x4.extract_lane(i32x4.max_u(pairs, v128.shuffle<i32>(pairs, pairs, 1, 0, 3, 2)), 0);
}

/** Σ of n 32-bit words, modulo 2³²: reads each. */
export function sumWords(source: usize, n: i32): i32 {
  const end = source + (<usize>n << 2);
  let lanes = i32x4.splat(0);
  while (source + 16 <= end) {
    lanes = i32x4.add(lanes, v128.load(source));
    source += 16;
  }
  const pairs = i32x4.add(lanes, v128.shuffle<i32>(lanes, lanes, 2, 3, 0, 1));
  let sum = i32x4.extract_lane(i32x4.add(pairs, v128.shuffle<i32>(pairs, pairs, 1, 0, 3, 2)), 0);
  while (source < end) {
    sum += load<i32>(source);
    source += 4;
  }
  return sum;
}
