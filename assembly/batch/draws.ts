import { philoxBlock } from '../philox';

/**
 * The 32-bit draws first … first + count − 1 of a stream at a step.
 *
 * out  4 × (count + 34) bytes: whole blocks of 32 are written, from a multiple of 4 on
 * @returns where draw `first` stands in out
 */
export function drawWords(
  out: usize, first: u64, count: i32, keyLow: u32, keyHigh: u32, step: u32, stream: u32,
): usize {
  let counter = first >> 2;
  const start = out + (<usize>(first & 3) << 2);
  const end = start + (<usize>count << 2);
  for (let pos = out; pos < end; pos += 128) {
    philoxBlock(pos, keyLow, keyHigh, counter, step, stream);
    counter += 8;
  }
  return start;
}
