// Two ingresses that share a folder of journals on a small filesystem, three workers, the door, and a
// PostgreSQL of its own. Between each worker and each ingress lies a link that can fail. All of it is
// bound to one random loopback network, so that no port is anybody else's.

import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startCluster } from '../e2e/cluster.js';
import { Disk } from './disk.js';
import { Link } from './link.js';
import { Service } from './service.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BIN = path.join(ROOT, 'build/bin');
const INGRESSES = 2, WORKERS = 3;
const DISK_MIB = 96, JOURNAL_MAX_MIB = 40;
const DENIED_MAX_MIB = 16; // the least there is: then it is this bound that is met, not a full disk
const DOOR_PORT = 7080, HTTP_PORT = 7001, ADMIN_PORT = 7050, LINK_PORTS = { push: 7055, ack: 7056 };
const SITES = ['alpha', 'beta', 'gamma', 'delta', 'epsilon'].map((name) => `${name}.example`);
const OWNER = 'chaos@example.org';

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Ask again and again until the answer is truthy, which is returned; false when that takes too long.
export async function until(ask, { timeout = 30000, every = 100 } = {}) {
  for (const end = Date.now() + timeout; ; await sleep(every)) {
    const answer = await ask();
    if (answer || Date.now() > end) return answer;
  }
}

// A zone where it is about noon now: a retry over midnight is another event, which is no fault here.
function zoneOfNoon() {
  const ahead = 12 - new Date().getUTCHours();
  return ahead ? `Etc/GMT${ahead > 0 ? '-' : '+'}${Math.abs(ahead)}` : 'Etc/UTC';
}

export class Stack {
  constructor(logs) {
    this.logs = logs;
    this.home = fs.mkdtempSync(path.join(os.tmpdir(), 'footfall-chaos-'));
    fs.chmodSync(this.home, 0o755); // as root, nginx's workers run as another user
    this.services = [];
    this.lost = []; // services that find() starts again
    this.links = []; // [worker][ingress]
    this.net = `127.${100 + Math.floor(Math.random() * 100)}.${Math.floor(Math.random() * 250)}`;
  }

  start() {
    this.starting = this.make();
    return this.starting;
  }

  async make() {
    const journals = path.join(this.home, 'journal');
    fs.mkdirSync(journals);
    this.disk = await Disk.mount(journals, DISK_MIB);
    this.database = await startCluster();
    for (const name of ['fsync', 'full_page_writes', 'synchronous_commit'])
      if (this.database.sql('postgres', `show ${name}`).trim() !== 'on') throw new Error(`${name} is not on`);
    await this.sitesMake();
    this.ingresses = Array.from({ length: INGRESSES }, (_, i) => this.ingress(i));
    this.workers = Array.from({ length: WORKERS }, (_, i) => this.worker(i));
    await Promise.all(this.links.flat().map((link) => link.listening()));
    this.door = this.doorMake();
    for (const service of this.services) service.start();
    if (!await until(() => this.ready())) throw new Error(`the stack is not ready; its logs are in ${this.logs}`);
  }

  service(name, program, args, options) {
    const service = new Service(name, program, args, { log: path.join(this.logs, `${name}.log`), ...options });
    this.services.push(service);
    return service;
  }

  // env: all that it is told; what is meant for other stacks must not reach it.
  footfall(name, program, host, env) {
    const admin = { host, port: ADMIN_PORT };
    return this.service(name, path.join(BIN, program), [],
      { admin, env: { PATH: process.env.PATH, FOOTFALL_ADMIN_ADDR: `${host}:${ADMIN_PORT}`, ...env } });
  }

  ingressHost(i) {
    return `${this.net}.${10 + i}`;
  }

  ingress(i) {
    const host = this.ingressHost(i);
    return this.footfall(`ingress-${i}`, 'ingress', host, {
      FOOTFALL_INGRESS_ADDR: `${host}:${HTTP_PORT}`,
      FOOTFALL_PUSH_ADDR: `${host}:${LINK_PORTS.push}`,
      FOOTFALL_ACK_ADDR: `${host}:${LINK_PORTS.ack}`,
      FOOTFALL_HTTP_THREADS: '128', // with the other one dead, all connections lead here
      FOOTFALL_JOURNAL_DIR: this.disk.dir,
      FOOTFALL_JOURNAL_MAX_MIB: String(this.disk.denied ? DENIED_MAX_MIB : JOURNAL_MAX_MIB),
      FOOTFALL_TRACKER_FILE: path.join(ROOT, 'services/tracker/footfall.js'),
      FOOTFALL_APP_DB: this.database.conninfo('footfall_ingress', 'footfall_app'),
    });
  }

  worker(w) {
    const hosts = Array.from({ length: INGRESSES }, (_, i) => `${this.net}.${100 + 10 * w + i}`);
    this.links.push(hosts.map((host, i) => new Link({ host, ...LINK_PORTS }, { host: this.ingressHost(i), ...LINK_PORTS })));
    return this.footfall(`worker-${w}`, 'worker', `${this.net}.${20 + w}`, {
      FOOTFALL_INGRESS_LINKS: hosts.map((host) => `${host}:${LINK_PORTS.push}:${LINK_PORTS.ack}`).join(),
      FOOTFALL_LIVE_LINKS: `${this.net}.1:7057`, // nobody is there
      FOOTFALL_GEOIP_DB: path.join(ROOT, 'node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb'),
      FOOTFALL_UA_RULES: path.join(ROOT, 'node_modules/uap-core/regexes.yaml'),
      FOOTFALL_APP_DB: this.database.conninfo('footfall_worker', 'footfall_app'),
      FOOTFALL_METRICS_DB: this.database.conninfo('footfall_worker', 'footfall_metrics'),
    });
  }

  // The local stack's own door, in front of our ingresses; the other services are nobody.
  doorMake() {
    const file = path.join(this.home, 'nginx.conf'), nobody = `${this.net}.1:9`;
    const values = {
      WEB: path.join(ROOT, 'build/web'), PORT: `${this.net}.1:${DOOR_PORT}`, LISTEN_IPV6: '', QUERY: nobody, CONSOLE: nobody,
      INGRESSES: this.ingresses.map((_, i) => `server ${this.ingressHost(i)}:${HTTP_PORT} max_fails=0;`).join(' '),
    };
    fs.mkdirSync(path.join(this.home, 'nginx'));
    fs.writeFileSync(file, fs.readFileSync(path.join(ROOT, 'deploy/local/nginx.conf.in'), 'utf8')
      .replace(/@([A-Z_0-9]+)@/g, (_, name) => values[name]));
    return this.service('door', 'nginx', ['-p', path.join(this.home, 'nginx/'), '-e', 'stderr', '-c', file],
      { env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin` }, deathSignal: 'QUIT' });
  }

  async sitesMake() {
    const conninfo = this.database.conninfo('postgres', 'footfall_app');
    const footfall = async (...args) => {
      const running = promisify(execFile)(path.join(BIN, 'footfall'), [...args, '--json'],
        { env: { PATH: process.env.PATH, FOOTFALL_HOME: this.home, FOOTFALL_APP_DB: conninfo } });
      running.child.stdin.end('correct horse battery');
      return JSON.parse((await running).stdout);
    };
    await footfall('user', 'add', OWNER, '--password-stdin');
    for (const site of SITES) await footfall('site', 'add', site, '--owner', OWNER, '--timezone', zoneOfNoon());
    this.key = (await footfall('key', 'add', '--owner', OWNER, '--scope', 'ingest')).key;
    this.sites = SITES;
  }

  // Where clients may send: {name, host, port}.
  targets() {
    return [...this.ingresses.map((service, i) => ({ name: service.name, host: this.ingressHost(i), port: HTTP_PORT })),
      { name: 'door', host: `${this.net}.1`, port: DOOR_PORT, door: true }];
  }

  async lose(service) {
    await service.kill();
    this.lost.push(service);
  }

  find() {
    for (const service of this.lost.splice(0)) service.start();
  }

  living() {
    return [...this.ingresses, ...this.workers].filter((service) => !this.lost.includes(service));
  }

  async ready() {
    const ready = await Promise.all(this.living().map((service) => service.ready()));
    return ready.every(Boolean) && this.door.child !== null;
  }

  look() {
    return Promise.all(this.living().map((service) => service.look()));
  }

  total(name) {
    return this.services.reduce((sum, service) => sum + service.total(name), 0);
  }

  // Ends that were not our doing.
  surprises() {
    return this.services.filter((service) => service.surprises).map((service) => `${service.name} ${service.surprises} times`);
  }

  async metrics(statement) {
    return (await this.database.query('footfall_metrics', statement)).trim().split('\n').filter(Boolean).map((line) => line.split('|'));
  }

  // Also half-way: what a start is about to make is waited for, else it would be left behind.
  async end() {
    await this.starting?.catch(() => {});
    for (const service of this.services) service.killNow();
    for (const link of this.links.flat()) link.close();
    await until(() => this.services.every((service) => !service.child), { timeout: 5000, every: 20 });
    await this.disk?.unmount();
    if (this.database) {
      fs.copyFileSync(this.database.log, path.join(this.logs, 'postgres.log'));
      await this.database.stop();
    }
    fs.rmSync(this.home, { recursive: true, force: true });
  }
}
