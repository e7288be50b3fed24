/** How every operation of src/ops is written as TensorFlow operations. */

import { attentionOperations } from './attention.js';
import type { Emit } from './call.js';
import { linearOperations } from './linear.js';
import { lookUpOperations } from './lookUp.js';
import { lossOperations } from './losses.js';
import { normOperations } from './norm.js';
import { updateOperations } from './update.js';

// The attributes of one operation are its own; a table of all of them knows only that they are attributes.
export const emitters: ReadonlyMap<string, Emit> = new Map(
  Object.entries({
    ...lookUpOperations,
    ...linearOperations,
    ...normOperations,
    ...attentionOperations,
    ...lossOperations,
    ...updateOperations,
  }).map(([name, emit]) => [name, emit as unknown as Emit]),
);
