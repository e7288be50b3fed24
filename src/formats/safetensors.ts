/**
 * The safetensors format: named tensors behind a JSON header. Checkpoints and exported weights are such files.
 *
 *   ┌─ u64 ──┬── header, JSON, ended by spaces ──┬── values, little-endian, without gaps ──┐
 *   │ length │ {"name":{"dtype","shape","data_offsets":[from,to]},…,"__metadata__":{…}}     │
 *   └────────┴───────────────────────────────────┴─────────────────────────────────────────┘
 *
 * Equal input gives equal bytes: tensors lie in the order they are given in. Reading checks all of the header before
 * a value is touched; values are views into one buffer, without a copy. A value takes 4 bytes (F32, I32).
 * Source: safetensors 0.8.0, README ("Format") and safetensors/src/tensor.rs.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { z } from 'zod';
import { GalvaniError } from '../errors.js';
import { readFully, writeFileDurably } from '../files.js';
import { sizeOf } from '../ops/operation.js';

export interface StoredTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array | Int32Array;
}
export type StoredTensors = ReadonlyMap<string, StoredTensor>;
export type Metadata = Readonly<Record<string, string>>;

/** What the format allows; a longer header is an attack or damage. */
const maxHeaderBytes = 100_000_000;
const lengthBytes = 8;
const valueBytes = 4;

const extent = z.int().nonnegative();
const entrySchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(extent),
  data_offsets: z.tuple([extent, extent]),
});
const metadataSchema = z.record(z.string(), z.string());

/** Write beside and rename: `file` is whole or what it was. */
export function writeSafetensors(file: string, tensors: StoredTensors, metadata?: Metadata): Promise<void> {
  return writeFileDurably(file, encodeSafetensors(tensors, metadata));
}

/** The file as pieces in order: length and header, then the bytes of each tensor as they lie in memory. */
export function encodeSafetensors(tensors: StoredTensors, metadata?: Metadata): Uint8Array[] {
  const header: Record<string, unknown> = metadata === undefined ? {} : { __metadata__: metadata };
  const pieces: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { shape, values }] of tensors) {
    if (sizeOf(shape) !== values.length) {
      throw new Error(`internal: ${name} has ${values.length} values for shape [${shape}]`);
    }
    const dtype = values instanceof Int32Array ? 'I32' : 'F32';
    header[name] = { dtype, shape, data_offsets: [offset, offset + values.byteLength] };
    pieces.push(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    offset += values.byteLength;
  }
  const json = Buffer.from(JSON.stringify(header));
  const head = Buffer.alloc(lengthBytes + Math.ceil(json.length / 8) * 8, ' ');
  head.writeBigUInt64LE(BigInt(head.length - lengthBytes));
  json.copy(head, lengthBytes);
  return [head, ...pieces];
}

/** All tensors of a file, in the order of its header. Errors name the file and, where it is one's fault, the tensor. */
export async function readSafetensors(
  file: string,
): Promise<{ tensors: Map<string, StoredTensor>; metadata: Metadata }> {
  const handle = await openFile(file);
  try {
    const { size } = await handle.stat();
    const headerBytes = await readHeaderLength(handle, size, file);
    const header = parseHeader(await readAt(handle, lengthBytes, headerBytes, file), file);
    const dataStart = lengthBytes + headerBytes;
    checkLayout(header.entries, size - dataStart, file);
    const data = await readAt(handle, dataStart, size - dataStart, file);
    const tensors = new Map<string, StoredTensor>();
    for (const [name, entry] of header.entries) tensors.set(name, viewOf(data.buffer, entry));
    return { tensors, metadata: header.metadata };
  } finally {
    await handle.close();
  }
}

interface Entry {
  readonly dtype: 'F32' | 'I32';
  readonly shape: readonly number[];
  readonly from: number;
  readonly to: number;
}

async function openFile(file: string): Promise<FileHandle> {
  try {
    return await open(file, 'r');
  } catch (error) {
    throw new GalvaniError({
      stage: 'safetensors',
      expected: 'a file that can be read',
      got: (error as NodeJS.ErrnoException).code ?? String(error),
      where: file,
      remedy: 'Check the path.',
      kind: 'badInput',
      cause: error,
    });
  }
}

async function readHeaderLength(handle: FileHandle, size: number, file: string): Promise<number> {
  if (size < lengthBytes) throw damaged(file, `at least ${lengthBytes} bytes`, `${size} bytes`);
  const length = Number(new DataView((await readAt(handle, 0, lengthBytes, file)).buffer).getBigUint64(0, true));
  if (length > maxHeaderBytes) throw damaged(file, `a header of at most ${maxHeaderBytes} bytes`, `${length} bytes`);
  if (lengthBytes + length > size) {
    throw damaged(file, `a header of ${length} bytes`, `a file that ends after ${size - lengthBytes} of them`);
  }
  return length;
}

function parseHeader(bytes: Uint8Array, file: string): { entries: [string, Entry][]; metadata: Metadata } {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    throw damaged(file, 'a header of JSON in UTF-8', String((error as Error).message));
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw damaged(file, 'a header that maps names to tensors', JSON.stringify(header)?.slice(0, 40));
  }
  const { __metadata__, ...rest } = header as Record<string, unknown>;
  const metadata = metadataSchema.safeParse(__metadata__ ?? {});
  if (!metadata.success) throw damaged(file, '__metadata__ that maps strings to strings', 'something else');
  return {
    entries: Object.entries(rest).map(([name, entry]) => [name, parseEntry(name, entry, file)]),
    metadata: metadata.data,
  };
}

function parseEntry(name: string, value: unknown, file: string): Entry {
  const parsed = entrySchema.safeParse(value);
  if (!parsed.success) {
    throw damaged(file, 'dtype, shape and data_offsets of a tensor', JSON.stringify(value).slice(0, 80), name);
  }
  const { dtype, shape, data_offsets: offsets } = parsed.data;
  if (dtype !== 'F32' && dtype !== 'I32') {
    throw new GalvaniError({
      stage: 'safetensors',
      expected: 'values of type F32 or I32',
      got: dtype,
      where: `${file}, tensor ${name}`,
      remedy: 'Save the file again with float32 values.',
      kind: 'badInput',
    });
  }
  return { dtype, shape, from: offsets[0], to: offsets[1] };
}

/** Sizes follow from shapes, and the tensors fill the data exactly: no gap, no overlap, nothing behind. */
function checkLayout(entries: readonly [string, Entry][], dataBytes: number, file: string): void {
  let end = 0;
  let before = 'the header';
  for (const [name, { shape, from, to }] of entries.toSorted(([, a], [, b]) => a.from - b.from || a.to - b.to)) {
    const bytes = sizeOf(shape) * valueBytes;
    if (to - from !== bytes) {
      throw damaged(file, `${bytes} bytes for shape [${shape.join(', ')}]`, `data_offsets ${from} to ${to}`, name);
    }
    if (to > dataBytes) throw damaged(file, `data up to byte ${to}`, `a file that ends at ${dataBytes}`, name);
    if (from !== end) throw damaged(file, `data from byte ${end}, where ${before} ends`, `byte ${from}`, name);
    end = to;
    before = name;
  }
  if (end !== dataBytes) throw damaged(file, `${end} bytes of data`, `${dataBytes} bytes`);
}

function viewOf(data: ArrayBufferLike, { dtype, shape, from }: Entry): StoredTensor {
  const count = sizeOf(shape);
  return { shape, values: dtype === 'I32' ? new Int32Array(data, from, count) : new Float32Array(data, from, count) };
}

/** `bytes` bytes from `position`, in a buffer of their own. */
async function readAt(handle: FileHandle, position: number, bytes: number, file: string): Promise<Uint8Array> {
  const into = new Uint8Array(bytes);
  const read = await readFully(handle, into, position);
  if (read < bytes) throw damaged(file, `${position + bytes} bytes`, `a file cut to ${position + read} meanwhile`);
  return into;
}

function damaged(file: string, expected: string, got: string, tensor?: string): GalvaniError {
  return new GalvaniError({
    stage: 'safetensors',
    expected,
    got,
    where: tensor === undefined ? file : `${file}, tensor ${tensor}`,
    remedy: 'The file is damaged or was cut; take another copy.',
    kind: 'badInput',
  });
}
