/**
 * The manifests for Kubernetes: every field is one that its API knows (the schemas of a pinned PyPI package, no cluster and
 * no network), what the schemas cannot say of a Job is checked here, and the containers' commands are run as they stand.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { exitCodes } from '../../src/errors.js';
import { needPython } from '../python.js';
import { exampleFile, type GalvaniCommand, Workplace } from './machines.js';

/** The oldest that has backoffLimitPerIndex without being asked for it, and the newest that the schemas have. */
const versions = ['1.29', '1.37'];

const { python, skip } = needPython('kubernetes_validate');

const validate = `
import json, sys, yaml, kubernetes_validate
job = yaml.safe_load(open(sys.argv[1]))
for version in sys.argv[2:]:
    kubernetes_validate.validate(job, version, strict=True)
print(json.dumps(job))`;

interface Container {
  name: string;
  command: string[];
  args: string[];
  env: { name: string; value: string }[];
  volumeMounts: { name: string; mountPath: string }[];
}
interface Job {
  spec: {
    completions?: number;
    completionMode?: string;
    backoffLimitPerIndex?: number;
    podFailurePolicy: { rules: { action: string; onExitCodes?: { containerName: string; values: number[] } }[] };
    template: {
      spec: { restartPolicy: string; containers: Container[]; volumes: { name: string }[] };
    };
  };
}

const read = (name: string): Job =>
  JSON.parse(
    execFileSync(python, ['-c', validate, exampleFile(`kubernetes/${name}.yaml`), ...versions], { encoding: 'utf8' }),
  );

describe('a corpus in three parts by Kubernetes', { skip }, () => {
  const [prepare, merge] = ['prepare', 'merge'].map(read);

  test('the manifests are Jobs as the API has them', () => {
    for (const job of [prepare, merge]) {
      const { spec } = job;
      const { restartPolicy, containers, volumes } = spec.template.spec;
      const [container] = containers;
      // What the API server refuses beyond the schema: podFailurePolicy goes with pods that are not restarted in place.
      assert.equal(restartPolicy, 'Never');
      const refusal = spec.podFailurePolicy.rules.find(({ action }) => action.startsWith('Fail'))!;
      assert.equal(refusal.action, job === prepare ? 'FailIndex' : 'FailJob');
      assert.deepEqual(refusal.onExitCodes?.values, [exitCodes.wrongUse, exitCodes.badInput]);
      assert.equal(refusal.onExitCodes?.containerName, container.name);
      assert.deepEqual(
        container.volumeMounts.map(({ name }) => name),
        volumes.map(({ name }) => name),
      );
    }
    const { spec } = prepare;
    assert.equal(spec.completionMode, 'Indexed');
    assert.ok(spec.backoffLimitPerIndex! > 0);
    const [before, behind] = [prepare, merge].map(environmentOf);
    assert.equal(before.PARTS, `${spec.completions}`);
    assert.equal(behind.PARTS, before.PARTS);
    assert.equal(behind.OUTPUT, before.OUTPUT);
  });

  test('a field that the API does not know is found', () => {
    const broken = `
import sys, yaml, kubernetes_validate
job = yaml.safe_load(open(sys.argv[1]))
job["spec"]["backoffLimitPerindex"] = 1
try: kubernetes_validate.validate(job, sys.argv[2], strict=True)
except kubernetes_validate.ValidationError as error: print(error)`;
    const said = execFileSync(python, ['-c', broken, exampleFile('kubernetes/prepare.yaml'), versions[0]], {
      encoding: 'utf8',
    });
    assert.match(said, /backoffLimitPerindex/);
  });

  test('the commands of the containers make the dataset', async () => {
    const place = new Workplace();
    const command = place.makeCommand('command');
    const output = place.at('tokens');
    const variables = { INPUT: place.corpus, VOCAB: place.vocabulary, OUTPUT: output, PARTS: '3', THREADS: '1' };
    for (const index of ['2', '0', '1']) {
      const { status, said } = runContainer(prepare, command, { ...variables, JOB_COMPLETION_INDEX: index });
      assert.equal(status, 0, said);
    }
    assert.deepEqual(command.calls(), ['prepare --part 3/3', 'prepare --part 1/3', 'prepare --part 2/3']);
    const { status, said } = runContainer(merge, command, variables);
    assert.equal(status, 0, said);
    await place.assertWhole(output, 3);
    // The exit code that the Job's policy asks for is that of prepare.
    const bad = { ...variables, VOCAB: place.at('absent.txt'), OUTPUT: place.at('none'), JOB_COMPLETION_INDEX: '0' };
    assert.equal(runContainer(prepare, command, bad).status, exitCodes.badInput);
  });
});

function environmentOf({ spec }: Job): Record<string, string> {
  return Object.fromEntries(spec.template.spec.containers[0].env.map(({ name, value }) => [name, value]));
}

/** What a container of the Job does, here, with other values for its variables. */
function runContainer(
  job: Job,
  { folder }: GalvaniCommand,
  variables: Record<string, string>,
): { status: number | null; said: string } {
  const { command, args } = job.spec.template.spec.containers[0];
  const env = { ...environmentOf(job), ...variables, PATH: `${folder}:${process.env.PATH}` };
  const [program, ...parameters] = [...command, ...args];
  const { status, stderr } = spawnSync(program, parameters, { env, encoding: 'utf8' });
  return { status, said: stderr };
}
