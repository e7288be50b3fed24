/** Operation name → how it is written onto the tape. A new operation is one file here and one line below. */
import type { OperationWriter } from '../operationCall.js';
import { writeActivationGradient } from './activation.js';
import { writeAdamW } from './adamW.js';
import { writeAdd, writeConstant, writeScale } from './arithmetic.js';
import { writeAttention, writeAttentionGradient } from './attention.js';
import { writeBinaryCrossEntropy, writeBinaryCrossEntropyGradient } from './binaryCrossEntropy.js';
import { writeClip, writeGlobalNorm } from './clip.js';
import { writeDropout } from './dropout.js';
import { writeEmbed, writeEmbedGradient } from './embed.js';
import { writeGatherIds, writeGatherRows, writeScatterRows } from './gatherRows.js';
import { writeBiasGradient, writeLinear, writeLinearInputGradient, writeLinearWeightGradient } from './linear.js';
import { writeMaskedLmHead, writeMaskedLmHeadGradient } from './maskedLmHead.js';
import { writeAddNorm, writeLayerNorm, writeLayerNormGradient, writeLayerNormParameterGradient } from './norm.js';
import { writeReplace } from './replace.js';

export const operationWriters: ReadonlyMap<string, OperationWriter> = new Map([
  ['embed', writeEmbed],
  ['embedGradient', writeEmbedGradient],
  ['linear', writeLinear],
  ['activationGradient', writeActivationGradient],
  ['linearInputGradient', writeLinearInputGradient],
  ['linearWeightGradient', writeLinearWeightGradient],
  ['biasGradient', writeBiasGradient],
  ['layerNorm', writeLayerNorm],
  ['layerNormGradient', writeLayerNormGradient],
  ['layerNormParameterGradient', writeLayerNormParameterGradient],
  ['addNorm', writeAddNorm],
  ['dropout', writeDropout],
  ['attention', writeAttention],
  ['attentionGradient', writeAttentionGradient],
  ['gatherIds', writeGatherIds],
  ['gatherRows', writeGatherRows],
  ['scatterRows', writeScatterRows],
  ['maskedLmHead', writeMaskedLmHead],
  ['maskedLmHeadGradient', writeMaskedLmHeadGradient],
  ['replace', writeReplace],
  ['binaryCrossEntropy', writeBinaryCrossEntropy],
  ['binaryCrossEntropyGradient', writeBinaryCrossEntropyGradient],
  ['constant', writeConstant],
  ['add', writeAdd],
  ['scale', writeScale],
  ['globalNorm', writeGlobalNorm],
  ['clip', writeClip],
  ['adamW', writeAdamW],
]);
