/**
 * Loaded before the command (`node --import`): ends the process, or stops it for ever, when it is about to open or
 * rename a certain file. FAULT says what happens, at which call, and to what path: `kill rename \.step-140`.
 */
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const [action, call, pattern] = (process.env.FAULT ?? '').split(' ');

function strike(path: unknown): Promise<void> | undefined {
  if (!new RegExp(pattern).test(String(path))) return undefined;
  if (action === 'kill') process.kill(process.pid, 'SIGKILL');
  process.stdout.write('fault\n');
  return new Promise(() => setInterval(() => {}, 1000));
}

const { open, rename } = fs;
if (call === 'open') {
  fs.open = async (...args: Parameters<typeof open>) => {
    await strike(args[0]);
    return open(...args);
  };
}
if (call === 'rename') {
  fs.rename = async (...args: Parameters<typeof rename>) => {
    await strike(args[0]);
    return rename(...args);
  };
}
syncBuiltinESMExports();
