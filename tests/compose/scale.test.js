// The stack of scale.yml under load and under a page in a real browser, while its containers are killed and their
// numbers change: every event that was accepted comes into the tables, once, and nobody is told anything but "taken"
// and "not now". SEED=n shows a minute of kills again; FOOTFALL_LONG=1 has more of them.
import assert from 'node:assert/strict';
import { once as happens } from 'node:events';
import http from 'node:http';
import { after, afterEach, before, test } from 'node:test';
import { note, openBrowser, waitFor } from '../e2e/harness.js';
import { Random } from '../parts/random.js';
import { sleep, until } from '../parts/until.js';
import { Visitors, pageView } from '../parts/visitors.js';
import { startCompose } from './harness.js';

const SEED = Number(process.env.SEED || Math.floor(Math.random() * 1e9));
const STORM_MS = process.env.FOOTFALL_LONG ? 600000 : 60000;
const RATE = 300, CONNECTIONS = 24;
const PAUSE_MS = [500, 3000]; // between two kills
const VICTIMS = ['ingress', 'worker', 'query', 'console', 'door', 'db-metrics', 'db-app'];
const BACK_MS = 120000; // for all to be well again, on a busy machine
const PAGE_MS = 500; // between two page views of the browser
const WAITING_MOST = 90; // of them; the script keeps the last hundred
const DELIVERED_MS = 180000;

let stack, site, place, visitors;

before(async () => {
  // Clients of many addresses: as if there were a proxy on this host, which Docker shows by an address of its own.
  stack = await startCompose(['compose.yml', 'scale.yml'], { FOOTFALL_FURTHER_PROXIES: '10.0.0.0/8,172.16.0.0/12,192.168.0.0/16' });
  site = await stack.firstSite('localhost');
  await stack.siteKnown(site);
  place = await new Place().open();
});
after(async () => {
  await place?.close();
  stack?.removeNow();
});
afterEach(() => visitors?.stop());

// A site whose one visitor goes from page to page, and what her browser was told when it sent that.
class Place {
  visited = [];
  taken = 0; // as she was told; what was, and nobody could tell her, is sent again
  statuses = new Set();

  async open() {
    this.server = http.createServer((asked, answer) => answer.writeHead(200, { 'Content-Type': 'text/html' })
      .end(`<!doctype html><title>${asked.url}</title><script defer src="${stack.url}/js/${site.property_id}.js"></script>`));
    this.server.listen(0, '127.0.0.1');
    await happens(this.server, 'listening');
    this.browser = await openBrowser();
    this.page = await (await this.browser.newContext()).newPage();
    this.page.on('response', (answer) => {
      if (answer.request().method() !== 'POST') return;
      this.statuses.add(answer.status());
      this.taken += answer.status() === 202;
    });
    await this.page.goto(`http://localhost:${this.server.address().port}/page/first`);
    await this.page.waitForFunction(() => globalThis.footfall);
    this.visited.push('/page/first');
    return this;
  }

  // Page views of a single page that changes its address, until stop() is called.
  async start() {
    this.going = true;
    this.done = (async () => {
      while (this.going) {
        await until(() => this.visited.length - this.taken < WAITING_MOST || !this.going);
        const path = `/page/${this.visited.length}`;
        await this.page.evaluate((to) => history.pushState({}, '', to), path);
        this.visited.push(path);
        await sleep(PAGE_MS);
      }
    })();
  }

  async stop() {
    this.going = false;
    await this.done;
  }

  async close() {
    this.going = false;
    await this.browser?.close();
    this.server?.closeAllConnections();
    this.server?.close();
  }
}

// The stack has as many containers of a service, and all that it has run and are ready.
async function wellAgain(numbers) {
  for (const [service, count] of Object.entries(numbers))
    await waitFor(async () => {
      const containers = await stack.containers(service);
      const ready = await Promise.all(containers.map((container) => stack.ready(service, container)));
      return ready.length === count && ready.every(Boolean);
    }, `${count} of ${service} are ready`, { timeout: BACK_MS, every: 300 });
}

const ask = (path) => pageView(site, path, {}, { 'X-Forwarded-For': `198.51.100.${Number(path.replace(/.*\//, '')) % 250 + 1}` });

// Load and the browser's page views, while `trouble` lasts; then all that was accepted is in the tables, each once.
async function underLoad(prefix, trouble) {
  visitors = new Visitors({ targets: [stack.door], connections: CONNECTIONS, rate: RATE, prefix, request: ask });
  visitors.start();
  await place.start();
  await waitFor(() => visitors.accepted.length > RATE, 'load');
  await trouble();
  const before = visitors.accepted.length;
  await waitFor(() => visitors.accepted.length > before + RATE, 'events are accepted after it', { timeout: BACK_MS });
  await visitors.stop();
  await place.stop();
  note(`${prefix}: ${visitors.accepted.length} accepted, ${visitors.refused.length} answered 503, ${visitors.open.length} open`);
  assert.deepEqual([...visitors.statuses.keys()].filter((status) => status !== 202 && status !== 503), [], 'what clients were told');
  await proveDelivered();
}

async function proveDelivered() {
  let rows;
  const wanted = [...visitors.accepted, ...place.visited];
  await until(async () => {
    rows = await stack.stored(site);
    return wanted.every((path) => rows.has(path));
  }, { timeout: DELIVERED_MS, every: 500 });
  const missing = wanted.filter((path) => !rows.has(path));
  assert.equal(missing.length, 0, `of ${wanted.length} accepted ${missing.length} are missing: ${missing.slice(0, 5).join(' ')}`);
  await waitFor(async () => (await Promise.all((await stack.containers('ingress')).map((id) => stack.metric(id, 'records_in_flight')))).every((n) => n === 0),
    'nothing is under way any more', { timeout: BACK_MS, every: 300 });
  const twice = [...await stack.stored(site)].filter(([, times]) => times !== 1);
  assert.deepEqual(twice, [], 'counted more than once');
  assert.deepEqual([...place.statuses].filter((status) => status >= 300 && status !== 503), [], 'what the browser was told');
}

test('containers killed at random, those of PostgreSQL among them, lose and double nothing', async () => {
  const random = new Random(SEED), kills = {};
  note(`SEED=${SEED}`);
  await underLoad('/killed/', async () => {
    for (let ms = 0; ms < STORM_MS;) {
      const pause = random.between(...PAUSE_MS), service = random.pick(VICTIMS), nth = random.next();
      await sleep(pause);
      ms += pause;
      const containers = await stack.containers(service);
      if (await stack.kill(containers[Math.floor(nth * containers.length)])) kills[service] = (kills[service] ?? 0) + 1;
    }
    await wellAgain({ 'db-app': 1, 'db-metrics': 1, ingress: 2, worker: 3, query: 2, console: 1, door: 1 });
  });
  note(`killed: ${Object.entries(kills).map(([service, times]) => `${service} ${times}`).join(', ')}`);
  assert.ok(Object.values(kills).reduce((sum, times) => sum + times, 0) >= 10);
});

test('workers become 1 and then 4, ingresses 1, 3 and 2, under load', async () => {
  await underLoad('/scaled/', async () => {
    for (const numbers of [{ worker: 1, ingress: 1 }, { worker: 4, ingress: 3 }, { ingress: 2 }]) {
      await stack.scale(numbers);
      await wellAgain(numbers);
    }
  });
});

test('what an ingress leaves that goes while no worker runs is delivered by another', async () => {
  await stack.scale({ ingress: 3, worker: 0 });
  await wellAgain({ ingress: 3 });
  await underLoad('/orphaned/', async () => {
    const ingresses = await stack.containers('ingress'); // in no order that tells which of them will go
    const taken = () => Promise.all(ingresses.map((id) => stack.metric(id, 'events_accepted_total')));
    const before = await taken();
    await waitFor(async () => (await taken()).every((n, i) => n > before[i] + 100), 'each ingress has taken events');
    await stack.scale({ ingress: 2 });
    assert.equal((await stack.stored(site)).has(visitors.accepted[0]), false);
    await stack.scale({ worker: 3 });
    await wellAgain({ ingress: 2, worker: 3 });
  });
});

test('a restart of both PostgreSQL costs nobody an event', async () => {
  await underLoad('/restarted/', async () => {
    await stack.compose(['restart', 'db-app', 'db-metrics']);
    await wellAgain({ 'db-app': 1, 'db-metrics': 1, worker: 3, console: 1 });
  });
  assert.deepEqual([visitors.refused, visitors.open], [[], []]);
});
