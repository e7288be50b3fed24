/**
 * gzip files of any number of members, with zeros behind any of them. Headers and trailers are read here and only the deflate
 * data by node:zlib, whose own reader of members takes any bytes behind zeros for padding, and where a member is followed by
 * something else loses the member's last bytes. Each member's CRC-32 and length are checked.
 * Of damage inside deflate data, which shows late or only in the CRC, the last call's output is not given (128 KiB at most).
 * Source: RFC 1952; gzip(1), "trailing zero bytes".
 */
import { crc32, createInflateRaw, type InflateRaw, inflateRawSync } from 'node:zlib';
import { type CompressedInput, Damage } from './compressedInput.js';
import { engineOptions, ZlibEngine } from './zlibEngine.js';

const flags = { headerCrc: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 };
/** Deflate data goes in by pieces of this size: 64 MiB of output each at most, which come one by one. */
const pieceBytes = 1 << 16;
/** A member of at most so many bytes of text that is at hand as a whole is decoded at once. */
const smallMemberBytes = 1 << 18;

export async function* gunzip(input: CompressedInput): AsyncGenerator<Uint8Array> {
  do {
    await readHeader(input);
    let crc = 0;
    let length = 0;
    for await (const decoded of inflate(input)) {
      crc = crc32(decoded, crc);
      length += decoded.length;
      yield decoded;
    }
    await checkTrailer(input, crc, length);
    await skipZeros(input);
  } while ((await input.peek(1)).length > 0);
}

async function readHeader(input: CompressedInput): Promise<void> {
  const { offset } = input;
  const magic = await input.peek(3);
  if (magic.length === 0) throw new Damage({ expected: 'a gzip member', got: 'an empty file' }, offset);
  // What is there of a shorter rest tells a member that is cut from something else.
  if ([0x1f, 0x8b, 8].some((byte, i) => i < magic.length && magic[i] !== byte)) {
    throw new Damage({ expected: 'a gzip member', got: `bytes ${hex(magic.subarray(0, 3))}` }, offset);
  }
  const fixed = await input.demand(10, 'a gzip header');
  const flag = fixed[3];
  if (flag & flags.reserved) {
    throw new Damage(
      { expected: 'a gzip header', got: `flags 0x${flag.toString(16)}, which no standard defines` },
      offset,
    );
  }
  let crc = crc32(fixed);
  const take = async (bytes: number) => {
    const taken = await input.demand(bytes, 'a gzip header');
    crc = crc32(taken, crc);
    return taken;
  };
  if (flag & flags.extra) {
    const [low, high] = await take(2);
    await take(low | (high << 8));
  }
  for (const text of [flags.name, flags.comment]) {
    if (flag & text) while ((await take(1))[0] !== 0);
  }
  if (flag & flags.headerCrc) {
    const expected = crc & 0xffff;
    const [low, high] = await input.demand(2, 'a gzip header');
    if ((low | (high << 8)) !== expected) {
      throw new Damage({ expected: 'a gzip header that agrees with its CRC', got: 'another' }, offset);
    }
  }
}

/** The text of a member; the input stands behind its deflate data afterwards. */
async function* inflate(input: CompressedInput): AsyncGenerator<Uint8Array> {
  const small = inflateSmall((await input.peek(1)).subarray(0, pieceBytes));
  if (small === undefined) {
    yield* inflateStream(input);
  } else {
    input.take(small.engine.bytesWritten);
    yield small.buffer;
  }
}

/**
 * Web archives have a member for each page, and a stream for each would take most of the time: 52 MB/s for members of 10 KB,
 * against 125. Of a larger member the first piece is decoded in vain.
 */
function inflateSmall(bytes: Uint8Array): { buffer: Uint8Array; engine: InflateRaw } | undefined {
  try {
    const result: unknown = inflateRawSync(bytes, { maxOutputLength: smallMemberBytes, info: true });
    return result as { buffer: Uint8Array; engine: InflateRaw };
  } catch {
    return undefined; // cut, larger, or damaged: the stream tells
  }
}

async function* inflateStream(input: CompressedInput): AsyncGenerator<Uint8Array> {
  const begin = input.offset;
  const engine = new ZlibEngine(createInflateRaw(engineOptions));
  try {
    while (!engine.isAtEnd) {
      const piece = (await input.peek(1)).subarray(0, pieceBytes);
      if (piece.length === 0)
        throw new Damage({ expected: 'the rest of a gzip member', got: 'the end of the file' }, input.offset);
      yield* engine.decode(piece);
      input.take(begin + engine.consumed - input.offset);
    }
  } catch (error) {
    if (error instanceof Damage) throw error;
    const got = `damaged data (${(error as Error).message})`;
    throw new Damage({ expected: 'deflate data', got }, begin + engine.consumed, error);
  } finally {
    engine.close();
  }
}

async function checkTrailer(input: CompressedInput, crc: number, length: number): Promise<void> {
  const { offset } = input;
  const trailer = Buffer.from(await input.demand(8, 'a gzip member'));
  if (trailer.readUInt32LE(0) !== crc) {
    const found = `CRC-32 ${crc.toString(16)}`;
    throw new Damage({ expected: `text with CRC-32 ${trailer.readUInt32LE(0).toString(16)}`, got: found }, offset);
  }
  if (trailer.readUInt32LE(4) !== length % 2 ** 32) {
    const expected = `${trailer.readUInt32LE(4)} bytes of text (modulo 2^32)`;
    throw new Damage({ expected, got: String(length % 2 ** 32) }, offset + 4);
  }
}

async function skipZeros(input: CompressedInput): Promise<void> {
  for (;;) {
    const next = await input.peek(1);
    const other = next.findIndex((byte) => byte !== 0);
    input.take(other < 0 ? next.length : other);
    if (other >= 0 || next.length === 0) return;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
