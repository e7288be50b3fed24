/**
 * The rows of tables, as texts: one column of a Parquet or Arrow file, for the row groups or record batches that begin in a
 * byte range. So ranges of one file go to several workers, and no row is read twice or lost, wherever it is cut.
 * What is wrong with a file belongs to a byte of it too, and what is wrong with all of it to the first: it is told once.
 */
import { planArrow } from './arrow.js';
import { planParquet } from './parquet.js';
import { RowPacker, type Rows } from './rows.js';
import { TableFault, TableFile, type TablePlan, tableError } from './tableFile.js';
import type { Refuse, Texts } from './texts.js';
import { isSystemError } from './unreadable.js';

export interface TableRange {
  path: string;
  format: 'parquet' | 'arrow';
  /** In bytes of the file. */
  offset: number;
  length: number;
}

/** Of the last file, since many ranges of one file follow each other. */
let last: { key: string; plan: TablePlan } | undefined;

/**
 * @param column name, or dotted path through structs.
 * @param refuse is told of rows that hold null, counted from 0 in the file.
 * @throws badInput where the file has no such column or one of another type, or is damaged: after all rows before.
 */
export async function* readRows(range: TableRange, column: string, refuse: Refuse): AsyncGenerator<Texts> {
  const packer = new RowPacker(column, refuse);
  for (const { rows, firstRow } of readRange(range, column)) yield* packer.pack(rows, firstRow);
}

interface NumberedRows {
  rows: Rows;
  /** Number of the first of them in the file. */
  firstRow: number;
}

function* readRange(range: TableRange, column: string): Generator<NumberedRows> {
  try {
    const file = new TableFile(range.path);
    try {
      yield* readParts(file, range, planOnce(file, range.format, column));
    } finally {
      file.close();
    }
  } catch (error) {
    throw tableError(error, range.path, range.format);
  }
}

function* readParts(file: TableFile, { offset, length }: TableRange, plan: TablePlan): Generator<NumberedRows> {
  const isOwn = (at: number) => at >= offset && at < offset + length;
  let firstRow = 0;
  for (const part of plan.parts) {
    if (isOwn(part.offset)) {
      let done = 0;
      for (const rows of part.read(file)) {
        yield { rows, firstRow: firstRow + done };
        done += rows.begins.length;
      }
      if (done !== part.rows) throw new TableFault({ expected: `${part.rows} rows`, got: String(done) }, part.offset);
    }
    firstRow += part.rows;
  }
  if (plan.fault === undefined) return;
  const { error, at } = plan.fault;
  // An empty file has no byte but is no table either.
  if (isOwn(at) || (at === 0 && offset === 0)) throw error;
}

function planOnce(file: TableFile, format: TableRange['format'], column: string): TablePlan {
  const key = JSON.stringify([format, column, file.version]);
  if (last?.key !== key) last = { key, plan: plan(file, format, column) };
  return last.plan;
}

function plan(file: TableFile, format: TableRange['format'], column: string): TablePlan {
  try {
    return format === 'parquet' ? planParquet(file, column) : planArrow(file, column);
  } catch (error) {
    if (isSystemError(error)) throw error;
    return { parts: [], fault: { error, at: 0 } };
  }
}
