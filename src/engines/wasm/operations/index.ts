/** Operation name → how it is written onto the tape. */
import type { OperationWriter } from '../operationCall.js';
import * as writers from './writers.js';

export const operationWriters: ReadonlyMap<string, OperationWriter> = new Map(Object.entries(writers));
