/**
 * Batches 0 … K − 1 over and over, as rows and orders of a loader see it. Positions and windows are still counted through,
 * so that nobody who takes blocks by them goes backwards.
 */
import type { Order } from '../../dataset/order.js';
import type { RowSources } from '../mixture.js';

/** The first `rows` rows, over and over. */
export class RepeatedRows implements RowSources {
  dataset = 0;
  own = 0;

  constructor(
    private readonly inner: RowSources,
    private readonly rows: number,
  ) {}

  find(row: number): void {
    const round = Math.floor(row / this.rows);
    this.inner.find(row - round * this.rows);
    this.dataset = this.inner.dataset;
    this.own = round * this.inner.countBefore(this.dataset, this.rows) + this.inner.own;
  }

  countBefore(dataset: number, rows: number): number {
    const round = Math.floor(rows / this.rows);
    const whole = round === 0 ? 0 : round * this.inner.countBefore(dataset, this.rows);
    return whole + this.inner.countBefore(dataset, rows - round * this.rows);
  }
}

/** The first `positions` positions of an order, over and over. */
export class RepeatedOrder implements Order {
  window = 0;
  slot = 0;
  block = 0;
  example = 0;
  private readonly positions: number;
  private readonly windows: number;

  constructor(
    private readonly inner: Order,
    positions: number,
  ) {
    // A dataset of so small a weight that it has no row in K batches is never asked for one.
    this.positions = Math.max(1, positions);
    this.windows = inner.windowOf(this.positions - 1) + 1;
  }

  find(position: number): void {
    const round = Math.floor(position / this.positions);
    this.inner.find(position - round * this.positions);
    this.window = round * this.windows + this.inner.window;
    this.slot = this.inner.slot;
    this.block = this.inner.block;
    this.example = this.inner.example;
  }

  windowOf(position: number): number {
    const round = Math.floor(position / this.positions);
    return round * this.windows + this.inner.windowOf(position - round * this.positions);
  }

  /** At the end of a round, of a window that may have one block less than the one that it is taken for: no harm is done. */
  upcoming(position: number): number {
    return this.inner.upcoming(position % this.positions);
  }

  blockAt(window: number, slot: number): number {
    return this.inner.blockAt(window % this.windows, slot);
  }
}
