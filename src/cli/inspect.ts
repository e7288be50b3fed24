/** `galvani inspect`: what is in a folder, told by the files that are in it; or a program, from its file or of a run. */
import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { manifestFile } from '../dataset/manifest.js';
import { type DatasetSummary, summarizeDataset } from '../dataset/summary.js';
import { findProgram } from '../engines/programs.js';
import { GalvaniError } from '../errors.js';
import { modelParts } from '../formats/huggingface.js';
import { type ModelSummary, summarizeModels } from '../formats/summary.js';
import type { ElectraConfig } from '../model/config.js';
import { programFromJson, programToJson } from '../program/json.js';
import { printProgram } from '../program/print.js';
import { formatBar, formatBytes, formatCount, formatTable } from '../report/table.js';
import { stateFile } from '../training/checkpoint.js';
import { stagesOf } from '../training/config.js';
import { describeMetrics } from '../training/describe.js';
import { metricsFile } from '../training/metrics.js';
import { programsOfRun } from '../training/runPrograms.js';
import { type CheckpointSummary, type RunSummary, summarizeCheckpoint, summarizeRun } from '../training/summary.js';

/** One kind of folder: the files that tell it (any of them), and how to show it. */
interface Kind {
  name: string;
  files: readonly string[];
  inspect(folder: string): Promise<{ value: object; text: string }>;
}

const kinds: Kind[] = [
  { name: 'dataset', files: [manifestFile], inspect: inspectDataset },
  { name: 'run', files: [metricsFile], inspect: inspectRun },
  { name: 'checkpoint', files: [stateFile], inspect: inspectCheckpoint },
  {
    name: 'model folder',
    files: ['config.json', ...modelParts.map((part) => `${part}/config.json`)],
    inspect: inspectModels,
  },
];

export function define(command: Command): void {
  command
    .argument('<path>', `${kinds.map((kind) => `a ${kind.name}`).join(', ')}, or a program as JSON`)
    .option('--program <name>', 'of a run: the program of this name, operation by operation')
    .option('--json', 'print it as one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  $ galvani inspect tokens\n\nA program of a run as a file, which inspect reads too: galvani inspect RUN --program 0.train --json > step.json',
    )
    .action(run);
}

async function run(folder: string, { json, program: name }: { json?: boolean; program?: string }): Promise<void> {
  if (name !== undefined || statSync(folder, { throwIfNoEntry: false })?.isFile()) {
    const program =
      name === undefined
        ? programFromJson(await readFile(folder, 'utf8'), folder)
        : findProgram(await programsOfRun(folder), name);
    process.stdout.write(json ? programToJson(program) : printProgram(program));
    return;
  }
  const kind = kinds.find(({ files }) => files.some((file) => existsSync(path.join(folder, file))));
  if (kind === undefined) {
    throw new GalvaniError({
      stage: 'inspect',
      expected: kinds.map(({ name, files }) => `a ${name} (with ${files.join(' or ')})`).join(', '),
      got: existsSync(folder) ? 'none of these' : 'nothing there',
      where: folder,
      remedy: 'Give the folder itself, not the one around it.',
      kind: 'badInput',
    });
  }
  const { value, text } = await kind.inspect(folder);
  process.stdout.write(json ? `${JSON.stringify({ kind: kind.name, ...value })}\n` : text);
}

async function inspectDataset(folder: string): Promise<{ value: DatasetSummary; text: string }> {
  const value = await summarizeDataset(folder);
  const { counts, inputs, tokenizer, tokensPerDocument: length, vocabulary, settings, part, shards, samples } = value;
  const casing = tokenizer.lowercase ? 'uncased' : 'cased';
  const facts = [
    ['inputs', `${formatCount(inputs.files)} (${formatBytes(inputs.bytes)}), documents by ${settings.documents}`],
    ...(part ? [['part', `${part.index} of ${part.count} of these inputs`]] : []),
    ['vocabulary', `${formatCount(vocabulary.size)} pieces, SHA-256 ${vocabulary.sha256.slice(0, 12)}…`],
    ['tokenizer', `${tokenizer.profile}, ${casing}, Unicode ${tokenizer.unicodeVersion}`],
    ['documents', formatCount(counts.documents)],
    ...Object.entries(value.leftOut).flatMap(([reason, count]) =>
      count > 0 ? [[`left out: ${leftOutNames[reason as keyof typeof leftOutNames]}`, formatCount(count)]] : [],
    ),
    ['tokens', formatCount(counts.tokens)],
    ['tokens a document', `${length.least} to ${length.most}, median ${length.median}, mean ${length.mean.toFixed(1)}`],
    ['lines', `${formatCount(counts.lines)}, ${value.tokensPerLine.toFixed(1)} tokens each`],
    ['unknown tokens', `${formatCount(counts.unknownTokens)} (${(100 * value.unknownFraction).toFixed(2)} %)`],
    ['dropped bytes', formatCount(counts.droppedBytes)],
  ];
  const rows = shards.map((s) => [s.file, formatCount(s.rows), formatCount(s.tokens), formatCount(s.bytes)]);
  const blocks = [
    formatTable(facts),
    formatLengths(value),
    samples.map((sample) => `${formatSample(sample)}\n`).join(''),
    formatTable([['shard', 'documents', 'tokens', 'bytes'], ...rows]),
  ];
  return { value, text: blocks.filter((block) => block !== '').join('\n') };
}

const leftOutNames: Record<keyof DatasetSummary['leftOut'], string> = {
  maxDocumentBytes: 'too many bytes',
  minTokens: 'too few tokens',
  maxUnknownFraction: 'too much unknown',
  errors: 'unreadable',
  duplicates: 'duplicates',
};

/** A histogram: a bar of # for each range of lengths. */
function formatLengths({ lengths, counts }: DatasetSummary): string {
  if (lengths.length === 0) return '';
  const most = Math.max(...lengths.map(({ documents }) => documents));
  const rows = lengths.map(({ from, to, documents }) => [
    from === to ? formatCount(from) : `${formatCount(from)}-${formatCount(to)}`,
    formatCount(documents),
    `${((100 * documents) / counts.documents).toFixed(1)}%`,
    formatBar(documents / most),
  ]);
  return formatTable([['tokens', 'documents', 'share', ''], ...rows]);
}

function formatSample({ document, tokens, pieces }: DatasetSummary['samples'][number]): string {
  const more = pieces.length < tokens ? ' …' : '';
  return `document ${formatCount(document)} (${formatCount(tokens)} tokens): ${pieces.join(' ')}${more}`;
}

async function inspectRun(folder: string): Promise<{ value: RunSummary; text: string }> {
  const value = await summarizeRun(folder);
  const { training, metrics, checkpoints } = value;
  const stages = stagesOf(training).map(
    ({ end, replacement, batchSize, sequenceLength }) =>
      `${replacement} to step ${formatCount(end)} (B ${batchSize}, T ${sequenceLength})`,
  );
  const facts = [
    ['steps', `${formatCount(value.step)} of ${formatCount(training.num_train_steps)} are in a checkpoint`],
    ...value.datasets.map(({ directory, manifest_sha256, weight }) => [
      'dataset',
      `${directory}, manifest ${manifest_sha256.slice(0, 12)}…${value.datasets.length > 1 ? `, weight ${weight}` : ''}`,
    ]),
    ['vocabulary', `${formatCount(value.vocabulary.size)} pieces, ${value.tokenizer.profile}`],
    ...modelParts.map((part) => [part, describeEncoder(training.model[part])]),
    [
      'weights',
      `${formatCount(value.parameters)}, ${training.model.tie_embeddings ? 'embeddings shared' : 'nothing shared'}`,
    ],
    ['stages', stages.join(', ')],
    ['learning rate', `${training.learning_rate}, ${training.lr_schedule}, ${training.warmup_steps} steps of warm-up`],
    ['held out', `${training.validation_fraction} of the documents`],
    ['seed', `${training.seed}`],
    ...value.changes.map(({ step, name, from, to }) => [
      `from step ${step}`,
      `${name} ${JSON.stringify(from)} → ${JSON.stringify(to)}`,
    ]),
  ];
  const lines = [metrics.train, metrics.evaluation].flatMap((line) => (line ? [`${describeMetrics(line)}\n`] : []));
  const rows = checkpoints.map(({ step, bytes }) => [`step-${step}`, formatBytes(bytes)]);
  const text = [
    formatTable(facts),
    lines.join(''),
    rows.length > 0 ? formatTable([['checkpoint', 'size'], ...rows]) : '',
  ];
  return { value, text: text.filter((part) => part !== '').join('\n') };
}

async function inspectCheckpoint(folder: string): Promise<{ value: CheckpointSummary; text: string }> {
  const value = await summarizeCheckpoint(folder);
  const facts = [
    ['step', formatCount(value.step)],
    ['computed by', value.build],
    ['values', `${formatCount(value.values)} in ${formatCount(value.tensors.length)} tensors, all whole`],
  ];
  const rows = value.tensors.map(({ name, shape }) => [name, shape.join(' × ')]);
  return { value, text: `${formatTable(facts)}\n${formatTable([['tensor', 'shape'], ...rows])}` };
}

async function inspectModels(folder: string): Promise<{ value: { models: ModelSummary[] }; text: string }> {
  const models = await summarizeModels(folder);
  const texts = models.map(({ part, config, parameters, tensors }) => {
    const facts = [
      [part, describeEncoder(config)],
      ['vocabulary', `${formatCount(config.vocab_size)} pieces`],
      ['positions', formatCount(config.max_position_embeddings)],
      ['dropout', `${config.hidden_dropout_prob}, of attention ${config.attention_probs_dropout_prob}`],
      ['weights', `${formatCount(parameters)} in ${formatCount(tensors.length)} tensors`],
    ];
    return formatTable(facts);
  });
  return { value: { models }, text: texts.join('\n') };
}

function describeEncoder(config: ElectraConfig): string {
  return (
    `${config.num_hidden_layers} × ${config.hidden_size} wide, heads ${config.num_attention_heads}, ` +
    `feed-forward ${config.intermediate_size}, embeddings ${config.embedding_size}`
  );
}
