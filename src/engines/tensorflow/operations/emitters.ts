/** How every operation of src/ops is written as TensorFlow operations, a line for each file, under the name of the operation. */
export { attention, attentionGradient } from './attention.js';
export { concatenate, concatenateGradient } from './concatenate.js';
export { firstToken, firstTokenGradient } from './firstToken.js';
export { activationGradient, biasGradient, linear, linearInputGradient, linearWeightGradient } from './linear.js';
export { embed, embedGradient, gatherRows as gatherIds, gatherRows, replace, scatterRows } from './lookUp.js';
export { binaryCrossEntropy, binaryCrossEntropyGradient, maskedLmHead, maskedLmHeadGradient } from './losses.js';
export { meanSquaredError, meanSquaredErrorGradient } from './meanSquaredError.js';
export { addNorm, dropout, layerNorm, layerNormGradient, layerNormParameterGradient } from './norm.js';
export { softmaxCrossEntropy, softmaxCrossEntropyGradient } from './softmaxCrossEntropy.js';
export { adamW, add, clip, constant, globalNorm, scale } from './update.js';
