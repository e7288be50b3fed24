/**
 * The ring: the loader's batch n goes into slot n mod R, counted from 0 whatever step it is of. Workers take the next batch
 * that nobody has taken. One int32 a slot, its turn, says whose it is:
 *
 *   turn = 2 ⌊n / R⌋      free: the worker that took batch n may fill it
 *   turn = 2 ⌊n / R⌋ + 1  filled: the consumer may take it, and gives it back by adding 1
 *
 * Turns only grow, so neither side can mistake an old batch for a new one. The side that writes the planes does so
 * before it moves the turn (Atomics orders the two), and wakes the other.
 *
 *   control  [0] stop flag │ [1] next batch to take │ turns (R) │ masked counts (R) │ token counts (R) │ widths (R) │
 *            steps of the workers (W) │ microseconds that the workers were busy (W), counted modulo 2³²
 */

/** Before the turns. */
const headWords = 2;

/** Longest sleep before the stop flag is looked at again, should a wake-up get lost. */
export const sleepMs = 100;

/** How long either side waits for more than the one batch that it needs. */
export const briefMs = 1;

/** Ends a worker's step when the ring was stopped meanwhile. */
export class Stopped extends Error {}

export function controlWords(slots: number, workers: number): number {
  return headWords + 4 * slots + 2 * workers;
}

/** What a filled slot says beside its planes. */
export interface SlotCounts {
  /** Σ counts and Σ lengths. */
  maskedCount: number;
  tokenCount: number;
  /** Places of its rows. */
  width: number;
}

export class Ring {
  constructor(
    /** Over shared memory. */
    readonly control: Int32Array,
    readonly slots: number,
    readonly workers: number,
  ) {}

  /** In a worker: the next batch to make; nobody else makes it. */
  take(): number {
    return Atomics.add(this.control, 1, 1);
  }

  /**
   * In a worker: sleep until the slot of batch n is free, and half of the ring is, or briefly: if each side woke the other
   * for every batch, that would take as long as making one. @throws Stopped
   */
  waitUntilFree(n: number): void {
    const later = n + Math.floor(this.slots / 2);
    while (!this.isFree(n)) {
      this.throwIfStopped();
      if (this.isFree(later)) this.sleep(n, sleepMs);
      else this.sleep(later, briefMs);
    }
    this.throwIfStopped();
  }

  private isFree(n: number): boolean {
    return Atomics.load(this.control, this.turnIndex(n)) === this.freeTurn(n);
  }

  /** Until the slot of batch n is free, or in time. */
  private sleep(n: number, ms: number): void {
    const turn = Atomics.load(this.control, this.turnIndex(n));
    if (turn !== this.freeTurn(n)) Atomics.wait(this.control, this.turnIndex(n), turn, ms);
  }

  throwIfStopped(): void {
    if (Atomics.load(this.control, 0) !== 0) throw new Stopped();
  }

  /** In a worker: the planes of batch n are whole. */
  publish(n: number, { maskedCount, tokenCount, width }: SlotCounts): void {
    const slot = n % this.slots;
    this.control[headWords + this.slots + slot] = maskedCount;
    this.control[headWords + 2 * this.slots + slot] = tokenCount;
    this.control[headWords + 3 * this.slots + slot] = width;
    this.advance(n, this.freeTurn(n) + 1);
  }

  isFilled(n: number): boolean {
    return Atomics.load(this.control, this.turnIndex(n)) === this.freeTurn(n) + 1;
  }

  /** Slots that are filled and wait for a consumer that comes for batch n. */
  countFilled(n: number): number {
    let filled = 0;
    for (let ahead = 0; ahead < this.slots; ahead++) if (this.isFilled(n + ahead)) filled++;
    return filled;
  }

  /** The batch that was filled last into the slot of batch n has not been given back. */
  isLent(n: number): boolean {
    return Atomics.load(this.control, this.turnIndex(n)) % 2 === 1 && !this.isFilled(n);
  }

  /** Resolves, without blocking the event loop, when the turn of batch n's slot moves, on `wake`, or in time. */
  async waitForChange(n: number, timeoutMs: number): Promise<void> {
    const index = this.turnIndex(n);
    const turn = Atomics.load(this.control, index);
    if (turn === this.freeTurn(n) + 1) return;
    const { async, value } = Atomics.waitAsync(this.control, index, turn, timeoutMs);
    if (async) await value;
  }

  counts(n: number): SlotCounts {
    const [maskedCount, tokenCount, width] = [1, 2, 3].map(
      (part) => this.control[headWords + part * this.slots + (n % this.slots)],
    );
    return { maskedCount, tokenCount, width };
  }

  /** The consumer gives the slot of batch n back. */
  giveBack(n: number): void {
    this.advance(n, this.freeTurn(n) + 2);
  }

  /** What a worker is at, for the error message should it die. */
  noteStep(worker: number, step: number): void {
    this.control[headWords + 4 * this.slots + worker] = step;
  }

  stepOf(worker: number): number {
    return this.control[headWords + 4 * this.slots + worker];
  }

  /** In a worker: it took so long to make a batch. */
  addBusy(worker: number, ms: number): void {
    Atomics.add(this.control, this.busyIndex(worker), Math.round(1000 * ms));
  }

  /** What the workers were busy since they began, in microseconds modulo 2³²: differences hold for over an hour. */
  busyMicroseconds(): Uint32Array {
    return Uint32Array.from({ length: this.workers }, (_, worker) =>
      Atomics.load(this.control, this.busyIndex(worker)),
    );
  }

  stop(): void {
    Atomics.store(this.control, 0, 1);
    this.wake();
  }

  /** Wake all who wait, on both sides. */
  wake(): void {
    for (let slot = 0; slot < this.slots; slot++) Atomics.notify(this.control, headWords + slot);
  }

  private advance(n: number, turn: number): void {
    const index = this.turnIndex(n);
    Atomics.store(this.control, index, turn);
    Atomics.notify(this.control, index);
  }

  private busyIndex(worker: number): number {
    return headWords + 4 * this.slots + this.workers + worker;
  }

  private turnIndex(n: number): number {
    return headWords + (n % this.slots);
  }

  private freeTurn(n: number): number {
    return 2 * Math.floor(n / this.slots);
  }
}
