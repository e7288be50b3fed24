/** Operation name → how tfjs computes it. A new operation is one file here and one line below. */
import type { OperationFunction } from '../operationCall.js';
import { activationGradient } from './activation.js';
import { adamW } from './adamW.js';
import { addTwo, constant, scale } from './arithmetic.js';
import { attention, attentionGradient } from './attention.js';
import { binaryCrossEntropy, binaryCrossEntropyGradient } from './binaryCrossEntropy.js';
import { clip, globalNorm } from './clip.js';
import { dropout } from './dropout.js';
import { embed, embedGradient } from './embed.js';
import { gatherIds, gatherRows, scatterRows } from './gatherRows.js';
import { biasGradient, linear, linearInputGradient, linearWeightGradient } from './linear.js';
import { maskedLmHead, maskedLmHeadGradient } from './maskedLmHead.js';
import { addNorm, layerNorm, layerNormGradient, layerNormParameterGradient } from './norm.js';
import { replace } from './replace.js';

export const operationFunctions: ReadonlyMap<string, OperationFunction> = new Map([
  ['embed', embed],
  ['embedGradient', embedGradient],
  ['linear', linear],
  ['activationGradient', activationGradient],
  ['linearInputGradient', linearInputGradient],
  ['linearWeightGradient', linearWeightGradient],
  ['biasGradient', biasGradient],
  ['layerNorm', layerNorm],
  ['layerNormGradient', layerNormGradient],
  ['layerNormParameterGradient', layerNormParameterGradient],
  ['addNorm', addNorm],
  ['dropout', dropout],
  ['attention', attention],
  ['attentionGradient', attentionGradient],
  ['gatherIds', gatherIds],
  ['gatherRows', gatherRows],
  ['scatterRows', scatterRows],
  ['maskedLmHead', maskedLmHead],
  ['maskedLmHeadGradient', maskedLmHeadGradient],
  ['replace', replace],
  ['binaryCrossEntropy', binaryCrossEntropy],
  ['binaryCrossEntropyGradient', binaryCrossEntropyGradient],
  ['constant', constant],
  ['add', addTwo],
  ['scale', scale],
  ['globalNorm', globalNorm],
  ['clip', clip],
  ['adamW', adamW],
]);
