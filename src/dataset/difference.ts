/** Where two pieces of plain data differ first, for people. */
import { isDeepStrictEqual } from 'node:util';

/** `inputs.0.bytes is 12 there, 13 here`, or what else their places are called; undefined where they are equal. */
export function firstDifference(
  a: unknown,
  b: unknown,
  at: string,
  places: readonly [string, string] = ['there', 'here'],
): string | undefined {
  if (isDeepStrictEqual(a, b)) return undefined;
  if (typeof a === 'object' && typeof b === 'object' && a !== null && b !== null) {
    for (const key of Object.keys({ ...a, ...b })) {
      const [x, y] = [a, b].map((value) => (value as Record<string, unknown>)[key]);
      const difference = firstDifference(x, y, `${at}.${key}`, places);
      if (difference) return difference;
    }
  }
  const print = (value: unknown) => JSON.stringify(value) ?? 'absent';
  return `${at} is ${print(a)} ${places[0]}, ${print(b)} ${places[1]}`;
}
