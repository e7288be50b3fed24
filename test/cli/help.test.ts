/** Every command answers `--help`, and its example lines are ones that the command itself would take. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { CommandModule } from '../../src/cli/main.js';
import { exitCodes } from '../../src/errors.js';

const folder = fileURLToPath(new URL('../../src/cli/', import.meta.url));
const scratch = mkdtempSync(path.join(os.tmpdir(), 'galvani-help-'));
after(() => rmSync(scratch, { recursive: true }));

function galvani(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [path.join(folder, 'main.js'), ...args], { encoding: 'utf8', cwd: scratch });
}

/** Names of the files that export `define`. */
async function listCommands(): Promise<string[]> {
  const names: string[] = [];
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.js') && name !== 'main.js')) {
    const module = (await import(new URL(`../../src/cli/${file}`, import.meta.url).href)) as Partial<CommandModule>;
    if (module.define) names.push(path.basename(file, '.js'));
  }
  return names.sort();
}

/** The arguments of every `galvani` in a shell script, as the shell hands them over; nothing else of it is left out. */
function argumentsIn(script: string): string[][] {
  const stub = 'galvani() { printf "%s\\0" "$@" "" >&3; }';
  const calls = execFileSync('bash', ['-c', `set -e\nexec 3>&1 1>/dev/null\n${stub}\n${script}`], {
    encoding: 'utf8',
    cwd: scratch,
    input: '',
  });
  return calls
    .split('\0\0')
    .slice(0, -1)
    .map((call) => call.split('\0'));
}

test('help lists every command, and nothing that is none', async () => {
  const { status, stdout } = galvani('--help');
  assert.equal(status, exitCodes.done);
  const listed = [...stdout.matchAll(/^ {2}(\w+) .*\S$/gm)].map(([, name]) => name).filter((name) => name !== 'help');
  assert.deepEqual(listed.sort(), await listCommands());
});

test('every command explains itself, with an example that its own flags take', async () => {
  for (const name of await listCommands()) {
    const { status, stdout, stderr } = galvani(name, '--help');
    assert.equal(status, exitCodes.done, stderr);
    assert.match(stdout, new RegExp(`^Usage: galvani ${name} `));
    const lines = stdout.split('\n').flatMap((line) => /^ {2}\$ (.*)/.exec(line)?.[1] ?? []);
    assert.ok(lines.length > 0, `${name} has no line that begins with "  $ "`);
    const calls = argumentsIn(lines.join('\n'));
    assert.ok(
      calls.some(([command]) => command === name),
      `no example of ${name} calls it`,
    );
    for (const [command, ...args] of calls) await assertTaken(command, args);
  }
});

/** Parses arguments as the command does, without running it. */
async function assertTaken(name: string, args: string[]): Promise<void> {
  const { define } = (await import(new URL(`../../src/cli/${name}.js`, import.meta.url).href)) as CommandModule;
  const command = new Command(name).exitOverride();
  define(command);
  for (const inner of command.commands.length > 0 ? command.commands : [command]) {
    inner
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
      .action(() => {});
  }
  await assert.doesNotReject(command.parseAsync(args, { from: 'user' }), `galvani ${name} ${args.join(' ')}`);
}

test('an unknown command is wrong use, with the nearest name', () => {
  const { status, stderr } = galvani('pretrian');
  assert.match(stderr, /^galvani: unknown command 'pretrian'\n\(Did you mean pretrain\?\)/);
  assert.equal(status, exitCodes.wrongUse);
});
