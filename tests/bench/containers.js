// Print what the containers of compose.yml (one of each) take, with both PostgreSQL limited to 1 GB together: resident
// memory of every one when idle; then, on top of BENCH_EVENTS (200000) of the last 30 days, how long requests take that
// come as to a middling blog, 90 a second for BENCH_SECONDS (600), and each container's share of processor and memory
// meanwhile; then memory again, after 2,000 events a second by the door. Beside the requests, ten times a second, a
// file is synced to disk and a timer waited for, which tell what of it is the machine's. Asserts nothing but that
// nothing failed.
// Images are those of this tree (`make bench-containers`).

import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { RESIDENT_MOST_KIB, SERVICES, startCompose } from '../compose/harness.js';
import { ROOT } from '../e2e/harness.js';
import { Connection } from '../parts/connection.js';
import { Random } from '../parts/random.js';
import { sleep, until } from '../parts/until.js';
import { Visitors, pageView, post } from '../parts/visitors.js';

const SECONDS = Number(process.env.BENCH_SECONDS ?? 600), EVENTS = Number(process.env.BENCH_EVENTS ?? 200000);
const FULL_RATE = 2000, FULL_S = Math.min(60, SECONDS), REST_S = Math.min(20, SECONDS);
const RATE = 90, CONNECTIONS = 32;
const DATABASE_MIB = { app: 256, metrics: 768 }; // 1 GiB
const DOMAINS = ['bench0.example', 'bench1.example', 'bench2.example', 'bench3.example']; // none has more than its limit
// Of a hundred requests. A visit reads pages that send their view and then how long they were looked at; the script is
// in the browser's cache for most. A dashboard that is open asks its nine reports again when there is something new.
const MIX = { 'page view': 40, engagement: 40, script: 9, report: 11 };
const AGENT_LOG = path.join(ROOT, 'tests/data/logs/apache_combined_10k.log');

const random = new Random(1);
const agents = [...new Set(fs.readFileSync(AGENT_LOG, 'utf8').split('\n').map((line) => line.split('"')[5]).filter((agent) => agent?.length > 10))];
const visitors = Array.from({ length: 5000 }, () => ({ agent: random.pick(agents), address: [1, 2, 3, 4].map(() => random.between(1, 223)).join('.') }));
const someone = () => visitors[Math.floor(visitors.length * random.next() ** 3)]; // few have most of the events
const anyone = () => random.pick(visitors); // none beyond the limit of an address
const from = ({ agent, address }) => ({ 'X-Forwarded-For': address, 'User-Agent': agent });
function article() {
  const number = Math.floor(3000 * random.next() ** 3); // those of fill.js
  return `/blog/${2015 + number % 12}/an-article-about-something-${number}`;
}

// --- requests ---------------------------------------------------------------------------------------

function reportBodies(domain) {
  const day = (ago) => new Date(Date.now() - ago * 864e5).toISOString().slice(0, 10);
  const ranges = [[0, 0], [6, 0], [29, 0]].map(([first, last]) => [day(first), day(last)]);
  const metrics = ['visitors', 'visits', 'pageviews', 'views_per_visit', 'bounce_rate', 'visit_duration'];
  return ranges.flatMap((date_range) => {
    const common = { site_id: domain, date_range };
    const panel = (...dimensions) => ({ ...common, metrics: ['visitors'], dimensions,
      order_by: [['visitors', 'desc'], [dimensions[0], 'asc']], pagination: { limit: 11, offset: 0 } });
    return [
      { ...common, metrics },
      { ...common, metrics: ['visitors', 'pageviews'], dimensions: [date_range[0] === date_range[1] ? 'time:hour' : 'time:day'], include: { time_labels: true } },
      panel('event:page'), panel('visit:source'), panel('visit:country', 'visit:country_name'), panel('visit:browser'), panel('visit:os'), panel('visit:device'),
    ];
  });
}

const nameOf = ({ dimensions: [first] = ['sums'], date_range: [one, last] }) => `${first}, ${1 + (Date.parse(last) - Date.parse(one)) / 864e5} d`;

// [kind, name, request] of the next request, as MIX has them.
function maker(sites, key) {
  const kinds = Object.entries(MIX).flatMap(([kind, share]) => Array(share).fill(kind));
  const bodies = sites.flatMap(({ domain }) => reportBodies(domain));
  let reports = 0;
  const make = {
    'page view': (site) => pageView(site, article(), { r: `https://www.search.example/results/${random.between(1, 300)}`, w: random.between(320, 2560) }, from(someone())),
    engagement: (site) => pageView(site, article(), { n: 'engagement', sd: random.between(1, 100), e: random.between(1000, 120000), v: 1 }, from(someone())),
    script: (site) => `GET /js/${site.property_id}.js HTTP/1.1\r\nHost: ${site.domain}\r\nAccept-Encoding: gzip\r\n\r\n`,
  };
  return () => {
    const kind = random.pick(kinds), site = random.pick(sites);
    if (kind !== 'report') return [kind, kind, make[kind](site)];
    const body = bodies[reports++ % bodies.length];
    return [kind, nameOf(body), post('/api/v2/query', { Authorization: `Bearer ${key}` }, JSON.stringify(body))];
  };
}

// Requests that come by the clock, whether or not those before have their answers: how long each took, from when it
// was due, in ms, by kind and by name.
async function visit(target, next, seconds) {
  const idle = Array.from({ length: CONNECTIONS }, () => new Connection(target)), waiting = [];
  const took = {}, failed = {}, began = performance.now();
  let sent = 0, open = 0;
  const serve = (connection) => {
    const [due, [kind, name, request]] = waiting.shift();
    open++;
    connection.send(request, (answer) => {
      const ms = performance.now() - due;
      for (const key of new Set(['all', kind, `${kind}: ${name}`])) (took[key] ??= []).push(ms);
      if (!(answer.status >= 200 && answer.status < 300) || answer.dropped) failed[`${kind} ${answer.status ?? answer}`] = (failed[`${kind} ${answer.status ?? answer}`] ?? 0) + 1;
      open--;
      if (waiting.length) serve(connection);
      else idle.push(connection);
    });
  };
  while (sent < seconds * RATE) {
    for (; sent < seconds * RATE && began + sent / RATE * 1000 <= performance.now(); sent++) {
      waiting.push([began + sent / RATE * 1000, next()]);
      if (idle.length) serve(idle.pop());
    }
    await sleep(1);
  }
  await until(() => !open && !waiting.length);
  for (const connection of idle) connection.close();
  for (const list of Object.values(took)) list.sort((a, b) => a - b);
  return { took, failed };
}

// How late a timer is, and how long a sync of half a KiB takes, in ms, until the returned function is called for them.
function watchMachine() {
  const file = path.join(ROOT, 'build/synced'), fd = fs.openSync(file, 'w'), took = { 'the machine: a timer of 10 ms late by': [], 'the machine: a sync': [] };
  const [late, synced] = Object.values(took);
  let over = false;
  const watch = (async () => {
    while (!over) {
      let began = performance.now();
      await sleep(10);
      late.push(Math.max(0, performance.now() - began - 10));
      fs.writeSync(fd, Buffer.alloc(512), 0, 512, 0);
      began = performance.now();
      await promisify(fs.fdatasync)(fd);
      synced.push(performance.now() - began);
      await sleep(90);
    }
    fs.closeSync(fd);
    fs.unlinkSync(file);
  })();
  return async () => {
    over = true;
    await watch;
    for (const list of Object.values(took)) list.sort((a, b) => a - b);
    return took;
  };
}

// --- what containers take ---------------------------------------------------------------------------

async function everyContainer() {
  const lists = await Promise.all(['door', ...SERVICES, 'db-app', 'db-metrics'].map(async (service) => (await stack.containers(service)).map((id) => ({ service, id }))));
  return lists.flat();
}

// Processor time so far, in s; memory in use, without what is only cached of files, in MB. cgroups of either version.
async function used({ id }) {
  const { stdout } = await stack.shell(id, 'cd /sys/fs/cgroup; if [ -e cpu.stat ]; then cat cpu.stat memory.stat; else cat memory/memory.stat; echo usage_ns $(<cpuacct/cpuacct.usage); fi');
  const value = (name) => Number(stdout.match(new RegExp(`^${name} (\\d+)$`, 'm'))?.[1] ?? NaN);
  const one = (...values) => values.find((number) => !Number.isNaN(number));
  return { cpu_s: one(value('usage_usec') / 1e6, value('usage_ns') / 1e9), mb: (one(value('anon'), value('total_rss')) + one(value('shmem'), value('total_shmem'), 0)) / 1e6 };
}

const column = (text, width) => String(text).padStart(width);

async function showMemory(what) {
  console.log(`\n${what}: resident memory of the first process, MB`);
  console.log(`${''.padEnd(12)}${['VmRSS', 'of files in memory', 'less those', 'VmHWM', 'RssAnon', 'container'].map((name) => column(name, 20)).join('')}`);
  for (const { service, id } of await everyContainer()) {
    const kib = await stack.resident(id), { mb } = await used({ id });
    const columns = [kib.VmRSS, kib.RssShmem, kib.VmRSS - kib.RssShmem, kib.VmHWM, kib.RssAnon].map((n) => (n * 1024 / 1e6).toFixed(1));
    const over = SERVICES.includes(service) && kib.VmRSS - kib.RssShmem >= RESIDENT_MOST_KIB ? '   over 30 MB' : '';
    console.log(`${service.padEnd(12)}${[...columns, mb.toFixed(1)].map((text) => column(text, 20)).join('')}${over}`);
  }
}

async function showShares(before, after, seconds) {
  const all = after.reduce((sum, { cpu_s }, i) => sum + cpu_s - before[i].cpu_s, 0), memory = after.reduce((sum, { mb }) => sum + mb, 0);
  console.log(`\nprocessor and memory meanwhile: ${(all / seconds * 100).toFixed(1)} % of one processor, ${memory.toFixed(0)} MB in all`);
  console.log(`${''.padEnd(12)}${['% of a processor', 'share', 'MB', 'share'].map((name) => column(name, 18)).join('')}`);
  after.forEach(({ service, cpu_s, mb }, i) => {
    const cpu = cpu_s - before[i].cpu_s;
    const columns = [(cpu / seconds * 100).toFixed(2), `${(cpu / all * 100).toFixed(1)} %`, mb.toFixed(1), `${(mb / memory * 100).toFixed(1)} %`];
    console.log(`${service.padEnd(12)}${columns.map((text) => column(text, 18)).join('')}`);
  });
}

const at = (list, share) => list[Math.min(list.length - 1, Math.floor(list.length * share))];

function row(name, list) {
  console.log(name.padEnd(40) + [list.length, ...[0.5, 0.95, 0.99, 1].map((share) => at(list, share).toFixed(2))].map((text) => column(text, 10)).join(''));
}

function showTimes({ took, failed }, machine) {
  console.log(`\nms from when a request was due to its answer`);
  console.log(`${''.padEnd(40)}${['requests', 'p50', 'p95', 'p99', 'longest'].map((name) => column(name, 10)).join('')}`);
  const rank = (name) => (name === 'all' ? 0 : name.includes(': ') ? 2 : 1);
  const shown = Object.entries(took).filter(([name]) => rank(name) < 2 || name.startsWith('report: '))
    .sort(([a, x], [b, y]) => rank(a) - rank(b) || at(y, 0.95) - at(x, 0.95));
  for (const [name, list] of [...shown, ...Object.entries(machine)]) row(name, list);
  for (const [how, times] of Object.entries(failed)) console.log(`FAILED: ${how}, ${times} times`);
}

// --- the phases -------------------------------------------------------------------------------------

// Events of the last 30 days, so that reports have something to add up.
async function fill(key) {
  const list = path.join(stack.home, 'agents');
  fs.writeFileSync(list, agents.join('\n'));
  await promisify(execFile)('node', [path.join(ROOT, 'tests/bench/fill.js'), stack.url, key, EVENTS, list, ...DOMAINS],
    { env: { ...process.env, BENCH_HOURS: 30 * 24 }, timeout: 3600000 });
}

// What was written before is not written on the time of what comes next.
async function checkpoint() {
  for (const database of Object.keys(DATABASE_MIB))
    for (const id of await stack.containers(`db-${database}`)) {
      const { code, stderr } = await stack.shell(id, 'psql -XqU postgres -h /run/postgresql -c checkpoint');
      if (code) throw new Error(stderr);
    }
}

function delivered() {
  return until(async () => (await Promise.all((await stack.containers('ingress')).map((id) => stack.metric(id, 'records_in_flight')))).every((n) => n === 0),
    { timeout: 600000, every: 500 });
}

async function fullRate(sites) {
  const crowd = new Visitors({ targets: [stack.door], connections: CONNECTIONS, rate: FULL_RATE, prefix: '',
    request: () => pageView(random.pick(sites), article(), {}, from(anyone())) });
  crowd.start();
  await sleep(FULL_S * 1000);
  await crowd.stop();
  await showMemory(`after ${FULL_S} s of ${Math.round(crowd.accepted.length / FULL_S)} events/s`);
  if (crowd.refused.length + crowd.open.length) console.log(`FAILED: ${crowd.refused.length} answered 503, ${crowd.open.length} otherwise: ${[...crowd.statuses.keys()].join(', ')}`);
  return !crowd.refused.length && !crowd.open.length;
}

async function middlingBlog(sites, key) {
  const containers = await everyContainer(), look = () => Promise.all(containers.map(async (one) => ({ ...one, ...await used(one) })));
  await visit(stack.door, maker(sites, key), Math.min(10, SECONDS)); // connections, caches
  const before = await look();
  const watched = watchMachine();
  const result = await visit(stack.door, maker(sites, key), SECONDS);
  const machine = await watched(), after = await look();
  console.log(`\n${RATE} requests/s for ${SECONDS} s over ${CONNECTIONS} connections, on top of ${EVENTS} events of 30 days; of a hundred: `
    + `${Object.entries(MIX).map(([kind, share]) => `${share} ${kind}`).join(', ')}; PostgreSQL: ${Object.values(DATABASE_MIB).join(' + ')} MiB`);
  showTimes(result, machine);
  await showShares(before, after, SECONDS);
  return !Object.keys(result.failed).length;
}

const stack = await startCompose(['compose.yml'], {
  FOOTFALL_DB_APP_MEMORY: `${DATABASE_MIB.app}m`, FOOTFALL_DB_METRICS_MEMORY: `${DATABASE_MIB.metrics}m`,
  FOOTFALL_FURTHER_PROXIES: '10.0.0.0/8,172.16.0.0/12,192.168.0.0/16', // so that clients can have many addresses
});
let good = true;
try {
  await stack.firstSite('first.example');
  const sites = [];
  for (const domain of DOMAINS) sites.push(await stack.site(domain));
  const { key } = await stack.footfall(['key', 'add', '--owner', 'owner@example.org', '--scope', 'stats,ingest']);
  await sleep(REST_S * 1000);
  await showMemory('idle');
  await fill(key);
  await delivered();
  await checkpoint();
  good = await middlingBlog(sites, key) && good;
  good = await fullRate(sites) && good;
} finally {
  stack.removeNow();
}
process.exit(good ? 0 : 1);
