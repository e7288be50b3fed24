/**
 * A decoder of node:zlib, fed piece by piece. Between two pieces it is at rest, so what it has decoded comes out before an
 * error does: an ordinary pipe loses what is on its way when a stream fails.
 */
import type { Transform } from 'node:stream';

/** 128 KiB: a zstd block at most; fewer turns than zlib's 16 KiB, and little to lose where a call fails. */
const outputBytes = 1 << 17;

/**
 * For the constructors of node:zlib. With a high-water mark of one byte the decoder waits until a piece of output has been
 * read before it makes the next one: memory stays bounded whatever the ratio, and no failure overtakes output.
 */
export const engineOptions = { chunkSize: outputBytes, highWaterMark: 1 };

export class ZlibEngine {
  /** The compressed data came to its end, perhaps before the end of a piece. */
  isAtEnd = false;
  private isFed = true;
  private failure: Error | undefined;
  private wake = () => {};

  constructor(private readonly stream: Transform & { readonly bytesWritten: number; close(): void }) {
    stream.on('readable', () => this.wake());
    stream.on('end', () => {
      this.isAtEnd = true;
      this.wake();
    });
    stream.on('error', (error) => {
      this.failure = error;
      this.wake();
    });
  }

  /** Compressed bytes that went into output; of a call that failed, none. */
  get consumed(): number {
    return this.stream.bytesWritten;
  }

  /** All that can be decoded with this piece. @throws what zlib says, after all that it decoded in the calls before. */
  async *decode(piece: Uint8Array): AsyncGenerator<Uint8Array> {
    this.isFed = false;
    this.stream.write(piece, () => {
      this.isFed = true;
      this.wake();
    });
    for (;;) {
      const decoded = this.stream.read() as Uint8Array | null;
      if (decoded !== null) yield decoded;
      else if (this.failure !== undefined) throw this.failure;
      else if (this.isFed || this.isAtEnd) return;
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  close(): void {
    this.stream.close();
  }
}
