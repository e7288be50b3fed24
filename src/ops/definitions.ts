/** All operations, a line for each file of them. */

export { activationGradientOperation as activationGradient } from './activation.js';
export { adamWOperation as adamW } from './adamW.js';
export { addNormOperation as addNorm } from './addNorm.js';
export { addOperation as add, constantOperation as constant, scaleOperation as scale } from './arithmetic.js';
export { attentionGradientOperation as attentionGradient, attentionOperation as attention } from './attention.js';
export { biasGradientOperation as biasGradient } from './biasGradient.js';
export {
  binaryCrossEntropyGradientOperation as binaryCrossEntropyGradient,
  binaryCrossEntropyOperation as binaryCrossEntropy,
} from './binaryCrossEntropy.js';
export { clipOperation as clip, globalNormOperation as globalNorm } from './clip.js';
export {
  concatenateGradientOperation as concatenateGradient,
  concatenateOperation as concatenate,
} from './concatenate.js';
export { dropoutOperation as dropout } from './dropout.js';
export { embedGradientOperation as embedGradient, embedOperation as embed } from './embed.js';
export { firstTokenGradientOperation as firstTokenGradient, firstTokenOperation as firstToken } from './firstToken.js';
export {
  gatherIdsOperation as gatherIds,
  gatherRowsOperation as gatherRows,
  scatterRowsOperation as scatterRows,
} from './gatherRows.js';
export {
  layerNormGradientOperation as layerNormGradient,
  layerNormOperation as layerNorm,
  layerNormParameterGradientOperation as layerNormParameterGradient,
} from './layerNorm.js';
export {
  linearInputGradientOperation as linearInputGradient,
  linearOperation as linear,
  linearWeightGradientOperation as linearWeightGradient,
} from './linear.js';
export {
  maskedLmHeadGradientOperation as maskedLmHeadGradient,
  maskedLmHeadOperation as maskedLmHead,
} from './maskedLmHead.js';
export {
  meanSquaredErrorGradientOperation as meanSquaredErrorGradient,
  meanSquaredErrorOperation as meanSquaredError,
} from './meanSquaredError.js';
export { replaceOperation as replace } from './replace.js';
export {
  softmaxCrossEntropyGradientOperation as softmaxCrossEntropyGradient,
  softmaxCrossEntropyOperation as softmaxCrossEntropy,
} from './softmaxCrossEntropy.js';
