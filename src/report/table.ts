/** Tables and numbers as text for people. */

/** Columns wide enough for their cells, two spaces between; a column whose cells after the first are numbers is set right. */
export function formatTable(rows: string[][]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const isNumeric = rows[0].map(
    (_, column) => rows.length > 1 && rows.slice(1).every((row) => /^[\d.,%-]*$/.test(row[column])),
  );
  const format = (row: string[]) =>
    row
      .map((cell, column) => (isNumeric[column] ? cell.padStart(widths[column]) : cell.padEnd(widths[column])))
      .join('  ');
  return rows.map((row) => `${format(row).trimEnd()}\n`).join('');
}

/** A bar of # for a share of the widest one; what is there at all has one. */
export function formatBar(share: number, width = 40): string {
  return '#'.repeat(share > 0 ? Math.max(1, Math.round(share * width)) : 0);
}

/** 1234567 → `1,234,567`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** 1234567 → `1.2 MB`; decimal units. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** 3723 → `1 h 02 min`, 62 → `1 min 02 s`, 2.34 → `2.3 s`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}
