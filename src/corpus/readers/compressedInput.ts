/** The bytes of a compressed file in order, looked at before they are taken, so that a format is parsed over the cuts of a stream. */
import type { Complaint } from '../../errors.js';

/** A compressed file that is cut short, damaged, or followed by something else. All before it has been handed out. */
export class Damage extends Error {
  override readonly name = 'Damage';

  constructor(
    readonly complaint: Complaint,
    /** Where in the compressed file: of a zstd block its begin, of damage inside a gzip member the last place known to be before it. */
    readonly offset: number,
    cause?: unknown,
  ) {
    super(`expected ${complaint.expected}, got ${complaint.got} (byte ${offset})`, { cause });
  }
}

export class CompressedInput {
  /** Read and not taken. */
  private buffered: Uint8Array = new Uint8Array(0);
  private readBytes = 0;

  constructor(
    private readonly source: AsyncIterator<Uint8Array>,
    /** Is told how many bytes of the file have been read so far. */
    private readonly onRead: (bytes: number) => void,
  ) {}

  /** Where the next byte lies in the file. */
  get offset(): number {
    return this.readBytes - this.buffered.length;
  }

  /** The next bytes, all that are at hand: `atLeast` of them, or fewer at the end of the file. They stay until they are taken. */
  async peek(atLeast: number): Promise<Uint8Array> {
    if (this.buffered.length >= atLeast) return this.buffered;
    const pieces = [this.buffered];
    let bytes = this.buffered.length;
    while (bytes < atLeast) {
      const { done, value } = await this.source.next();
      if (done) break;
      pieces.push(value);
      bytes += value.length;
      this.readBytes += value.length;
      this.buffered = new Uint8Array(0);
      this.onRead(this.readBytes);
    }
    this.buffered = pieces.length === 1 ? pieces[0] : bytes === pieces[1].length ? pieces[1] : Buffer.concat(pieces);
    return this.buffered;
  }

  /** Take bytes that were looked at. */
  take(bytes: number): Uint8Array {
    const taken = this.buffered.subarray(0, bytes);
    this.buffered = this.buffered.subarray(bytes);
    return taken;
  }

  /** Take exactly this many bytes of `what`. @throws Damage where the file ends before. */
  async demand(bytes: number, what: string): Promise<Uint8Array> {
    const { length } = await this.peek(bytes);
    if (length < bytes)
      throw new Damage({ expected: `the rest of ${what}`, got: 'the end of the file' }, this.offset + length);
    return this.take(bytes);
  }
}
