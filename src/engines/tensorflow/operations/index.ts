/** Operation name → how it is written as TensorFlow operations. */
import type { Emit } from './call.js';
import * as own from './emitters.js';

// The attributes of one operation are its own; a table of all of them knows only that they are attributes.
export const emitters: ReadonlyMap<string, Emit> = new Map(
  Object.entries(own).map(([name, emit]) => [name, emit as unknown as Emit]),
);
