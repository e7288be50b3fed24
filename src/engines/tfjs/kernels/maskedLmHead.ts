/**
 * The generator's output layer as kernels of their own, a block of the vocabulary at a time, forward and backward. tfjs
 * has nothing like them; their inputs are named by their number.
 */
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { operations } from '../../../ops/index.js';
import type { Attributes, TensorType } from '../../../ops/operation.js';
import type { OperationWriter } from '../../wasm/operationCall.js';
import { writeMaskedLmHead, writeMaskedLmHeadGradient } from '../../wasm/operations/maskedLmHead.js';
import { absent } from '../../wasm/tapeWriter.js';
import type { Kernel } from './kernel.js';
import type { TapeRunner } from './tapeRunner.js';

export function maskedLmHead(runner: TapeRunner, backend: BackendWasm): Kernel {
  return operationKernel('maskedLmHead', writeMaskedLmHead, runner, backend);
}

export function maskedLmHeadGradient(runner: TapeRunner, backend: BackendWasm): Kernel {
  return operationKernel('maskedLmHeadGradient', writeMaskedLmHeadGradient, runner, backend);
}

/** Where an input lies that is not there. */
const nowhere = { ...absent, tensor: -1 };

function typeOf({ shape, dtype }: TensorInfo): TensorType {
  return { shape, dtype: dtype as 'float32' | 'int32' };
}

/** An operation of src/ops as a kernel of the same name; inputs that are not there are undefined. */
function operationKernel(name: string, write: OperationWriter, runner: TapeRunner, backend: BackendWasm): Kernel {
  const { infer } = operations.get(name)!;
  return {
    kernelName: name,
    kernelFunc({ inputs, attrs }) {
      const attributes = attrs as Attributes;
      const tensors = Object.values(inputs) as (TensorInfo | undefined)[];
      const inputTypes = tensors.map((one) => one && typeOf(one)) as TensorType[];
      const outputTypes = infer(inputTypes, attributes);
      const outputs = outputTypes.map(({ shape, dtype }) => backend.makeOutput([...shape], dtype));
      const places = {
        inputs: tensors.map((one) => (one ? runner.place(one) : nowhere)),
        outputs: outputs.map((one) => runner.place(one)),
      };
      runner.run(outputs, (tape) => write({ tape, inputTypes, outputTypes, attributes, ...places }));
      return outputs;
    },
  };
}
