/**
 * An LZ4 frame whose length is known, as Arrow keeps compressed buffers in: blocks that may refer to those before them.
 * Checksums (XXH32, which Arrow does not write) are not verified. Source: lz4/doc/lz4_Frame_format.md and lz4_Block_format.md.
 */

const magicBytes = 0x184d2204;
const flags = { blockChecksum: 0x10, contentSize: 0x08, dictionary: 0x01 };

/** @returns the content, which has exactly this length. @throws where the frame does not say that. */
export function unlz4Frame(frame: Uint8Array, length: number): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== magicBytes) throw new Error('no LZ4 frame');
  const flag = view.getUint8(4);
  if (flag >> 6 !== 1 || flag & flags.dictionary)
    throw new Error('an LZ4 frame of another version, or with a dictionary');
  const content = new Uint8Array(length);
  let written = 0;
  // Magic number, flags, block size, content size, a byte of checksum.
  let at = 7 + (flag & flags.contentSize ? 8 : 0);
  for (;;) {
    const word = view.getUint32(at, true);
    if (word === 0) break;
    const size = word & 0x7fffffff;
    const block = frame.subarray(at + 4, at + 4 + size);
    if (block.length < size) throw new Error('an LZ4 block that is cut short');
    if (word >>> 31) {
      content.set(block, written);
      written += size;
    } else {
      written = unlz4Block(block, content, written);
    }
    at += 4 + size + (flag & flags.blockChecksum ? 4 : 0);
  }
  if (written !== length) throw new Error(`${written} bytes in an LZ4 frame of ${length}`);
  return content;
}

/** Sequences of literals and a match: the last has literals only. @returns where the content ends. */
function unlz4Block(block: Uint8Array, content: Uint8Array, begin: number): number {
  let from = 0;
  let to = begin;
  /** Fifteen means that bytes follow, up to the first below 255. */
  const readLength = (nibble: number): number => {
    let length = nibble;
    if (nibble === 15) {
      let byte: number;
      do {
        byte = block[from++];
        length += byte;
      } while (byte === 255);
    }
    return length;
  };
  while (from < block.length) {
    const token = block[from++];
    const literals = readLength(token >> 4);
    content.set(block.subarray(from, from + literals), to);
    from += literals;
    to += literals;
    if (from >= block.length) break;
    const distance = block[from] | (block[from + 1] << 8);
    from += 2;
    const length = readLength(token & 15) + 4;
    if (!(distance > 0 && distance <= to && to + length <= content.length))
      throw new Error('an LZ4 match out of bounds');
    if (distance >= length && length > 16) content.copyWithin(to, to - distance, to - distance + length);
    else for (let i = 0; i < length; i++) content[to + i] = content[to + i - distance];
    to += length;
  }
  if (from > block.length) throw new Error('an LZ4 block that is cut short');
  return to;
}
