// A process of the stack: started, killed, stopped and started again; its stderr is kept.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';

const REVIVE_MS = 500;
const COUNTERS = ['footfall_records_resent_total', 'footfall_records_repeated_total'];

export class Service {
  // admin: {host, port} or none. deathSignal: sent to it when we die, so that nothing outlives us.
  constructor(name, program, args, { env = {}, log, admin, deathSignal = 'KILL' }) {
    Object.assign(this, { name, program, args, env, log, admin, deathSignal });
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
    // A process group of its own, so that nginx's workers are killed with their master.
    this.child = spawn('setpriv', ['--pdeathsig', this.deathSignal, this.program, ...this.args],
      { env: this.env, detached: true, stdio: ['ignore', out, out] });
    fs.closeSync(out);
    this.wanted = true;
    const child = this.child;
    child.once('exit', (status, signal) => this.ended(child, status ?? signal));
  }

  ended(child, how) {
    for (const name of COUNTERS) this.past[name] = (this.past[name] ?? 0) + (this.now[name] ?? 0);
    this.now = {};
    if (this.child === child) this.child = null;
    if (!this.wanted) return;
    this.surprises++;
    fs.appendFileSync(this.log, `chaos: ended by itself (${how}), starting it again\n`);
    setTimeout(() => this.wanted && this.start(), REVIVE_MS);
  }

  async kill() {
    await this.look(); // a kill loses counters
    this.wanted = false;
    const { child } = this;
    if (!child) return;
    const gone = once(child, 'exit');
    process.kill(-child.pid, 'SIGKILL');
    await gone;
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

  // A counter's sum over all lives.
  total(name) {
    return (this.past[name] ?? 0) + (this.now[name] ?? 0);
  }
}
