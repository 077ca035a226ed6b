// A process of a stack: started, asked to end, killed, stopped and started again; its stderr is kept.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { until } from './until.js';

const REVIVE_MS = 500;
const COUNTERS = ['footfall_records_resent_total', 'footfall_records_repeated_total'];

export class Service {
  // admin: {host, port} or none. deathSignal: sent to it when we die, so that nothing outlives us.
  // revive: it is started again when it ends and that was not our doing. wrap: a command that runs it,
  // by exec or, with wrapStays, as its child (strace).
  constructor(name, program, args, { env = {}, log, admin, deathSignal = 'KILL', revive = false, wrap = [], wrapStays = false }) {
    Object.assign(this, { name, program, args, env, log, admin, deathSignal, revive, wrap, wrapStays });
    this.child = null;
    this.wanted = false;
    this.surprises = 0; // ends that were not our doing
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    this.past = {}; // counters of earlier lives
    this.now = {};
  }

  start() {
    if (this.child) return;
    const out = fs.openSync(this.log, 'a');
    const mortal = ['setpriv', '--pdeathsig', this.deathSignal];
    const command = [...mortal, ...this.wrap, ...(this.wrap.length ? mortal : []), this.program, ...this.args];
    // A process group of its own, so that nginx's workers are killed with their master.
    this.child = spawn(command[0], command.slice(1), { env: this.env, detached: true, stdio: ['ignore', out, out] });
    fs.closeSync(out);
    this.wanted = true;
    const child = this.child;
    // {status, signal} of this life, once it is over.
    this.over = once(child, 'exit').then(([status, signal]) => {
      this.ended(child, status ?? signal);
      return { status, signal };
    });
  }

  ended(child, how) {
    for (const name of COUNTERS) this.past[name] = (this.past[name] ?? 0) + (this.now[name] ?? 0);
    this.now = {};
    if (this.child === child) this.child = null;
    if (!this.wanted || !this.revive) return;
    this.surprises++;
    fs.appendFileSync(this.log, `test: ended by itself (${how}), starting it again\n`);
    setTimeout(() => this.wanted && this.start(), REVIVE_MS);
  }

  // Of the program itself.
  get pid() {
    const { pid } = this.child;
    if (!this.wrapStays) return pid;
    return Number(fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
  }

  // Resolves to {status, signal} when it has ended; to false when it does not.
  gone() {
    const { child, over } = this;
    return until(() => this.child !== child && over, { every: 10 });
  }

  // Ask it to end. Resolves to {status, signal, seconds}; to false when it does not.
  async stop() {
    this.wanted = false;
    const began = performance.now();
    process.kill(this.pid, 'SIGTERM');
    const how = await this.gone();
    return how && { ...how, seconds: (performance.now() - began) / 1000 };
  }

  async kill() {
    await this.look(); // a kill loses counters
    this.wanted = false;
    if (!this.child) return;
    const { over } = this;
    process.kill(-this.child.pid, 'SIGKILL');
    await over;
  }

  killNow() {
    this.wanted = false;
    if (this.child) try { process.kill(-this.child.pid, 'SIGKILL'); } catch { /* it has just ended */ }
  }

  // The child that was stopped is the one to continue: it may be another by then.
  pause() {
    const { child } = this;
    child?.kill('SIGSTOP');
    return () => child?.kill('SIGCONT');
  }

  // All that it has ever logged.
  said() {
    return fs.existsSync(this.log) ? fs.readFileSync(this.log, 'utf8') : '';
  }

  // The answer's text when it is 200, else null.
  ask(path) {
    return new Promise((resolve) => {
      const asked = http.get({ ...this.admin, path, agent: this.agent, timeout: 1000 }, async (answer) => {
        const chunks = [];
        try {
          for await (const chunk of answer) chunks.push(chunk);
        } catch {
          return resolve(null);
        }
        resolve(answer.statusCode === 200 ? Buffer.concat(chunks).toString() : null);
      });
      asked.on('timeout', () => asked.destroy()).on('error', () => resolve(null));
    });
  }

  ready() {
    return this.ask('/readyz').then((text) => text !== null);
  }

  // Note the present metrics; null when nobody answers.
  async look() {
    const { child } = this;
    const text = this.admin && child && await this.ask('/metrics');
    if (!text || this.child !== child) return null;
    this.now = Object.fromEntries([...text.matchAll(/^([a-z_]+) (\d+)$/gm)].map(([, name, value]) => [name, Number(value)]));
    return this.now;
  }

  // A metric's present value; undefined when nobody answers.
  async metric(name) {
    return (await this.look())?.[`footfall_${name}`];
  }

  // A counter's sum over all lives.
  total(name) {
    return (this.past[name] ?? 0) + (this.now[name] ?? 0);
  }
}
