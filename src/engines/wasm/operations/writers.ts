/** How every operation of src/ops is written onto the tape, a line for each file, under the name of the operation. */
export { writeActivationGradient as activationGradient } from './activation.js';
export { writeAdamW as adamW } from './adamW.js';
export { writeAdd as add, writeConstant as constant, writeScale as scale } from './arithmetic.js';
export { writeAttention as attention, writeAttentionGradient as attentionGradient } from './attention.js';
export {
  writeBinaryCrossEntropy as binaryCrossEntropy,
  writeBinaryCrossEntropyGradient as binaryCrossEntropyGradient,
} from './binaryCrossEntropy.js';
export { writeClip as clip, writeGlobalNorm as globalNorm } from './clip.js';
export { writeConcatenate as concatenate, writeConcatenateGradient as concatenateGradient } from './concatenate.js';
export { writeDropout as dropout } from './dropout.js';
export { writeEmbed as embed, writeEmbedGradient as embedGradient } from './embed.js';
export { writeFirstToken as firstToken, writeFirstTokenGradient as firstTokenGradient } from './firstToken.js';
export {
  writeGatherIds as gatherIds,
  writeGatherRows as gatherRows,
  writeScatterRows as scatterRows,
} from './gatherRows.js';
export {
  writeBiasGradient as biasGradient,
  writeLinear as linear,
  writeLinearInputGradient as linearInputGradient,
  writeLinearWeightGradient as linearWeightGradient,
} from './linear.js';
export {
  writeMaskedLmHead as maskedLmHead,
  writeMaskedLmHeadGradient as maskedLmHeadGradient,
} from './maskedLmHead.js';
export {
  writeMeanSquaredError as meanSquaredError,
  writeMeanSquaredErrorGradient as meanSquaredErrorGradient,
} from './meanSquaredError.js';
export {
  writeAddNorm as addNorm,
  writeLayerNorm as layerNorm,
  writeLayerNormGradient as layerNormGradient,
  writeLayerNormParameterGradient as layerNormParameterGradient,
} from './norm.js';
export { writeReplace as replace } from './replace.js';
export {
  writeSoftmaxCrossEntropy as softmaxCrossEntropy,
  writeSoftmaxCrossEntropyGradient as softmaxCrossEntropyGradient,
} from './softmaxCrossEntropy.js';
