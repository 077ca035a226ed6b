// The containers of compose/ for a test: a project, a network and a port of their own. start() makes them,
// remove() takes all of it away but the images; so does whatever ends the test.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { freePort } from '../e2e/cluster.js';
import { ROOT, request, run, waitFor } from '../e2e/harness.js';

const COMPOSE = spawnSync('docker', ['compose', 'version']).status === 0 ? ['docker', 'compose'] : ['docker-compose'];

export const SERVICES = ['ingress', 'worker', 'query', 'console']; // ours, in C
export const RESIDENT_MOST_KIB = 30e6 / 1024;

const alive = new Set();
process.on('exit', () => {
  for (const stack of alive) stack.removeNow();
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

export class Compose {
  // files: of compose/. settings: of .env, besides those that init-env writes.
  constructor(files, settings) {
    Object.assign(this, { files, settings });
    this.project = `footfall-test-${crypto.randomBytes(4).toString('hex')}`;
    this.home = fs.mkdtempSync(path.join(os.tmpdir(), 'footfall-compose-'));
    alive.add(this);
  }

  async make() {
    this.port = await freePort();
    this.url = `http://127.0.0.1:${this.port}`;
    await this.initEnv('--url', this.url, '--publish', `127.0.0.1:${this.port}`);
    const own = { COMPOSE_PROJECT_NAME: this.project, FOOTFALL_EDGE_SUBNET: `10.${crypto.randomInt(256)}.${crypto.randomInt(256)}.0/24`, ...this.settings };
    fs.appendFileSync(path.join(this.home, '.env'), Object.entries(own).map(([name, value]) => `${name}=${value}\n`).join('')); // the last one counts
  }

  async initEnv(...options) {
    const { code, stderr } = await run('deploy/init-env', [...options, this.home]);
    assert.equal(code, 0, stderr);
  }

  // docker-compose's arguments for these containers.
  arguments(...args) {
    return [...COMPOSE.slice(1), '-p', this.project, '--env-file', path.join(this.home, '.env'),
      ...this.files.flatMap((file) => ['-f', path.join(ROOT, 'compose', file)]), ...args];
  }

  // docker-compose ARGS; what it wrote. Throws when it fails.
  async compose(args, input) {
    const { code, stdout, stderr } = await run(COMPOSE[0], this.arguments(...args), { input });
    assert.equal(code, 0, `docker-compose ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  // `footfall ARGS --json` in a container of its own, its answer parsed.
  async footfall(args, input) {
    return JSON.parse(await this.compose(['run', '--rm', '-T', 'cli', ...args, '--json'], input));
  }

  // The ids of a service's containers, ended ones too.
  async containers(service) {
    const labels = { project: this.project, service, oneoff: 'False' };
    const filters = Object.entries(labels).flatMap(([name, value]) => ['--filter', `label=com.docker.compose.${name}=${value}`]);
    return (await this.docker('ps', '-aq', '--no-trunc', ...filters)).split('\n').filter(Boolean).sort();
  }

  // What a shell in a container writes; never throws: {code, stdout, stderr}.
  shell(container, command) {
    return run('docker', ['exec', container, 'bash', '-c', command]);
  }

  async inspect(container) {
    return JSON.parse(await this.docker('inspect', container))[0];
  }

  async docker(...args) {
    const { code, stdout, stderr } = await run('docker', args);
    assert.equal(code, 0, `docker ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  // What a service of ours answers on its admin port, in one of its containers.
  async admin(container, path) {
    return (await this.shell(container, `exec 3<>/dev/tcp/127.0.0.1/8050; printf "GET ${path} HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3`)).stdout;
  }

  // What /proc says of its first process' memory, in KiB: {VmRSS, VmHWM, RssAnon, RssShmem}. The last is of files in
  // memory, such as a worker's copy of the places.
  async resident(container) {
    const { stdout } = await this.shell(container, 'cat /proc/1/status');
    return Object.fromEntries(['VmRSS', 'VmHWM', 'RssAnon', 'RssShmem'].map((name) => [name, Number(stdout.match(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm'))[1])]));
  }

  // Whether a service's container does what it is for.
  async ready(service, container) {
    if (service === 'door') return (await request(`${this.url}/`).catch(() => ({}))).status === 200;
    if (service.startsWith('db-')) return (await this.shell(container, 'pg_isready -q -h 127.0.0.1 -U postgres -d postgres')).code === 0;
    return (await this.admin(container, '/readyz')).startsWith('HTTP/1.1 200 ');
  }

  // SIGKILL for all that runs in a container, as if it had crashed, so that Docker starts it again (what `docker kill`
  // has ended stays). False when nothing runs in it.
  async kill(container) {
    const { Pid } = (await this.inspect(container)).State;
    return Pid > 0 && (await run(...process.getuid() ? ['sudo', ['-n', 'kill', '-9', Pid]] : ['kill', ['-9', Pid]])).code === 0;
  }

  // Other numbers of containers, of these services only: {worker: 1, …}.
  scale(numbers) {
    return this.compose(['up', '-d', '--no-recreate', '--no-deps', ...Object.entries(numbers).flatMap(([name, count]) => ['--scale', `${name}=${count}`]),
      ...Object.keys(numbers)]);
  }

  // The value of a service's metric, in one of its containers.
  async metric(container, name) {
    const stdout = await this.admin(container, '/metrics');
    return Number(stdout.match(new RegExp(`^footfall_${name} (\\d+)`, 'm'))?.[1]);
  }

  password(role) {
    return fs.readFileSync(path.join(this.home, 'secrets', `${role}.password`), 'utf8');
  }

  // psql in a database's container, over TCP and as a role of ours: {code, stdout, stderr}. It goes on after errors.
  async psql(database, role, text) {
    const [container] = await this.containers(`db-${database}`);
    return run('docker', ['exec', '-i', '-e', 'PGPASSWORD', container, 'psql', '-XAtqw', '-F', '\t',
      '-h', '127.0.0.1', '-U', `footfall_${role}`, `footfall_${database}`], { input: text, env: { PGPASSWORD: this.password(role) } });
  }

  // The rows of a statement, cells as text.
  async sql(database, text) {
    const { code, stdout, stderr } = await this.psql(database, 'owner', text);
    assert.equal(code, 0, stderr);
    return stdout.split('\n').filter(Boolean).map((line) => line.split('\t'));
  }

  // How many page views of each path of a site are in the tables.
  async stored(site) {
    const rows = await this.sql('metrics', `select s.value, count(*) from event e join string s on s.site_id = e.site_id and s.id = e.page
      where e.kind = 1 and e.site_id = ${Number(site.site_id)} group by 1`);
    return new Map(rows.map(([page, times]) => [page, Number(times)]));
  }

  // Since it was started.
  seconds() {
    return ((performance.now() - this.began) / 1000).toFixed(1);
  }

  get door() {
    return { host: '127.0.0.1', port: this.port };
  }

  async account(email = 'owner@example.org', password = 'correct horse battery') {
    await this.footfall(['user', 'add', email, '--password-stdin'], password);
  }

  // The link for the first account, once the log of the first start has it.
  setupLink() {
    return waitFor(async () => {
      const [migrate] = await this.containers('migrate');
      return migrate && (await this.docker('logs', migrate)).match(/http:\/\/\S+\/#setup=\S+/)?.[0];
    }, 'the link for the first account', { timeout: 60000 });
  }

  // The first account, made by that link, and its site, as their owner makes them in the dashboard.
  async firstSite(domain, email = 'owner@example.org', password = 'correct horse battery') {
    const post = (path, body, headers) => request(this.url + path,
      { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) });
    const token = (await this.setupLink()).replace(/.*#setup=/, '');
    const setUp = await waitFor(async () => {
      const answer = await post('/api/setup', { token, email, password });
      return answer.status < 300 && answer;
    }, 'the first account', { timeout: 60000 });
    const added = await post('/api/sites', { domain, timezone: 'UTC' }, { Cookie: setUp.headers['set-cookie'][0].split(';')[0] });
    assert.ok(added.status < 300, added.text);
    return added.json;
  }

  // A site that every ingress knows of already.
  async site(domain, owner = 'owner@example.org') {
    const site = await this.footfall(['site', 'add', domain, '--owner', owner, '--timezone', 'UTC']);
    await this.siteKnown(site);
    return site;
  }

  // Until every ingress knows of it.
  async siteKnown(site) {
    let known = 0; // in a row: the door asks one after the other
    await waitFor(async () => {
      known = (await request(`${this.url}/js/${site.property_id}.js`)).status === 200 ? known + 1 : 0;
      return known > 8;
    }, `the script of ${site.domain}`);
  }

  // Down with the containers, volumes and networks; their logs are kept.
  removeNow() {
    const logs = process.env.FOOTFALL_TEST_LOGS;
    const say = (...args) => spawnSync(COMPOSE[0], this.arguments(...args), { timeout: 120000 });
    if (logs) {
      fs.mkdirSync(logs, { recursive: true });
      fs.writeFileSync(path.join(logs, `${this.project}.log`), say('logs', '--no-color').stdout ?? '');
    }
    say('kill');
    say('--profile', 'cli', '--profile', 'certbot', 'down', '-v', '--remove-orphans', '-t', '1'); // else the volumes of profiles stay
    fs.rmSync(this.home, { recursive: true, force: true });
    alive.delete(this);
  }
}

// meanwhile: what is done while `up` runs.
export async function startCompose(files = ['compose.yml', 'scale.yml'], settings = {}, meanwhile = () => {}) {
  const stack = new Compose(files, settings);
  await stack.make();
  stack.began = performance.now();
  await Promise.all([stack.compose(['up', '-d']).then(() => { stack.upSeconds = stack.seconds(); }), meanwhile(stack)]);
  return stack;
}
