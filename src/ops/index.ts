/** All operations by name: the whole of what an engine has to know. */
import * as definitions from './definitions.js';
import type { OperationDefinition } from './operation.js';

// The attributes of one operation are its own; a table of all of them knows only that they are attributes.
export const operations: ReadonlyMap<string, OperationDefinition> = new Map(
  Object.entries(definitions).map(([name, definition]) => [name, definition as unknown as OperationDefinition]),
);
