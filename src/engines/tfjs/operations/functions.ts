/** How tfjs computes every operation of src/ops, a line for each file, under the name of the operation. */
export { activationGradient } from './activation.js';
export { adamW } from './adamW.js';
export { addTwo as add, constant, scale } from './arithmetic.js';
export { attention, attentionGradient } from './attention.js';
export { binaryCrossEntropy, binaryCrossEntropyGradient } from './binaryCrossEntropy.js';
export { clip, globalNorm } from './clip.js';
export { concatenate, concatenateGradient } from './concatenate.js';
export { dropout } from './dropout.js';
export { embed, embedGradient } from './embed.js';
export { firstToken, firstTokenGradient } from './firstToken.js';
export { gatherIds, gatherRows, scatterRows } from './gatherRows.js';
export { biasGradient, linear, linearInputGradient, linearWeightGradient } from './linear.js';
export { maskedLmHead, maskedLmHeadGradient } from './maskedLmHead.js';
export { meanSquaredError, meanSquaredErrorGradient } from './meanSquaredError.js';
export { addNorm, layerNorm, layerNormGradient, layerNormParameterGradient } from './norm.js';
export { replace } from './replace.js';
export { softmaxCrossEntropy, softmaxCrossEntropyGradient } from './softmaxCrossEntropy.js';
