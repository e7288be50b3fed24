/** All operations by name: the whole of what an engine has to know. */
import { activationGradientOperation } from './activation.js';
import { adamWOperation } from './adamW.js';
import { addNormOperation } from './addNorm.js';
import { addOperation, constantOperation, scaleOperation } from './arithmetic.js';
import { attentionGradientOperation, attentionOperation } from './attention.js';
import { biasGradientOperation } from './biasGradient.js';
import { binaryCrossEntropyGradientOperation, binaryCrossEntropyOperation } from './binaryCrossEntropy.js';
import { clipOperation, globalNormOperation } from './clip.js';
import { dropoutOperation } from './dropout.js';
import { embedGradientOperation, embedOperation } from './embed.js';
import { gatherIdsOperation, gatherRowsOperation, scatterRowsOperation } from './gatherRows.js';
import { layerNormGradientOperation, layerNormOperation, layerNormParameterGradientOperation } from './layerNorm.js';
import { linearInputGradientOperation, linearOperation, linearWeightGradientOperation } from './linear.js';
import { maskedLmHeadGradientOperation, maskedLmHeadOperation } from './maskedLmHead.js';
import type { OperationDefinition } from './operation.js';
import { replaceOperation } from './replace.js';

const definitions = [
  embedOperation,
  embedGradientOperation,
  linearOperation,
  activationGradientOperation,
  linearInputGradientOperation,
  linearWeightGradientOperation,
  biasGradientOperation,
  layerNormOperation,
  layerNormGradientOperation,
  layerNormParameterGradientOperation,
  addNormOperation,
  dropoutOperation,
  attentionOperation,
  attentionGradientOperation,
  gatherIdsOperation,
  gatherRowsOperation,
  scatterRowsOperation,
  maskedLmHeadOperation,
  maskedLmHeadGradientOperation,
  replaceOperation,
  binaryCrossEntropyOperation,
  binaryCrossEntropyGradientOperation,
  constantOperation,
  addOperation,
  scaleOperation,
  globalNormOperation,
  clipOperation,
  adamWOperation,
];

// The attributes of one operation are its own; a table of all of them knows only that they are attributes.
export const operations: ReadonlyMap<string, OperationDefinition> = new Map(
  definitions.map((definition) => [definition.name, definition as unknown as OperationDefinition]),
);
