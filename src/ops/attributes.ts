/** What an attribute of an operation may be: a test, and the words for it in a message. */

export interface AttributeRule {
  readonly expected: string;
  holds(value: unknown): boolean;
}

function numbers(expected: string, holds: (value: number) => boolean): AttributeRule {
  return { expected, holds: (value) => typeof value === 'number' && Number.isFinite(value) && holds(value) };
}

export const anyNumber = numbers('a number', () => true);
export const notNegative = numbers('a number ≥ 0', (value) => value >= 0);
export const positive = numbers('a number > 0', (value) => value > 0);
/** A probability of dropping, or a decay. */
export const belowOne = numbers('a number in [0, 1)', (value) => value >= 0 && value < 1);
/** An extent or a number of things. */
export const count = numbers('a whole number ≥ 1', (value) => Number.isInteger(value) && value >= 1);
export const offset = numbers('a whole number ≥ 0', (value) => Number.isInteger(value) && value >= 0);
/** A word of a counter: src/random/streams.ts. */
export const word = numbers('a whole number in [0, 2³²)', (value) => value >>> 0 === value);
export const flag: AttributeRule = { expected: 'true or false', holds: (value) => typeof value === 'boolean' };

export function oneOf(names: readonly string[]): AttributeRule {
  return { expected: names.join(', '), holds: (value) => typeof value === 'string' && names.includes(value) };
}
