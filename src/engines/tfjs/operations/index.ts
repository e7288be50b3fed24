/** Operation name → how tfjs computes it. */
import type { OperationFunction } from '../operationCall.js';
import * as functions from './functions.js';

export const operationFunctions: ReadonlyMap<string, OperationFunction> = new Map(Object.entries(functions));
