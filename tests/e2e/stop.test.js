// SIGTERM: a service takes nothing new, answers what is in hand, and ends with 0 in seconds, whoever
// hangs. Nothing that was accepted is lost by it.
import assert from 'node:assert/strict';
import { once as event } from 'node:events';
import net from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { proveDelivered, startParts } from '../parts/proof.js';
import { sleep, until } from '../parts/until.js';
import { batch, isTaken, once, pageView, post } from '../parts/visitors.js';
import { note } from './harness.js';

const SECONDS_MOST = 5; // to an end, from the signal on
const LONG_AGO = '2024-02-29T12:00:00Z'; // the key of that day is asked for

let stack, site, reported;
const took = [];

before(async () => {
  stack = await startParts(['stop.example', 'reports.example']);
  [site, reported] = stack.sites;
});
afterEach(() => stack?.clear());
after(async () => {
  if (took.length) note(`seconds from SIGTERM to the end: ${took.map(([what, seconds]) => `${what} ${seconds.toFixed(2)}`).join(', ')}`);
  await stack?.end();
});

async function endsInOrder(service, what) {
  const how = await service.stop();
  assert.equal(how?.status, 0, `${what}: ${JSON.stringify(how)}`);
  took.push([what, how.seconds]);
  assert.ok(how.seconds < SECONDS_MOST, `${what}: ${how.seconds} s`);
}

const atLeast = (visitors, more) => {
  const wanted = visitors.accepted.length + more;
  return until(() => visitors.accepted.length >= wanted, { every: 5 });
};

// A connection on which this was sent, and no more.
async function halfSent(service, text) {
  const socket = net.connect(service.http).on('error', () => {}).unref();
  await event(socket, 'connect');
  socket.write(text);
}

// Somebody who asks all the time whether it is ready, as a supervisor does.
function supervised(service) {
  (async () => {
    while (service.wanted) {
      await service.ready();
      await sleep(100);
    }
  })();
}

test('an ingress under load ends in order, and all that it accepted is counted', async () => {
  const prefix = '/ingress-', journals = stack.folder('ingress');
  const ingresses = [0, 1].map((i) => stack.ingress(`ingress-${i}`, 10 + i, { FOOTFALL_JOURNAL_DIR: journals }));
  const worker = stack.worker('worker-of-ingress', 20, ingresses.map(({ link }) => link));
  await stack.running(...ingresses, worker);
  const visitors = stack.visitors(ingresses, { connections: 16, site, prefix });
  assert.ok(await atLeast(visitors, 500));
  const text = pageView(site, '/never');
  for (const sent of ['', text.slice(0, 30), text.slice(0, -10)]) await halfSent(ingresses[0], sent);
  await endsInOrder(ingresses[0], 'ingress');
  assert.ok(await atLeast(visitors, 100));
  await worker.stop();
  await endsInOrder(ingresses[1], 'ingress without workers');
  await visitors.stop();
  await stack.running(...ingresses, worker);
  await proveDelivered(stack, visitors, ingresses);
});

test('with FOOTFALL_DRAIN=all an ingress ends when its journal is delivered, however long that takes', async () => {
  const prefix = '/drain-', journals = stack.folder('drain');
  const ingress = stack.ingress('ingress-drain', 10, { FOOTFALL_JOURNAL_DIR: journals, FOOTFALL_DRAIN: 'all' });
  await stack.running(ingress);
  const visitors = stack.visitors([ingress], { site, prefix });
  assert.ok(await atLeast(visitors, 500));
  const ended = ingress.stop();
  assert.ok(await until(async () => typeof await once(ingress.http, pageView(site, '/never')) === 'string'), 'it takes nothing new');
  await visitors.stop();
  assert.equal(await Promise.race([ended, sleep(SECONDS_MOST * 1000)]), undefined, 'it waits for longer than any other end takes');
  await stack.running(stack.worker('worker-drain', 20, [ingress.link]));
  assert.equal((await ended)?.status, 0);
  const rows = await stack.stored(prefix);
  assert.deepEqual(visitors.accepted.filter((path) => rows.get(path) !== 1), [], 'all is in the tables, once, when it has ended');
});

test('workers under load end in order one after the other, and nothing is lost', async () => {
  const prefix = '/worker-';
  const ingress = stack.ingress('ingress-of-workers', 10, { FOOTFALL_JOURNAL_DIR: stack.folder('worker') });
  const workers = [0, 1, 2].map((i) => stack.worker(`worker-${i}`, 20 + i, [ingress.link]));
  await stack.running(ingress, workers[0], workers[1]);
  const visitors = stack.visitors([ingress], { connections: 16, site, prefix });
  for (const worker of workers.slice(0, 2)) {
    assert.ok(await atLeast(visitors, 500));
    await endsInOrder(worker, 'worker');
  }
  await stack.running(workers[2]);
  await visitors.stop();
  assert.deepEqual(visitors.open, []);
  await proveDelivered(stack, visitors, [ingress]);
});

const report = () => post('/api/v2/query', { Authorization: `Bearer ${stack.key}`, 'Content-Type': 'application/json' },
  JSON.stringify({ site_id: reported.domain, metrics: ['visitors', 'visits', 'pageviews'], date_range: 'day', dimensions: ['event:page'] }));
const login = (path) => post('/api/login', { 'Content-Type': 'application/json' }, JSON.stringify({ email: `${path.slice(1)}@example.org`, password: 'wrong' }));

test('a query service under load, with live streams open, ends in order', async () => {
  const query = stack.query('query', 30);
  await stack.running(query);
  const streams = Array.from({ length: 3 }, () => net.connect(query.http).on('error', () => {}));
  for (const stream of streams) {
    stream.write(`GET /api/live/${reported.domain} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer ${stack.key}\r\n\r\n`);
    assert.match(String((await event(stream, 'data'))[0]), /^HTTP\/1\.1 200 /);
  }
  const readers = stack.visitors([query], { prefix: '', request: report });
  assert.ok(await atLeast(readers, 50));
  await endsInOrder(query, 'query');
  await readers.stop();
  assert.deepEqual(readers.refused, [], 'who was in hand got an answer');
  for (const stream of streams) assert.ok(await until(() => stream.destroyed), 'the streams are over');
});

test('a console under load ends in order', async () => {
  const service = stack.console('console', 31);
  await stack.running(service);
  const people = stack.visitors([service], { prefix: '/', request: login });
  assert.ok(await until(() => people.latest?.status === 401), 'logins are looked at');
  await endsInOrder(service, 'console');
  await people.stop();
  assert.deepEqual(people.refused, [], 'who was in hand got an answer');
});

// --- who hangs -------------------------------------------------------------------------------------

// Each is asked to end while it waits for a database that says nothing: in the middle of a statement that
// holds this text, or, without one, of connecting.
async function workerHangs(what, database, text, n) {
  const prefix = `/worker-${n}-`;
  const ingress = stack.ingress(`ingress-of-hanging-${n}`, n, { FOOTFALL_JOURNAL_DIR: stack.folder(`hanging-${n}`) });
  const pipe = await stack.pipe(n + 1);
  const worker = stack.worker(`worker-hanging-${n}`, n + 2, [ingress.link],
    { [`FOOTFALL_${database.toUpperCase()}_DB`]: stack.conninfo('worker', database, pipe) });
  await stack.running(ingress);
  if (!text) pipe.set('stall');
  const stalled = text ? pipe.stallAt([text]) : until(() => pipe.pairs.size);
  worker.start();
  supervised(worker);
  const accepted = Array.from({ length: 20 }, (_, i) => `${prefix}${i}`);
  assert.ok(isTaken(await once(ingress.http, batch(stack.key, site, accepted))));
  await stalled;
  await endsInOrder(worker, `worker ${what}`);
  pipe.set('whole');
  await stack.running(worker);
  await proveDelivered(stack, { prefix, accepted }, [ingress]);
}

test('a worker whose database hangs ends in order', () => Promise.all([
  workerHangs('in a statement', 'metrics', 'records_claim', 100),
  workerHangs('at its commit', 'metrics', 'commit', 110),
  workerHangs('connecting', 'metrics', undefined, 120),
  workerHangs('looking up a site', 'app', 'select domain', 130),
  workerHangs('connecting for that', 'app', undefined, 140),
]));

async function ingressHangs(what, texts, n) {
  const prefix = `/ingress-${n}-`, journals = stack.folder(`hanging-${n}`);
  const pipe = await stack.pipe(n + 1);
  const ingress = stack.ingress(`ingress-hanging-${n}`, n, { FOOTFALL_JOURNAL_DIR: journals, FOOTFALL_APP_DB: stack.conninfo('ingress', 'app', pipe) });
  await stack.running(ingress);
  if (!texts) { // it starts from the snapshot on disk
    await ingress.stop();
    pipe.set('stall');
    await stack.running(ingress);
  }
  supervised(ingress);
  const stalled = texts ? pipe.stallAt(texts) : until(() => pipe.pairs.size);
  const visitors = stack.visitors([ingress], { site, prefix, rate: 200 });
  const importers = stack.visitors([ingress], { prefix: '/import', connections: 6, request: (path) => batch(stack.key, site, [path], { timestamp: LONG_AGO }) });
  await stalled;
  assert.ok(await atLeast(visitors, 100), 'events are accepted still');
  await endsInOrder(ingress, `ingress ${what}`);
  await Promise.all([visitors.stop(), importers.stop()]);
  pipe.set('whole');
  await stack.running(ingress, stack.worker(`worker-of-hanging-${n}`, n + 2, [ingress.link]));
  await proveDelivered(stack, visitors, [ingress]);
}

test('an ingress whose database hangs ends in order, and what it accepted is counted', () => Promise.all([
  ingressHangs('taking a snapshot', ['json_build_object'], 150),
  ingressHangs('asking for a day', ['local_day'], 160),
  ingressHangs('connecting', undefined, 170),
]));

async function readerHangs(name, database, request, text, n) {
  const what = `${name} ${text ? 'in a statement' : 'connecting'} to ${database}`;
  const pipe = await stack.pipe(n + 1);
  const service = stack[name](`${name}-hanging-${n}`, n, { [`FOOTFALL_${database.toUpperCase()}_DB`]: stack.conninfo(name, database, pipe) });
  if (!text) pipe.set('stall');
  const stalled = text ? pipe.stallAt([text]) : until(() => pipe.pairs.size);
  service.start();
  supervised(service);
  const people = stack.visitors([service], { prefix: '/', request });
  await stalled;
  await endsInOrder(service, what);
  people.stop();
}

test('a query service or a console whose database hangs ends in order', () => Promise.all([
  readerHangs('query', 'metrics', report, 'select', 180),
  readerHangs('query', 'metrics', report, undefined, 190),
  readerHangs('query', 'app', report, 'select', 200),
  readerHangs('query', 'app', report, undefined, 210),
  readerHangs('console', 'app', login, 'select', 220),
  readerHangs('console', 'app', login, undefined, 230),
]));
