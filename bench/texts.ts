/**
 * Texts for the benches, from packages of a Debian system: English essays with kernel documentation, a dictionary, and nine
 * other languages (the installer's guide and an office's help). Fetched once into a cache outside any clone; needs apt-get.
 *
 *   node dist/bench/texts.js [NAME …]        fetches what is missing, prints name, language, bytes, SHA-256 and packages
 *
 * HTML becomes a line a block, without markup. In a language's text no line stands twice, and none that the English
 * edition has too: navigation, and what nobody translated, would make it easier than it is.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { cacheFolder } from '../src/cacheFolder.js';
import { GalvaniError } from '../src/errors.js';
import { writeFileDurably } from '../src/files.js';
import { formatTable } from '../src/report/table.js';

export interface BenchText {
  readonly name: string;
  readonly language: string;
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  /** `name version` of each package that it was made from. */
  readonly packages: readonly string[];
}

/** Some files of a package. */
interface Source {
  readonly package: string;
  /** As tar matches them. */
  readonly files: string;
}

interface Recipe {
  readonly language: string;
  readonly sources: readonly Source[];
  /** Whose lines are left out. */
  readonly untranslated?: readonly Source[];
}

const documentation = './usr/share/doc';
const translation = (language: string, guide: string, help = guide): Recipe => ({
  language,
  sources: editions(guide, help),
  untranslated: editions('en', 'en-US'),
});

const recipes: Readonly<Record<string, Recipe>> = {
  prose: {
    language: 'English',
    sources: [
      { package: 'anarchism', files: `${documentation}/anarchism/html/*.html` },
      { package: 'linux-doc-6.1', files: `${documentation}/linux-doc-6.1/html/_sources/*.rst.txt` },
    ],
  },
  dictionary: {
    language: 'English',
    sources: [{ package: 'dict-gcide', files: './usr/share/dictd/gcide.dict.dz' }],
  },
  german: translation('German', 'de'),
  french: translation('French', 'fr'),
  czech: translation('Czech', 'cs'),
  russian: translation('Russian', 'ru'),
  greek: translation('Greek', 'el'),
  korean: translation('Korean', 'ko'),
  vietnamese: translation('Vietnamese', 'vi'),
  japanese: translation('Japanese', 'ja'),
  chinese: translation('Chinese', 'zh_CN', 'zh-CN'),
};

export const textNames = Object.keys(recipes);

/** Part of what is remembered of a text: one made in another way is made anew. */
const form = 1;

/** The texts' files; what is not there is fetched and made. @throws tryAgain when a package cannot be had. */
export async function fetchTexts(names: readonly string[]): Promise<BenchText[]> {
  const cache = cacheFolder('texts');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(path.join(cache, 'fetch-'));
  try {
    const texts: BenchText[] = [];
    for (const name of names) texts.push(await fetchText(name, cache, folder));
    return texts;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function fetchText(name: string, cache: string, folder: string): Promise<BenchText> {
  if (!Object.hasOwn(recipes, name)) {
    throw new GalvaniError({
      stage: 'texts',
      expected: `one of ${textNames.join(', ')}`,
      got: `"${name}"`,
      remedy: 'Choose one of them.',
      kind: 'wrongUse',
    });
  }
  const recipe = recipes[name];
  const file = path.join(cache, `${name}.txt`);
  const record = path.join(cache, `${name}.json`);
  const key = JSON.stringify({ form, recipe });
  if (existsSync(file) && existsSync(record)) {
    const known = JSON.parse(readFileSync(record, 'utf8'));
    if (known.key === key) return { ...known.text, path: file };
  }
  const untranslated = new Set((recipe.untranslated ?? []).flatMap((source) => readLines(source, folder).lines));
  const read = recipe.sources.map((source) => readLines(source, folder));
  const all = read.flatMap(({ lines }) => lines);
  const lines = recipe.untranslated ? [...new Set(all)].filter((line) => !untranslated.has(line)) : all;
  const bytes = Buffer.from(`${lines.join('\n')}\n`);
  const text = {
    name,
    language: recipe.language,
    bytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    packages: read.map((source) => source.package),
  };
  await writeFileDurably(file, bytes);
  await writeFileDurably(record, JSON.stringify({ key, text }));
  return { ...text, path: file };
}

/** Both editions that have a language: the installer's guide and the office's help. */
function editions(guide: string, help: string): Source[] {
  return [
    { package: 'installation-guide-amd64', files: `${documentation}/installation-guide-amd64/${guide}/*.html` },
    { package: `libreoffice-help-${help.toLowerCase()}`, files: `./usr/share/libreoffice/help/${help}/text/*.html` },
  ];
}

/** The lines of a package's files, in the order of their names. An archive stays in `folder` for the next text. */
function readLines(source: Source, folder: string): { package: string; lines: string[] } {
  const findArchive = () => readdirSync(folder).find((file) => file.startsWith(`${source.package}_`));
  if (findArchive() === undefined) run('apt-get', ['download', '--quiet', source.package], folder);
  const archive = findArchive() as string;
  const place = mkdtempSync(path.join(folder, 'files-'));
  const unpack = 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --wildcards "$3"';
  run('bash', ['-o', 'pipefail', '-c', unpack, 'unpack', archive, place, source.files], folder);
  const files = readdirSync(place, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
  const lines = files.flatMap(linesOf);
  rmSync(place, { recursive: true });
  const [name, version] = archive.split('_');
  return { package: `${name} ${decodeURIComponent(version)}`, lines };
}

function run(command: string, parameters: string[], cwd: string): void {
  const { status, stderr, error } = spawnSync(command, parameters, { cwd, encoding: 'utf8' });
  if (status === 0) return;
  throw new GalvaniError({
    stage: 'texts',
    expected: `"${command} ${parameters.join(' ')}" to succeed`,
    got: error?.message ?? stderr.trim().split('\n').at(-1) ?? `exit code ${status}`,
    remedy:
      'The texts come from packages of Debian 12: run "apt-get update" there and try again, or give texts of your own.',
    kind: 'tryAgain',
  });
}

function linesOf(file: string): string[] {
  if (file.endsWith('.html')) return linesOfHtml(readFileSync(file, 'utf8'));
  const bytes = readFileSync(file);
  const text = (file.endsWith('.dz') ? gunzipSync(bytes) : bytes).toString('utf8');
  return text.replace(/\n$/, '').split('\n');
}

/** What a reader sees, a block a line. */
export function linesOfHtml(html: string): string[] {
  const shown = html.replace(/<!--.*?-->|<(head|script|style|footer)\b.*?<\/\1>/gs, '');
  const inline = /<\/?(a|abbr|acronym|b|big|code|em|font|i|kbd|small|span|strong|sub|sup|tt|u|var)\b[^>]*>/gi;
  return shown
    .replace(/\s+/g, ' ')
    .replace(inline, '')
    .split(/<[^>]*>/)
    .map((line) => readEntities(line).trim())
    .filter((line) => line !== '');
}

const namedEntities: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: '\u00a0',
};

function readEntities(text: string): string {
  return text.replace(/&(?:#x([\da-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    return namedEntities[name] ?? whole;
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const names = process.argv.length > 2 ? process.argv.slice(2) : textNames;
  const rows = [['text', 'language', 'bytes', 'SHA-256', 'packages']];
  for (const { name, language, bytes, sha256, packages } of await fetchTexts(names)) {
    rows.push([name, language, String(bytes), sha256, packages.join(', ')]);
  }
  process.stdout.write(formatTable(rows));
}
