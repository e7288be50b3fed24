/** Gives a run its first weights: the model's initial values, and what the settings put in their place. */
import type { Runtime } from '../engines/engine.js';
import { initialValues, sinusoidalPositions } from '../model/initial.js';
import { parametersOf } from '../model/parameters.js';
import { keyOfSeed } from '../random/philox.js';
import { release } from '../release.js';
import type { TrainingConfig } from './config.js';

/** tokenCounts: how often each piece occurs in the dataset. Moments stay 0, as the engine has them after loading. */
export async function writeInitialWeights(
  runtime: Runtime,
  config: TrainingConfig,
  tokenCounts: Float64Array,
): Promise<void> {
  const key = keyOfSeed(config.seed);
  const weights = new Map<string, Float32Array>();
  for (const [ordinal, parameter] of parametersOf(config.model).entries()) {
    const { name, shape } = parameter;
    let values = initialValues(parameter, ordinal, key);
    if (config.position_init === 'sinusoidal' && name.endsWith('position_embeddings.weight')) {
      values = sinusoidalPositions(parameter);
    }
    if (config.generator_bias_init === 'frequencies' && name === 'generator.generator_lm_head.bias') {
      values = logFrequencies(tokenCounts, shape[0]);
    }
    if (name === 'discriminator.discriminator_predictions.dense_prediction.bias') values.fill(config.rtd_bias_init);
    weights.set(name, values);
  }
  await runtime.write(weights);
  release(weights.values());
}

/** log((count + 1) / Σ): what a generator that has learned nothing but frequencies would say. */
function logFrequencies(counts: Float64Array, size: number): Float32Array {
  const total = counts.reduce((sum, count) => sum + count + 1, 0);
  return Float32Array.from({ length: size }, (_, id) => Math.log((counts[id] + 1) / total));
}
