/** A program survives JSON, and whatever is changed in the file is found, or gives another program that is whole. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GalvaniError } from '../../src/errors.js';
import { buildAccumulate, buildDiscriminate, buildEvaluate, buildTrain } from '../../src/model/electra.js';
import { operations } from '../../src/ops/index.js';
import { programFromJson, programToJson } from '../../src/program/json.js';
import { printProgram } from '../../src/program/print.js';
import { conformanceCases } from '../engines/cases.js';
import { tinyModel, tinySettings } from '../model/tiny.js';

const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-6, biasCorrection: false, weightDecay: 0.01, maxGradNorm: 1 };
const settings = tinySettings(tinyModel({ hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1 }));
const train = () => buildTrain({ ...settings, optimizer });
const json = programToJson(train());

test('what is read back is the program that was written, and equal programs give equal bytes', () => {
  const others = [buildEvaluate(settings), buildDiscriminate(settings.model, settings.shape)];
  for (const program of [train(), ...others]) {
    const read = programFromJson(programToJson(program), 'a test');
    assert.deepEqual(read, program);
    assert.equal(printProgram(read), printProgram(program));
    assert.equal(programToJson(read), programToJson(program));
  }
  assert.equal(programToJson(train()), json);
  const shuffled = structuredClone(train());
  const operations = shuffled.operations.map((operation) => ({
    ...operation,
    attributes: Object.fromEntries(Object.entries(operation.attributes).reverse()),
  }));
  assert.equal(programToJson({ ...shuffled, operations }), json);
});

interface Loose {
  format_version: number;
  tensors: { name: string; kind: string; shape: number[] }[];
  operations: { name: string; inputs: number[]; outputs: number[]; attributes: Record<string, unknown> }[];
  inputs: Record<string, number>;
  variables: Record<string, { tensor: number; assigned?: number; role: string }>;
  outputs: Record<string, number>;
}

const find = (program: Loose, operation: string) => program.operations.find(({ name }) => name === operation)!;

const damages: Record<string, [(program: Loose) => void, RegExp]> = {
  'another version': [(p) => (p.format_version = 2), /version 1, got format_version/],
  'an unknown operation': [(p) => (p.operations[3].name = 'lineer'), /a known operation, got lineer \(.*operation 3/],
  'an extent': [(p) => p.tensors[p.operations[9].outputs[0]].shape.push(2), /outputs .*, got .*operation 9/],
  'an extent of zero': [(p) => (p.tensors[0].shape[0] = 0), /got tensors\.0\.shape\.0/],
  'an input that is not there': [(p) => (p.operations[4].inputs[0] = 10 ** 6), /there before it, got %1000000 of/],
  'an input that comes later': [
    (p) => (p.operations[4].inputs[0] = p.operations[8].outputs[0]),
    /inputs that are there before it, got %\d+, value .*operation 4/,
  ],
  'an absent input': [(p) => (p.operations[1].inputs = []), /all inputs of \w+, got 0.*operation 1/],
  'an input too many': [
    (p) => find(p, 'layerNorm').inputs.push(0),
    /at most 3 inputs of layerNorm, got 4 \(.*operation \d+, layerNorm/,
  ],
  'an absent input too many': [(p) => find(p, 'clip').inputs.push(-1), /at most 1 inputs of clip, got 2/],
  'an attribute that is gone': [
    (p) => delete find(p, 'linear').attributes.activation,
    /activation of linear to be none, gelu, tanh, got none \(.*operation \d+, linear/,
  ],
  'a word for an attribute that it cannot be': [
    (p) => (find(p, 'linear').attributes.activation = 'relu'),
    /activation of linear to be none, gelu, tanh, got "relu"/,
  ],
  'a number for an attribute that it cannot be': [
    (p) => (find(p, 'addNorm').attributes.dropout = 1),
    /dropout of addNorm to be a number in \[0, 1\), got 1 /,
  ],
  'half a head': [
    (p) => (find(p, 'attention').attributes.heads = 0.5),
    /heads of attention to be a whole number ≥ 1, got 0.5/,
  ],
  'a number for true': [(p) => (find(p, 'adamW').attributes.biasCorrection = 1), /to be true or false, got 1/],
  'an attribute that nobody reads': [
    (p) => (find(p, 'addNorm').attributes.epsilom = 1e-12),
    /attributes of addNorm \(dropout, stream, epsilon\), got epsilom/,
  ],
  'an attribute where there is none': [
    (p) => (find(p, 'globalNorm').attributes.axis = 0),
    /attributes of globalNorm \(none\), got axis/,
  ],
  'a value that is written twice': [
    (p) => (p.operations[5].outputs[0] = p.operations[4].outputs[0]),
    /outputs that nothing else writes, got .*operation 5/,
  ],
  'an operation that is gone': [(p) => p.operations.pop(), /every tensor to be given or written/],
  'an attribute of no kind': [(p) => (p.operations[2].attributes.x = null), /got operations\.2\.attributes\.x/],
  'an output': [(p) => (p.outputs.mlmLoss = 10 ** 6), /got %1000000 of \d+ \(.*output mlmLoss/],
  'an input of another name': [(p) => (p.inputs.ids = p.inputs.lengths), /its input, got .*"lengths".*input ids/],
  'what a variable becomes': [
    (p) => (Object.values(p.variables)[0].assigned = Object.values(p.variables)[1].tensor),
    /a value float32\[.*, got .*variable/,
  ],
};

for (const [what, [damage, message]] of Object.entries(damages)) {
  test(`refused: ${what}`, () => {
    const program = JSON.parse(json) as Loose;
    damage(program);
    assert.throws(
      () => programFromJson(JSON.stringify(program), 'step.json'),
      (error) => {
        assert.ok(error instanceof GalvaniError, String(error));
        assert.equal(error.kind, 'badInput');
        assert.match(error.message, message);
        assert.match(error.message, /^program: expected .* \(step\.json/);
        return true;
      },
    );
  });
}

test('refused: an operation without any of its inputs that it cannot do without', () => {
  const withAll = JSON.parse(programToJson(buildAccumulate({ ...settings, isFirst: false }))) as Loose;
  const optional = new Set<string>();
  for (const [index, { name, inputs }] of withAll.operations.entries()) {
    for (const at of inputs.keys()) {
      if (inputs[at] < 0) continue;
      const program = structuredClone(withAll);
      program.operations[index].inputs[at] = -1;
      try {
        programFromJson(JSON.stringify(program), 'x');
        optional.add(`${name} ${at}`);
      } catch (error) {
        assert.match(String(error), new RegExp(`all inputs of ${name}`));
      }
    }
  }
  // A bias, and what a gradient is added to.
  const known = ['biasGradient 1', 'linear 2', 'linearInputGradient 2', 'linearWeightGradient 2'];
  for (const at of [4, 5, 6]) known.push(`embedGradient ${at}`);
  for (const at of [9, 10]) known.push(`maskedLmHeadGradient ${at}`);
  for (const at of [4, 5]) known.push(`layerNormParameterGradient ${at}`);
  assert.deepEqual([...optional].sort(), known.sort());
});

test('the rules of attributes name those of every case, and hold for them', () => {
  for (const { operation, title, attributes } of conformanceCases()) {
    const rules = operations.get(operation)?.attributes ?? {};
    assert.deepEqual(Object.keys(rules).sort(), Object.keys(attributes).sort(), operation);
    for (const [name, { holds }] of Object.entries(rules)) assert.ok(holds(attributes[name]), `${title}: ${name}`);
  }
});

test('refused: what is no JSON, or of something else; a file that ends anywhere', () => {
  for (const text of ['', '[]', 'null', '{"format":"galvani-run"}', json.slice(0, -3), json.replace(':', '')]) {
    assert.throws(() => programFromJson(text, 'x'), GalvaniError);
  }
  for (let end = 0; end < json.length - 2; end += 997) {
    assert.throws(() => programFromJson(json.slice(0, end), 'x'), GalvaniError);
  }
});
