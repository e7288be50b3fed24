/** tfjs's Erf by four lanes at a time, where the backend calls a library's function for each element. */
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { Erf, type TensorInfo } from '@tensorflow/tfjs-core';
import { Opcode } from '../../../../assembly/compute/opcodes.js';
import { sizeOf } from '../../../ops/operation.js';
import { reads, writes } from '../../wasm/tapeWriter.js';
import type { Kernel } from './kernel.js';
import type { TapeRunner } from './tapeRunner.js';

export function erf(runner: TapeRunner, backend: BackendWasm): Kernel {
  return {
    kernelName: Erf,
    kernelFunc({ inputs }) {
      const { x } = inputs as { x: TensorInfo };
      const y = backend.makeOutput(x.shape, 'float32');
      const places = [reads(runner.place(x)), writes(runner.place(y))];
      runner.run([y], (tape) => tape.put(Opcode.Erf, [...places, sizeOf(x.shape)]));
      return y;
    },
  };
}
