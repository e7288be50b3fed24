/**
 * Slurm on one machine, for the tests of what is sent to it: munge, a controller and a node, started as processes of the
 * test with a configuration, a key, ports and a state of their own in one folder under /tmp; nothing else is changed.
 * The programs are those that test/slurm/install.sh unpacks; absent, such a test is skipped and says so.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { cacheFolder } from '../src/cacheFolder.js';

const root = cacheFolder('slurm');
const program = (name: string) => path.join(root, 'usr', name);

/** `test(name, needSlurm(), …)`. */
export function needSlurm(): { skip: string | false } {
  const isThere = existsSync(program('sbin/slurmctld-wlm'));
  return { skip: isThere ? false : 'needs Slurm: run "bash test/slurm/install.sh" once, on Debian or Ubuntu' };
}

export class Slurm {
  readonly #children: ChildProcess[] = [];

  /** `folder` is where jobs are sent from, with all logs; `environment` finds sbatch and its kin, and the controller. */
  private constructor(
    readonly folder: string,
    readonly environment: NodeJS.ProcessEnv,
  ) {}

  /** A node of `cpus` CPUs, however many the machine has. */
  static async start(cpus: number): Promise<Slurm> {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'galvani-slurm-'));
    chmodSync(folder, 0o755); // munge wants its socket to be in reach of all
    const libraries = path.join(root, 'usr/lib', readdirSync(path.join(root, 'usr/lib')).find(holdsSlurm)!);
    const plugins = path.join(libraries, 'slurm-wlm');
    const environment = {
      ...process.env,
      PATH: `${program('bin')}:${process.env.PATH}`,
      LD_LIBRARY_PATH: `${libraries}:${plugins}`,
      SLURM_CONF: path.join(folder, 'slurm.conf'),
    };
    for (const name of ['state', 'spool']) mkdirSync(path.join(folder, name));
    const ports = [await freePort(), await freePort()] as const;
    writeFileSync(environment.SLURM_CONF, configuration(folder, plugins, cpus, ports));
    const slurm = new Slurm(folder, environment);
    try {
      await slurm.#startAll();
    } catch (error) {
      await slurm.close();
      throw error;
    }
    return slurm;
  }

  async #startAll(): Promise<void> {
    const at = (name: string) => path.join(this.folder, name);
    this.run(program('sbin/mungekey'), '--create', `--keyfile=${at('munge.key')}`);
    const files = { socket: 'socket', 'key-file': 'munge.key', 'pid-file': 'munged.pid', 'seed-file': 'munge.seed' };
    const named = Object.entries(files).map(([flag, name]) => `--${flag}=${at(name)}`);
    this.#start('munged', '--foreground', `--log-file=${at('munged.log')}`, ...named);
    await this.#until('munge', () => existsSync(at('socket')));
    this.#start('slurmctld-wlm', '-D', '-i');
    this.#start('slurmd-wlm', '-D', '-d', program('sbin/slurmstepd-wlm'));
    await this.#until('Slurm', () => this.run('sinfo', '--noheader', '--format=%T').trim() === 'idle');
  }

  /** What a client program (`sbatch`, `squeue`, …) prints. @throws with what it and the daemons say when it fails. */
  run(command: string, ...parameters: string[]): string {
    const { status, stdout, stderr, error } = spawnSync(command, parameters, {
      cwd: this.folder,
      env: this.environment,
      encoding: 'utf8',
      timeout: 60_000,
    });
    if (status === 0) return stdout;
    throw new Error(`${command} ${parameters.join(' ')}: ${error ?? stdout + stderr}\n${this.logs()}`);
  }

  /** Resolves when no job waits or runs. */
  async untilDone(): Promise<void> {
    while (this.run('squeue', '--noheader') !== '') await wait(200);
  }

  /** The last lines of every log in the folder. */
  logs(): string {
    const names = readdirSync(this.folder).filter((name) => name.endsWith('.log'));
    const last = (name: string) => readFileSync(path.join(this.folder, name), 'utf8').split('\n').slice(-30).join('\n');
    return names.map((name) => `--- ${name}\n${last(name)}`).join('\n');
  }

  /** Ends jobs and daemons, and removes the folder. */
  async close(): Promise<void> {
    spawnSync('scancel', [`--user=${os.userInfo().username}`], { env: this.environment, timeout: 5000 });
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await Promise.race([ended, wait(5000).then(() => child.kill('SIGKILL'))]);
    }
    rmSync(this.folder, { recursive: true });
  }

  #start(name: string, ...parameters: string[]): void {
    const log = openSync(path.join(this.folder, `${name}.out.log`), 'w');
    const child = spawn(program(`sbin/${name}`), parameters, { env: this.environment, stdio: ['ignore', log, log] });
    this.#children.push(child);
  }

  async #until(what: string, isReady: () => boolean): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
      const dead = this.#children.find(({ exitCode }) => exitCode !== null);
      if (dead) throw new Error(`${dead.spawnfile} ended with ${dead.exitCode}:\n${this.logs()}`);
      if (isReady()) return;
      await wait(100);
    }
    throw new Error(`${what} was not ready within 10 s:\n${this.logs()}`);
  }
}

const holdsSlurm = (name: string) => existsSync(path.join(root, 'usr/lib', name, 'slurm-wlm'));

function configuration(folder: string, plugins: string, cpus: number, ports: readonly [number, number]): string {
  const host = os.hostname().split('.')[0];
  const user = os.userInfo().username;
  return `ClusterName=one
SlurmctldHost=${host}(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
SlurmUser=${user}
SlurmdUser=${user}
AuthType=auth/munge
CredType=cred/munge
# A task goes back to the queue for as long as its credential is valid: two minutes, by default.
AuthInfo=socket=${folder}/socket,cred_expire=5
PluginDir=${plugins}
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdLogFile=${folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
MailProg=/bin/true
SlurmdParameters=config_overrides
NodeName=${host} NodeAddr=127.0.0.1 CPUs=${cpus} RealMemory=16000
PartitionName=all Nodes=${host} Default=YES
`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}
