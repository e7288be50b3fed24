/** The process of probe.ts: opens the `Candidate` of its argument and prints `Probed` as the last line of its output. */
import { GalvaniError } from '../../errors.js';
import { type Candidate, openBinding } from './binding.js';
import type { Probed } from './probe.js';

function probe(candidate: Candidate): Probed {
  try {
    const binding = openBinding(candidate);
    return { version: binding.TF_Version, isUsingGpu: binding.isUsingGpuDevice() };
  } catch (error) {
    if (!(error instanceof GalvaniError)) throw error;
    const { expected, got } = error.parts;
    return { error: { expected, got } };
  }
}

// What the library prints goes to standard error.
console.log(JSON.stringify(probe(JSON.parse(process.argv[2]))));
