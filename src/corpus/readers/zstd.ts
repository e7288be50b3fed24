/**
 * zstd files of any number of frames, skippable ones among them. Frames are walked here, block by block, which needs no
 * decoding: where a frame or the file ends, what is cut short, and how large a window is asked for is known before any of it is
 * decoded. Blocks are decoded by node:zlib where it has zstd (Node 22.15 and later), else by fzstd.
 *
 * Neither could be left alone with a file: the stream of node:zlib ends with the first frame, silently, where more follows in
 * the same piece; fzstd believes any window up to 2 GiB, reads beyond it as zeros, ignores dictionaries and checksums. So the
 * content's checksum is verified here for fzstd (a quarter of the time), and by the library in node:zlib.
 * Source: RFC 8878; the limit on windows is that of zstd(1).
 */
import zlib from 'node:zlib';
import { Decompress, decompress } from 'fzstd';
import type { Complaint } from '../../errors.js';
import { type CompressedInput, Damage } from './compressedInput.js';
import { Xxh64 } from './xxh64.js';
import { engineOptions, ZlibEngine } from './zlibEngine.js';

/** What node:zlib has of zstd; the types are those of Node 20, which has none. */
const library = zlib as unknown as {
  createZstdDecompress?: (options: object) => ConstructorParameters<typeof ZlibEngine>[0];
  zstdDecompressSync?: (input: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;
  constants: { ZSTD_d_windowLogMax: number };
};

const magicBytes = 0xfd2fb528;
const maxWindowLog = 27;
const maxWindowBytes = 2 ** maxWindowLog;
const maxBlockBytes = 1 << 17;
const blockTypes = { raw: 0, repeated: 1, compressed: 2, reserved: 3 };

interface FrameHeader {
  /** As it stands in the file: the decoder reads it too. */
  bytes: Uint8Array;
  windowBytes: number;
  hasChecksum: boolean;
  /** Bytes of text, where it is said. */
  contentBytes: number | undefined;
}

/** What decodes the blocks of frames, in order. */
interface Decoder {
  begin(header: FrameHeader): void;
  /** The first block comes with its frame's header before it. */
  decode(block: Uint8Array, isLast: boolean): AsyncGenerator<Uint8Array>;
  /** After the last block. @throws where the text does not have this checksum. */
  verify(checksum: Uint8Array): Promise<void>;
  close(): void;
}

/** @param create null for fzstd, also where node:zlib has zstd (in tests). */
export async function* unzstd(
  input: CompressedInput,
  create = library.createZstdDecompress ?? null,
): AsyncGenerator<Uint8Array> {
  const decoder = create === null ? new ScriptDecoder() : new LibraryDecoder(create);
  try {
    do {
      const magic = await input.peek(4);
      if (magic.length === 0) throw new Damage({ expected: 'a zstd frame', got: 'an empty file' }, 0);
      if (isSkippable(magic)) await skipFrame(input);
      else yield* decodeFrame(input, decoder);
    } while ((await input.peek(1)).length > 0);
  } finally {
    decoder.close();
  }
}

/** A buffer of a table, whose length is known. @throws where it has another, though perhaps not all of them. */
export function unzstdAtOnce(bytes: Uint8Array, length: number): Uint8Array {
  if (library.zstdDecompressSync !== undefined) {
    return library.zstdDecompressSync(bytes, { maxOutputLength: Math.max(1, length) });
  }
  // fzstd makes room for what the header says.
  const header = parseHeader(bytes);
  if (isComplaint(header)) throw new Error(`${header.got} instead of ${header.expected}`);
  if ((header.contentBytes ?? length) !== length) throw new Error(`${header.contentBytes} bytes instead of ${length}`);
  return decompress(bytes);
}

/** The magic number of a skippable frame has any digit as its first; of a number that is cut short, what is there decides. */
function isSkippable(magic: Uint8Array): boolean {
  return magic.every((byte, i) => i > 3 || (i === 0 ? byte >> 4 === 5 : byte === [0, 0x2a, 0x4d, 0x18][i]));
}

async function skipFrame(input: CompressedInput): Promise<void> {
  const header = await input.demand(8, 'a skippable zstd frame');
  for (let left = uint(header, 4, 4); left > 0; ) {
    await input.peek(1);
    left -= (await input.demand(Math.min(left, maxBlockBytes), 'a skippable zstd frame')).length;
  }
}

async function* decodeFrame(input: CompressedInput, decoder: Decoder): AsyncGenerator<Uint8Array> {
  const header = await readHeader(input);
  decoder.begin(header);
  let contentBytes = 0;
  let isLast = false;
  for (let isFirst = true; !isLast; isFirst = false) {
    const { offset } = input;
    const { block, ...told } = await readBlock(input, header.windowBytes);
    isLast = told.isLast;
    try {
      for await (const text of decoder.decode(isFirst ? Buffer.concat([header.bytes, block]) : block, isLast)) {
        contentBytes += text.length;
        if (text.length > 0) yield text;
      }
    } catch (error) {
      const got = `a damaged one (${(error as Error).message})`;
      throw new Damage({ expected: 'a zstd block', got }, offset, error);
    }
  }
  const { offset } = input;
  if (header.contentBytes !== undefined && header.contentBytes !== contentBytes) {
    throw new Damage({ expected: `${header.contentBytes} bytes of text`, got: String(contentBytes) }, offset);
  }
  if (!header.hasChecksum) return;
  const checksum = await input.demand(4, 'a zstd frame');
  await decoder.verify(checksum).catch((error) => {
    throw new Damage({ expected: 'text that agrees with its checksum', got: 'another' }, offset, error);
  });
}

async function readHeader(input: CompressedInput): Promise<FrameHeader> {
  const { offset } = input;
  const begin = await input.peek(5);
  const magic = begin.subarray(0, 4);
  // What is there of a shorter rest tells a frame that is cut from something else.
  if (magic.some((byte, i) => byte !== ((magicBytes >>> (8 * i)) & 0xff))) {
    const got = `bytes ${Buffer.from(magic).toString('hex')}`;
    throw new Damage({ expected: 'a zstd frame', got }, offset);
  }
  if (begin.length < 5) await input.demand(5, 'a zstd frame');
  const header = parseHeader(await input.demand(layOut(begin[4]).headerBytes, 'a zstd frame'));
  if (isComplaint(header)) throw new Damage(header, offset);
  return header;
}

/** What a descriptor says about the header that it stands in: a window unless the frame is one segment, and two fields. */
function layOut(descriptor: number) {
  const isSingle = (descriptor & 0x20) !== 0;
  const dictionaryAt = isSingle ? 5 : 6;
  const contentSizeAt = dictionaryAt + [0, 1, 2, 4][descriptor & 3];
  const headerBytes = contentSizeAt + [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6];
  return { isSingle, dictionaryAt, contentSizeAt, headerBytes };
}

/** @returns a complaint where the frame cannot be decoded. */
function parseHeader(bytes: Uint8Array): FrameHeader | Complaint {
  const descriptor = bytes[4];
  const { isSingle, dictionaryAt, contentSizeAt, headerBytes } = layOut(descriptor);
  if (descriptor & 8) return { expected: 'a zstd frame', got: 'one with a reserved bit' };
  const dictionary = uint(bytes, dictionaryAt, contentSizeAt - dictionaryAt);
  if (dictionary !== 0)
    return { expected: 'a zstd frame without a dictionary', got: `one with dictionary ${dictionary}` };
  const sizeBytes = headerBytes - contentSizeAt;
  // Two bytes begin where one ends.
  const size = uint(bytes, contentSizeAt, sizeBytes) + (sizeBytes === 2 ? 256 : 0);
  const base = 2 ** (10 + (bytes[5] >> 3));
  const windowBytes = isSingle ? size : base + (base / 8) * (bytes[5] & 7);
  if (!(windowBytes <= maxWindowBytes)) {
    return { expected: `a zstd window of at most ${maxWindowBytes} bytes`, got: String(windowBytes) };
  }
  const contentBytes = sizeBytes === 0 ? undefined : size;
  return { bytes: bytes.subarray(0, headerBytes), windowBytes, hasChecksum: (descriptor & 4) !== 0, contentBytes };
}

function isComplaint(header: FrameHeader | Complaint): header is Complaint {
  return 'got' in header;
}

async function readBlock(input: CompressedInput, windowBytes: number): Promise<{ block: Uint8Array; isLast: boolean }> {
  const { offset } = input;
  const peeked = await input.peek(3);
  if (peeked.length < 3) await input.demand(3, 'a zstd frame');
  const header = uint(peeked, 0, 3);
  const type = (header >> 1) & 3;
  const size = header >> 3;
  if (type === blockTypes.reserved)
    throw new Damage({ expected: 'a zstd block', got: 'one of the reserved type' }, offset);
  const most = Math.min(maxBlockBytes, windowBytes);
  if (size > most) throw new Damage({ expected: `a zstd block of at most ${most} bytes`, got: String(size) }, offset);
  const block = await input.demand(3 + (type === blockTypes.repeated ? 1 : size), 'a zstd frame');
  return { block, isLast: (header & 1) === 1 };
}

/** One decoder of node:zlib for all frames: at the end of one it is ready for the next, as no piece goes over the border. */
class LibraryDecoder implements Decoder {
  private readonly engine: ZlibEngine;

  constructor(create: NonNullable<typeof library.createZstdDecompress>) {
    const params = { [library.constants.ZSTD_d_windowLogMax]: maxWindowLog };
    this.engine = new ZlibEngine(create({ ...engineOptions, params }));
  }

  begin(): void {}

  decode(block: Uint8Array): AsyncGenerator<Uint8Array> {
    return this.engine.decode(block);
  }

  async verify(checksum: Uint8Array): Promise<void> {
    for await (const _ of this.engine.decode(checksum));
  }

  close(): void {
    this.engine.close();
  }
}

class ScriptDecoder implements Decoder {
  private frame = new Decompress(() => {});
  private hash: Xxh64 | undefined;
  private hasChecksum = false;

  begin({ hasChecksum }: FrameHeader): void {
    this.frame = new Decompress((text) => this.decoded.push(text));
    this.hasChecksum = hasChecksum;
    this.hash = hasChecksum ? new Xxh64() : undefined;
  }

  private decoded: Uint8Array[] = [];

  async *decode(block: Uint8Array, isLast: boolean): AsyncGenerator<Uint8Array> {
    this.decoded = [];
    // It wants a checksum behind the last block, and does not look at it.
    const ending = isLast && this.hasChecksum ? Buffer.concat([block, new Uint8Array(4)]) : block;
    this.frame.push(ending, isLast);
    for (const text of this.decoded) {
      this.hash?.update(text);
      yield text;
    }
  }

  async verify(checksum: Uint8Array): Promise<void> {
    if (this.hash?.low32() !== uint(checksum, 0, 4)) throw new Error('checksum');
  }

  close(): void {}
}

/** Little-endian; exact up to 2^53. */
function uint(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let i = 0; i < length; i++) value += bytes[at + i] * 2 ** (8 * i);
  return value;
}
