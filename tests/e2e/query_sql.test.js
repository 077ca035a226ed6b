// What the query service counts, against a real database with events put there by hand.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LOOKED_UP_IN } from '../parts/parts.js';
import { Random } from '../parts/random.js';
import { sendStatements } from '../property/apply.js';
import { history, sending } from '../property/histories.js';
import { answerTo, question, textOf } from '../property/reports.js';
import { freePort, startCluster } from './cluster.js';
import { note } from './harness.js';

const QUERY = fileURLToPath(new URL(`../../${process.env.BUILD ?? 'build'}/bin/query`, import.meta.url));
const DEADLINE_MS = 20000;
const LIVE_MAX = 2;
const [KEY, SESSION] = ['a-key-of-the-operator', 'a-session-of-ada'];

let cluster, query;

async function until(question, what) {
  const end = Date.now() + DEADLINE_MS;
  while (Date.now() < end) {
    const answer = await Promise.resolve().then(question).catch(() => false);
    if (answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  return assert.fail(`${what} did not happen in ${DEADLINE_MS / 1000} s`);
}

function call(method, path, { port = query.port, headers, body } = {}) {
  const sent = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const request = http.request({ method, path, port, host: '127.0.0.1', agent: false,
      headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(sent), ...headers } });
    request.on('error', reject).on('response', async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      const json = response.headers['content-type'] === 'application/json' ? JSON.parse(text) : undefined;
      resolve({ status: response.statusCode, headers: response.headers, text, json });
    });
    request.end(sent);
  });
}

async function startQuery(databasePort) {
  const [port, live, admin] = [await freePort(), await freePort(), await freePort()];
  const child = spawn(QUERY, [], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env,
    FOOTFALL_APP_DB: cluster.conninfo('footfall_query', 'footfall_app', databasePort),
    FOOTFALL_METRICS_DB: cluster.conninfo('footfall_query', 'footfall_metrics', databasePort),
    FOOTFALL_QUERY_ADDR: `127.0.0.1:${port}`, FOOTFALL_LIVE_ADDR: `127.0.0.1:${live}`,
    FOOTFALL_ADMIN_ADDR: `127.0.0.1:${admin}`, FOOTFALL_LIVE_MAX: LIVE_MAX, FOOTFALL_HTTP_THREADS: 8, ...LOOKED_UP_IN } });
  const service = { child, port, live, admin, log: '' };
  child.stderr.on('data', (data) => { service.log += data; });
  await until(async () => (await call('GET', '/healthz', { port: admin })).status === 200, 'the start');
  return service;
}

// As lib/secret does, by another implementation.
const hashOf = (token) => execFileSync('b2sum', ['-l', '256'], { input: token }).toString().split(' ')[0];
const literal = (value) => (typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value));
const COLUMNS = ['name', 'host', 'page', 'title', 'referrer', 'source', 'country', 'browser', 'browser_version', 'os', 'os_version', 'device', 'language'];
const LATER_COLUMNS = ['region', 'city', 'locale', 'channel', 'utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content', 'click_id', 'brand', 'model'];
const KINDS = { pageview: 1, custom: 2, engagement: 3 };
let lastId = 0;

// As the worker interns texts, but for the hash.
const idOf = (text) => (text === undefined ? 0n : createHash('sha256').update(text).digest().readBigInt64LE());

// Apply events { at, visitor, kind, interactive, page, source … } of a site as a worker does; at is any
// timestamptz, or an SQL expression in parentheses. Odd visitors are persistent.
function insert(site, events) {
  const array = (type, of) => `array[${events.map(of).join()}]::${type}[]`, nulls = (type) => array(type, () => 'null');
  const texts = [...new Set(events.flatMap((event) => [...COLUMNS, ...LATER_COLUMNS].map((column) => event[column]).filter((text) => text !== undefined)))];
  cluster.sql('footfall_metrics', `select events_apply(${[site, literal(zoneOf(site)), `array[${texts.map(idOf).join()}]::bigint[]`, `array[${texts.map(literal).join()}]::text[]`,
    array('bigint', ({ at }) => `(extract(epoch from ${at.startsWith('(') ? at : `timestamptz ${literal(at)}`}) * 1000000)::bigint`),
    array('bigint', ({ visitor }) => visitor), array('bigint', () => ++lastId), array('smallint', ({ kind = 'pageview' }) => KINDS[kind]), array('boolean', ({ interactive = true }) => interactive),
    ...COLUMNS.map((column) => array('bigint', (event) => idOf(event[column]))),
    array('integer', ({ screen_width }) => screen_width ?? 'null'), ...['integer', 'smallint', 'numeric', 'text', 'text', 'text'].map(nulls),
    ...LATER_COLUMNS.map((column) => array('bigint', (event) => (event[column] === undefined ? 'null' : idOf(event[column])))), array('smallint', ({ bot = 0 }) => bot)].join()})`);
}

const SITES = ['berlin.example Europe/Berlin', 'kolkata.example Asia/Kolkata', 'havana.example America/Havana', 'kiritimati.example Pacific/Kiritimati', 'eve.example UTC', 'words.example UTC', 'order.example UTC', 'hours.example UTC', 'edge.example UTC'];
const siteId = (domain) => SITES.findIndex((site) => site.startsWith(`${domain}.example`)) + 1;
const zoneOf = (id) => SITES[id - 1].split(' ')[1];

before(async () => {
  cluster = await startCluster();
  const memberOf = (site) => (site.startsWith('eve') ? 2 : 1);
  cluster.sql('footfall_app', `
    insert into account (email, password_hash) values ('ada@example.org', 'x'), ('eve@example.org', 'x');
    ${SITES.map((site) => `select site_create('${site.split(' ')[0]}', ${memberOf(site)}, '${site.split(' ')[1]}', 'daily');`).join('\n')}
    insert into login_session (token_hash, account_id, expires_at) values
      ('${hashOf(SESSION)}', 1, now() + interval '1 hour'), ('${hashOf('late')}', 1, now() - interval '1 second');
    insert into api_key (account_id, key_hash, scopes, revoked_at) values
      (null, '${hashOf(KEY)}', '{stats,ingest}', null), (1, '${hashOf('ada')}', '{stats}', null),
      (1, '${hashOf('ingest')}', '{ingest}', null), (1, '${hashOf('revoked')}', '{stats}', now());`);
  query = await startQuery();
  await until(async () => (await call('GET', '/readyz', { port: query.admin })).status === 200, 'readiness');
});

after(async () => {
  if (query?.child.exitCode === null) query.child.kill('SIGKILL');
  await cluster?.stop();
});

const withKey = (key) => ({ Authorization: `Bearer ${key}` });
const withSession = (token) => ({ Cookie: `other=1; footfall_session=${token}` });
const ask = (body, headers = withKey(KEY)) => call('POST', '/api/v2/query', { body, headers });

async function answer(domain, date_range, metrics, more = {}) {
  const { status, json } = await ask({ site_id: `${domain}.example`, metrics, date_range, ...more });
  assert.equal(status, 200, JSON.stringify(json));
  return json;
}

// Rows as [dimension…, metric…].
async function rows(domain, date_range, metrics, dimensions = [], more = {}) {
  const { results } = await answer(domain, date_range, metrics, { dimensions, ...more });
  return results.map((row) => [...row.dimensions, ...row.metrics]);
}

async function refusal(body) {
  const { status, json } = await ask(body);
  assert.equal(status, 400);
  return json.error;
}

const DAY = ['2025-03-10', '2025-03-10'];

test('visits, bounces, durations and sources follow the definitions', async () => {
  insert(siteId('berlin'), [
    // A gap of 30:00 is one visit; its source is the first page view's; engagement lengthens it.
    { visitor: 1, at: '2025-03-10 10:00:00+01', page: '/a', source: 'google', referrer: 'google.com/search' },
    { visitor: 1, at: '2025-03-10 10:30:00+01', page: '/b', source: 'berlin.example' },
    { visitor: 1, at: '2025-03-10 10:40:00+01', page: '/b', kind: 'engagement' },
    // A gap of 30:01 is two.
    { visitor: 2, at: '2025-03-10 11:00:00+01', page: '/a' },
    { visitor: 2, at: '2025-03-10 11:30:01+01', page: '/b', source: 'bing' },
    // An earlier custom event gives way to the page view; an interactive one ends the bounce.
    { visitor: 3, at: '2025-03-10 12:00:00+01', page: '/c', kind: 'custom', name: 'signup', source: 'other' },
    { visitor: 3, at: '2025-03-10 12:05:00+01', page: '/a', source: 'duckduckgo' },
    // One that is not interactive does not.
    { visitor: 4, at: '2025-03-10 13:00:00+01', page: '/a' },
    { visitor: 4, at: '2025-03-10 13:01:00+01', page: '/a', kind: 'custom', name: 'seen', interactive: false },
    // Engagement alone is neither visit nor visitor; a custom event alone is both.
    { visitor: 5, at: '2025-03-10 14:00:00+01', page: '/a', kind: 'engagement' },
    { visitor: 6, at: '2025-03-10 15:00:00+01', page: '/c', kind: 'custom', name: 'signup', source: 'mail' },
  ]);
  assert.deepEqual(await rows('berlin', DAY, ['visitors', 'visits', 'pageviews', 'events']), [[5, 6, 6, 9]]);
  assert.deepEqual(await rows('berlin', DAY, ['views_per_visit', 'bounce_rate', 'visit_duration']), [[1, 50, 460]]);
  assert.deepEqual(await rows('berlin', DAY, ['visits', 'visitors', 'pageviews', 'bounce_rate'], ['visit:source']), [
    ['Direct / None', 2, 2, 2, 100], ['bing', 1, 1, 1, 100], ['duckduckgo', 1, 1, 1, 0], ['google', 1, 1, 2, 0], ['mail', 1, 1, 0, 0]]);
  assert.deepEqual(await rows('berlin', DAY, ['visits'], ['visit:referrer']), [['Direct / None', 5], ['google.com/search', 1]]);
});

test('entry and exit pages are those of the first and last page view', async () => {
  assert.deepEqual(await rows('berlin', DAY, ['visits'], ['visit:entry_page']), [['/a', 4], ['(not set)', 1], ['/b', 1]]);
  assert.deepEqual(await rows('berlin', DAY, ['visits'], ['visit:exit_page']), [['/a', 3], ['/b', 2], ['(not set)', 1]]);
  assert.deepEqual(await rows('berlin', DAY, ['visits', 'visitors'], ['visit:entry_page', 'visit:exit_page'], { order_by: [['visit:entry_page', 'desc'], ['visit:exit_page', 'desc']] }),
    [['/b', '/b', 1, 1], ['/a', '/b', 1, 1], ['/a', '/a', 3, 3], ['(not set)', '(not set)', 1, 1]]);
});

test('a page has the visits that saw it and the bounces of those that entered by it', async () => {
  assert.deepEqual(await rows('berlin', DAY, ['visitors', 'visits', 'pageviews', 'events', 'bounce_rate', 'visit_duration', 'views_per_visit'], ['event:page']), [
    ['/a', 4, 4, 4, 5, 50, 690, 1.25], ['/b', 2, 2, 2, 2, 100, 0, 1], ['/c', 2, 2, 0, 2, 0, null, 0]]);
});

test('events have names, a page view being one', async () => {
  assert.deepEqual(await rows('berlin', DAY, ['events', 'visitors', 'visits', 'percentage'], ['event:name']), [
    ['pageview', 6, 4, 5, 80], ['signup', 2, 2, 2, 40], ['seen', 1, 1, 1, 20]]);
});

test('by hour, a visit counts wherever it was active, its bounce where it began', async () => {
  insert(siteId('hours'), [
    { visitor: 1, at: '2025-03-10 10:50:00Z', page: '/a', source: 'google' },
    { visitor: 1, at: '2025-03-10 11:10:00Z', page: '/b' },
    { visitor: 1, at: '2025-03-10 11:35:00Z', page: '/c' },
    { visitor: 2, at: '2025-03-10 11:50:00Z', page: '/a' },
  ]);
  assert.deepEqual(await rows('hours', DAY, ['visits', 'visitors', 'pageviews', 'bounce_rate'], ['time:hour']),
    [['2025-03-10 10:00:00', 1, 1, 1, 0], ['2025-03-10 11:00:00', 2, 2, 3, 100]]);
  assert.deepEqual(await rows('hours', DAY, ['visits'], ['time:day']), [['2025-03-10', 2]]);
  assert.deepEqual(await rows('hours', DAY, ['visits'], ['time:hour', 'visit:source'], { order_by: [['time:hour', 'asc'], ['visit:source', 'asc']] }),
    [['2025-03-10 10:00:00', 'google', 1], ['2025-03-10 11:00:00', 'Direct / None', 1], ['2025-03-10 11:00:00', 'google', 1]]);
  assert.deepEqual(await rows('hours', ['2025-03-10T11:00:00Z', '2025-03-10T11:59:59Z'], ['visitors', 'visits', 'pageviews']), [[2, 1, 3]], 'a visit belongs to its first event');
});

test('a visit over the edge of a range is cut and measured whole', async () => {
  insert(siteId('edge'), [
    { visitor: 1, at: '2025-03-10 23:50:00Z', page: '/a', source: 'google' }, // a persistent visitor
    { visitor: 1, at: '2025-03-11 00:10:00Z', page: '/b', source: 'bing' },
  ]);
  const metrics = ['visitors', 'visits', 'pageviews', 'bounce_rate', 'visit_duration', 'views_per_visit'];
  assert.deepEqual(await rows('edge', DAY, metrics), [[1, 1, 1, 0, 1200, 1]]);
  assert.deepEqual(await rows('edge', ['2025-03-11', '2025-03-11'], metrics), [[1, 0, 1, 0, null, 0]]);
  assert.deepEqual(await rows('edge', ['2025-03-11', '2025-03-11'], ['visitors'], ['visit:source']), [['google', 1]]);
});

test('a day of 25 hours counts all of them, each hour that the clock shows once', async () => {
  const start = Date.parse('2025-10-25T22:00:00Z');
  insert(siteId('berlin'), Array.from({ length: 25 }, (_, hour) => ({ visitor: 100 + hour, page: '/a', at: new Date(start + hour * 3600000 + 1800000).toISOString() })));
  insert(siteId('berlin'), [{ visitor: 199, page: '/a', at: '2025-10-25 21:59:59Z' }, { visitor: 198, page: '/a', at: '2025-10-26 23:00:00Z' }]);
  const day = ['2025-10-26', '2025-10-26'];
  const { results, meta, query: echo } = await answer('berlin', day, ['pageviews', 'visits'], { dimensions: ['time'], include: { time_labels: true } });
  assert.deepEqual(echo.date_range, ['2025-10-26T00:00:00+02:00', '2025-10-26T23:59:59+01:00']);
  assert.deepEqual(echo.dimensions, ['time:hour']);
  assert.equal(meta.time_labels.length, 24);
  assert.deepEqual(results.map((row) => row.dimensions[0]), meta.time_labels);
  assert.deepEqual(results.filter((row) => row.metrics[0] !== 1), [{ dimensions: ['2025-10-26 02:00:00'], metrics: [2, 2] }]);
  assert.deepEqual(await rows('berlin', day, ['pageviews', 'visitors', 'visits']), [[25, 25, 25]]);
  assert.deepEqual(await rows('berlin', ['2025-10-25', '2025-10-27'], ['pageviews'], ['time:day']), [['2025-10-25', 1], ['2025-10-26', 25], ['2025-10-27', 1]]);
});

test('a day of 23 hours lacks the one that the clock skips', async () => {
  const start = Date.parse('2025-03-29T23:00:00Z');
  insert(siteId('berlin'), Array.from({ length: 23 }, (_, hour) => ({ visitor: 200 + hour, page: '/a', at: new Date(start + hour * 3600000).toISOString() })));
  insert(siteId('berlin'), [{ visitor: 299, page: '/a', at: '2025-03-29 22:59:59Z' }, { visitor: 298, page: '/a', at: '2025-03-30 22:00:00Z' }]);
  const { results, meta, query: echo } = await answer('berlin', ['2025-03-30', '2025-03-30'], ['pageviews'], { dimensions: ['time:hour'], include: { time_labels: true } });
  assert.deepEqual(echo.date_range, ['2025-03-30T00:00:00+01:00', '2025-03-30T23:59:59+02:00']);
  assert.equal(meta.time_labels.length, 23);
  assert.ok(!meta.time_labels.includes('2025-03-30 02:00:00'));
  assert.deepEqual(results.map((row) => row.dimensions[0]), meta.time_labels);
});

test('a zone of half hours has its own midnights and hours', async () => {
  insert(siteId('kolkata'), [
    { visitor: 1, at: '2025-05-01 18:29:59Z', page: '/' }, { visitor: 2, at: '2025-05-01 18:30:00Z', page: '/' }, { visitor: 3, at: '2025-05-01 19:29:59Z', page: '/' }]);
  assert.deepEqual(await rows('kolkata', ['2025-05-01', '2025-05-02'], ['visitors'], ['time:day']), [['2025-05-01', 1], ['2025-05-02', 2]]);
  assert.deepEqual(await rows('kolkata', ['2025-05-02', '2025-05-02'], ['visitors'], ['time:hour']), [['2025-05-02 00:00:00', 2]]);
});

test('a day whose midnight comes twice begins at the first', async () => {
  insert(siteId('havana'), [{ visitor: 1, at: '2025-11-02 03:59:59Z', page: '/' }, { visitor: 2, at: '2025-11-02 04:30:00Z', page: '/' }, { visitor: 3, at: '2025-11-02 05:30:00Z', page: '/' }]);
  const { results, query: echo } = await answer('havana', ['2025-11-02', '2025-11-02'], ['visitors'], { dimensions: ['time:day'] });
  assert.deepEqual(echo.date_range, ['2025-11-02T00:00:00-04:00', '2025-11-02T23:59:59-05:00']);
  assert.deepEqual(results, [{ dimensions: ['2025-11-02'], metrics: [2] }]);
});

test('relative ranges end as the peers\' do, in the site\'s zone', async () => {
  const zone = 'Pacific/Kiritimati';
  const daysAgo = (days) => `(local_midnight('${zone}', (now() at time zone '${zone}')::date - ${days}))`;
  insert(siteId('kiritimati'), [0, 1, 7, 8, 40].map((days) => ({ visitor: days + 1, page: `/${days}`, at: daysAgo(days) })));
  const pages = async (range) => (await rows('kiritimati', range, ['visitors'], ['event:page'])).map(([page]) => page);
  assert.deepEqual(await pages('day'), ['/0']);
  assert.deepEqual(await pages('7d'), ['/1', '/7']);
  assert.deepEqual(await pages('8d'), ['/1', '/7', '/8']);
  assert.deepEqual(await pages('all'), ['/0', '/1', '/40', '/7', '/8']);
  const local = cluster.sql('footfall_metrics', `select (now() at time zone '${zone}')::date, date_trunc('month', now() at time zone '${zone}')::date, (date_trunc('month', now() at time zone '${zone}') - interval '6 months')::date, (date_trunc('month', now() at time zone '${zone}'))::date - 1, date_trunc('year', now() at time zone '${zone}')::date`).trim().split('|');
  const echo = async (range, include) => (await answer('kiritimati', range, ['visitors'], { include })).query.date_range.map((text) => text.slice(0, 10));
  assert.deepEqual(await echo('6mo'), [local[2], local[3]]);
  assert.deepEqual((await echo('year'))[0], local[4]);
  assert.match((await echo('year'))[1], /-12-31$/);
  assert.deepEqual(await echo('month', { trim_relative_date_range: true }), [local[1], local[0]]);
  const [from, to] = (await answer('kiritimati', '24h', ['visitors'])).query.date_range;
  assert.equal(Date.parse(to) - Date.parse(from), 24 * 3600 * 1000);
  assert.match(to, /\+14:00$/);
});

test('a new zone holds when the site was counted anew, and until then nothing of that is read', async () => {
  const day = ['2025-05-02', '2025-05-02'], look = async () => (await answer('kolkata', day, ['visitors', 'visits', 'pageviews'], { dimensions: ['visit:os_version'] }));
  const before = await look();
  cluster.sql('footfall_app', "update site set zone = 'Asia/Tokyo' where domain = 'kolkata.example'");
  cluster.sql('footfall_metrics', `select rebuild_begin(${siteId('kolkata')}, 'Asia/Tokyo')`);
  insert(siteId('kolkata'), [{ visitor: 4, at: '2025-05-01 15:30:00Z', page: '/' }]); // is of the day there; is counted for both
  assert.deepEqual(await look(), before);
  cluster.sql('footfall_metrics', `select rebuild_finish(${siteId('kolkata')}, (select next_build from site where site_id = ${siteId('kolkata')}))`);
  const { results, query: echo } = await look();
  assert.deepEqual([results, echo.date_range[0]], [[{ dimensions: ['(not set)'], metrics: [1, 1, 1] }], '2025-05-02T00:00:00+09:00'], 'the rebuild had no other event');
});

test('weeks begin on Monday, the first with the range, and months with their first day', async () => {
  const { results, meta } = await answer('berlin', ['2025-03-05', '2025-03-31'], ['pageviews'], { dimensions: ['time:week'], include: { time_labels: true } });
  assert.deepEqual(meta.time_labels, ['2025-03-05', '2025-03-10', '2025-03-17', '2025-03-24', '2025-03-31']);
  assert.deepEqual(results.map((row) => row.dimensions[0]), ['2025-03-10', '2025-03-24', '2025-03-31']);
  const months = await answer('berlin', ['2025-02-10', '2025-04-02'], ['pageviews'], { dimensions: ['time:month'], include: { time_labels: true } });
  assert.deepEqual(months.meta.time_labels, ['2025-02-01', '2025-03-01', '2025-04-01']);
  assert.deepEqual(months.results, [{ dimensions: ['2025-03-01'], metrics: [31] }]);
});

const WORDS = { 'event:page': ['page', '/p'], 'event:hostname': ['host', 'words.example'], 'visit:source': ['source', 'Google'], 'visit:referrer': ['referrer', 'google.com/x'],
  'visit:country': ['country', 'DE'], 'visit:country_name': ['country', 'DE', 'Germany'], 'visit:browser': ['browser', 'Firefox'], 'visit:browser_version': ['browser_version', '130'], 'visit:os': ['os', 'Linux'],
  'visit:os_version': ['os_version', '6.1'], 'visit:device': ['device', 'desktop'], 'visit:entry_page': ['page', '/p'], 'visit:exit_page': ['page', '/p'],
  'visit:channel': ['channel', 'Organic Search'], 'visit:region': ['region', 'CH-ZH Zurich', 'CH-ZH'], 'visit:region_name': ['region', 'CH-ZH Zurich', 'Zurich'],
  'visit:city': ['city', '2657896 Zürich', '2657896'], 'visit:city_name': ['city', '2657896 Zürich', 'Zürich'], 'visit:screen': ['screen_width', 393, 'phone'],
  'visit:language': ['language', 'de'], 'visit:locale': ['locale', 'de-CH'], 'visit:brand': ['brand', 'Fairphone'], 'visit:model': ['model', 'FP 5'],
  ...Object.fromEntries(['source', 'medium', 'campaign', 'term', 'content'].map((part) => [`visit:utm_${part}`, [`utm_${part}`, `a ${part}`]])) };
const UNKNOWN = { 'visit:source': 'Direct / None', 'visit:referrer': 'Direct / None', 'visit:channel': 'Direct' };

test('every dimension shows its value, and what is unknown by name', async () => {
  const known = Object.fromEntries(Object.values(WORDS).map(([column, value]) => [column, value]));
  insert(siteId('words'), [{ visitor: 1, at: '2025-03-10 10:00:00Z', ...known }, { visitor: 2, at: '2025-03-10 10:00:00Z' }, { visitor: 3, at: '2025-03-10 10:00:00Z' }]);
  for (const [dimension, [, stored, value = stored]] of Object.entries(WORDS)) {
    const unknown = UNKNOWN[dimension] ?? '(not set)';
    const without = (n) => (dimension === 'event:page' ? [] : [[unknown, ...n]]); // every event has a page
    for (const metrics of [['visitors'], ['visits'], ['visitors', 'pageviews', 'events', 'visits']]) {
      const counts = (n) => metrics.map(() => n);
      assert.deepEqual(await rows('words', DAY, metrics, [dimension]), [...without(counts(2)), [value, ...counts(1)]], `${dimension} ${metrics}`);
    }
  }
});

test('places have an id and a name, either stands in for the other, and values that are shown alike are one', async () => {
  const at = (visitor, place) => ({ visitor, at: '2025-03-12 10:00:00Z', ...place });
  insert(siteId('words'), [
    at(1, { region: 'CH-ZH Zurich', city: '2657896 Zürich', channel: 'Direct' }), at(2, { region: 'CH-ZH Zürich', city: '2657896 Zürich' }), at(3, { region: ' New York', city: ' New York' }),
    at(4, { region: 'US-NY ', city: '5128581 New York', channel: 'Email' })]);
  const by = (...dimensions) => rows('words', ['2025-03-12', '2025-03-12'], ['visitors', 'bounce_rate'], dimensions);
  assert.deepEqual(await by('visit:region'), [['CH-ZH', 2, 100], ['New York', 1, 100], ['US-NY', 1, 100]]);
  assert.deepEqual(await by('visit:region_name'), [['New York', 1, 100], ['US-NY', 1, 100], ['Zurich', 1, 100], ['Zürich', 1, 100]]);
  assert.deepEqual(await by('visit:city'), [['2657896', 2, 100], ['5128581', 1, 100], ['New York', 1, 100]]);
  assert.deepEqual(await by('visit:city_name'), [['New York', 2, 100], ['Zürich', 2, 100]]);
  assert.deepEqual(await by('visit:city', 'visit:city_name'), [['2657896', 'Zürich', 2, 100], ['5128581', 'New York', 1, 100], ['New York', 'New York', 1, 100]]);
  assert.deepEqual(await by('visit:channel'), [['Direct', 3, 100], ['Email', 1, 100]], 'what came before channels was direct, too');
  assert.deepEqual(await by('visit:channel', 'visit:city'), [['Direct', '2657896', 2, 100], ['Direct', 'New York', 1, 100], ['Email', '5128581', 1, 100]]);
  assert.deepEqual((await answer('words', ['2025-03-12', '2025-03-12'], ['visitors'], { dimensions: ['visit:city_name'], include: { total_rows: true }, pagination: { limit: 1 } })).meta.total_rows, 2);
});

test('a screen is of a class by its width', async () => {
  const widths = [320, 575, 576, 991, 992, 1439, 1440, 1440, 1440, 5000, 0];
  insert(siteId('words'), widths.map((screen_width, visitor) => ({ visitor, screen_width, at: '2025-03-13 10:00:00Z' })));
  assert.deepEqual(await rows('words', ['2025-03-13', '2025-03-13'], ['visitors'], ['visit:screen']), [['desktop', 4], ['laptop', 2], ['phone', 2], ['tablet', 2], ['(not set)', 1]]);
});

test('a bot\'s visit is in no report, unless bots are asked for', async () => {
  const day = '2025-03-14', range = [day, day], bots = { include: { bots: true } };
  insert(siteId('words'), [
    { visitor: 2, at: `${day} 10:00:00Z`, page: '/a', source: 'google' },
    { visitor: 4, at: `${day} 10:00:00Z`, page: '/a', source: 'google', bot: 1 },
    { visitor: 4, at: `${day} 10:10:00Z`, page: '/b' }, // goes with its landing
    { visitor: 6, at: `${day} 11:00:00Z`, page: '/a' },
    { visitor: 6, at: `${day} 11:10:00Z`, page: '/b', bot: 4 }, // likewise
    { visitor: 6, at: `${day} 15:00:00Z`, page: '/b', bot: 4 }, // a visit of its own
    // One that is known for longer, and goes on over midnight.
    { visitor: 7, at: '2025-03-13 23:50:00Z', page: '/a', bot: 1 }, { visitor: 7, at: `${day} 00:10:00Z`, page: '/c' },
  ]);
  const metrics = ['visitors', 'visits', 'pageviews', 'events'];
  for (const [what, more] of Object.entries({ rollups: {}, visits: { dimensions: ['visit:os_version'] }, events: { dimensions: ['event:hostname'] } })) {
    const unknown = more.dimensions ? ['(not set)'] : [];
    assert.deepEqual(await rows('words', range, metrics, more.dimensions), [[...unknown, 2, 2, 3, 3]], what);
    assert.deepEqual(await rows('words', range, metrics, more.dimensions, bots), [[...unknown, 4, 4, 7, 7]], what);
  }
  assert.deepEqual(await rows('words', range, metrics, ['event:page']), [['/a', 2, 2, 2, 2], ['/b', 1, 1, 1, 1]]);
  assert.deepEqual(await rows('words', range, metrics, ['event:page'], bots), [['/a', 3, 3, 3, 3], ['/b', 2, 3, 3, 3], ['/c', 1, 0, 1, 1]]);
  assert.deepEqual(await rows('words', range, metrics, ['time:hour']), [[`${day} 10:00:00`, 1, 1, 1, 1], [`${day} 11:00:00`, 1, 1, 2, 2]]);
  assert.deepEqual(await rows('words', range, ['visitors', 'percentage'], ['visit:source']), [['Direct / None', 1, 50], ['google', 1, 50]]);
  assert.deepEqual(await rows('words', range, ['visitors', 'percentage'], ['visit:source'], bots), [['Direct / None', 2, 50], ['google', 2, 50]]);
  const { query: echo } = await answer('words', range, ['visitors'], bots);
  assert.deepEqual(echo.include, { bots: true });
});

test('countries are ordered by their names, and a code that has none is its own', async () => {
  insert(siteId('order'), ['CH', 'AT', 'XK', 'QQ', 'GB'].map((country, visitor) => ({ visitor: 700 + visitor, at: '2025-03-20 10:00:00Z', country })));
  const names = ['Austria', 'Kosovo', 'QQ', 'Switzerland', 'United Kingdom'];
  const by = (order) => rows('order', ['2025-03-20', '2025-03-20'], ['visitors'], ['visit:country', 'visit:country_name'], { order_by: order });
  assert.deepEqual(await by([['visit:country_name', 'asc']]), names.map((name) => [{ Austria: 'AT', Kosovo: 'XK', QQ: 'QQ', Switzerland: 'CH', 'United Kingdom': 'GB' }[name], name, 1]));
});

test('rows are ordered, cut and counted', async () => {
  insert(siteId('order'), [3, 1, 2, 2, 1].flatMap((views, page) => Array.from({ length: views }, (_, view) => ({ visitor: page * 10 + view, at: '2025-03-10 10:00:00Z', page: `/${'ecbda'[page]}` }))));
  const pages = async (more) => (await rows('order', DAY, ['visitors'], ['event:page'], more)).map((row) => row.join(' '));
  assert.deepEqual(await pages(), ['/e 3', '/b 2', '/d 2', '/a 1', '/c 1']);
  assert.deepEqual(await pages({ order_by: [['visitors', 'asc'], ['event:page', 'desc']] }), ['/c 1', '/a 1', '/d 2', '/b 2', '/e 3']);
  assert.deepEqual(await pages({ order_by: [['event:page', 'asc']], pagination: { limit: 2 } }), ['/a 1', '/b 2']);
  assert.deepEqual(await pages({ pagination: { limit: 2, offset: 1 } }), ['/b 2', '/d 2']);
  assert.deepEqual(await pages({ pagination: { limit: 2, offset: 4 } }), ['/c 1']);
  const total = async (offset) => (await answer('order', DAY, ['visitors'], { dimensions: ['event:page'], include: { total_rows: true }, pagination: { limit: 2, offset } }));
  assert.equal((await total(0)).meta.total_rows, 5);
  assert.deepEqual((await total(9)).results, []);
  assert.equal((await total(9)).meta.total_rows, 5);
});

test('nothing counted is a row of zeros without dimensions, and none with', async () => {
  const empty = ['2024-01-01', '2024-01-01'];
  assert.deepEqual(await rows('order', empty, ['visitors', 'visits', 'pageviews', 'events', 'views_per_visit', 'bounce_rate', 'visit_duration']), [[0, 0, 0, 0, 0, 0, null]]);
  assert.deepEqual(await rows('order', empty, ['visitors', 'percentage'], ['event:page']), []);
});

test('the answer repeats the query as it was understood', async () => {
  const { query: echo, meta } = await answer('order', DAY, ['visitors', 'pageviews'], { dimensions: ['time', 'event:page'], include: { imports: true, total_rows: false } });
  assert.deepEqual(echo, { site_id: 'order.example', metrics: ['visitors', 'pageviews'], date_range: ['2025-03-10T00:00:00+00:00', '2025-03-10T23:59:59+00:00'], filters: [],
    dimensions: ['time:hour', 'event:page'], order_by: [['time:hour', 'asc'], ['visitors', 'desc']], include: { imports: true }, pagination: { limit: 10000, offset: 0 } });
  assert.deepEqual(meta, { imports_included: false, imports_skip_reason: 'no_imported_data' });
});

test('texts with quotes, backslashes and signs beyond ASCII come back as they were', async () => {
  const page = '/"q"\\\u2028/ü/\u{1f600}/';
  insert(siteId('order'), [{ visitor: 900, at: '2025-04-01 10:00:00Z', page }]);
  assert.deepEqual(await rows('order', ['2025-04-01', '2025-04-01'], ['visitors'], ['event:page']), [[page, 1]]);
});

test('an answer of 10,000 rows comes whole to a client that closes', async () => {
  insert(siteId('order'), Array.from({ length: 10001 }, (_, n) => ({ visitor: 2 * n, at: '2025-03-20 12:00:00Z', page: `/${'x'.repeat(100)}${n}` })));
  const { results, meta } = await answer('order', ['2025-03-20', '2025-03-20'], ['visitors'], { dimensions: ['event:page'], include: { total_rows: true } });
  assert.deepEqual([results.length, meta.total_rows], [10000, 10001]);
});

const HISTORIES = 30, QUESTIONS = 12;
// Its clocks once went back over midnight: a date of it is no span of time, as ranges are.
const NO_SPANS = 'America/St_Johns';
const SKIPPED = '2011-12-30'; // by Apia: no range begins there

test('whatever is asked of whatever happened, the numbers are those of its events', async () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9)), asked = { rows: 0, questions: 0 };
  for (let one = seed; one < seed + HISTORIES; one++) {
    const past = history(one), { zone, events } = past, domain = `history-${one}.example`;
    if (zone === NO_SPANS) continue;
    const site = Number(cluster.sql('footfall_app', `select id from site_create('${domain}', 1, '${zone}', 'daily')`));
    const texts = new Set(events.flatMap((event) => Object.values(event).filter((value) => typeof value === 'bigint' && value)));
    cluster.sql('footfall_metrics', `insert into string select ${site}, id, format('${textOf('%1$s')}', id) from unnest('{${[...texts].join()}}'::bigint[]) id;
      ${sendStatements(site, zone, sending(past, 1))}`);
    const random = new Random(one);
    for (let n = 0; n < QUESTIONS; n++) {
      const body = question(random, past);
      if (body.date_range[0] === SKIPPED) continue;
      const { status, json } = await ask({ site_id: domain, ...body });
      assert.equal(status, 200, JSON.stringify(json));
      const is = json.results.map((row) => [...row.dimensions, ...row.metrics.map((value) => value ?? '')].join('|')).sort();
      assert.deepEqual(is, answerTo(body, past), `SEED=${one}, question ${n}: ${JSON.stringify(body)}`);
      asked.questions++;
      asked.rows += is.length;
    }
  }
  note(`${asked.questions} questions from SEED=${seed}, ${asked.rows} rows`);
});

test('what is wrong with a query is said in a sentence', async () => {
  const fine = { site_id: 'order.example', metrics: ['visitors'], date_range: '7d' };
  assert.equal(await refusal({ ...fine, limit: 5 }), 'the key "limit" is not known');
  assert.equal(await refusal({ ...fine, filters: [['is', 'event:page', ['/']]] }), 'filters are not supported yet');
  assert.equal(await refusal({ ...fine, dimensions: ['event:goal'] }), 'the dimension "event:goal" is not supported yet');
  assert.equal(await refusal({ ...fine, date_range: ['2025-03-10T12:00:00+01:00', '2025-03-10T10:00:00Z'] }), 'date_range ends before it begins');
  assert.match(await refusal({ ...fine, date_range: ['1990-01-01', '2020-01-01'], dimensions: ['time:hour'], include: { time_labels: true } }), /more than 10000 intervals/);
  assert.match(await refusal('{'), /^the body is not JSON/);
  assert.equal((await ask('x'.repeat(65537))).status, 413);
  assert.equal((await call('GET', '/api/v2/query')).status, 405);
});

test('only who may see a site gets its numbers', async () => {
  const body = { site_id: 'order.example', metrics: ['visitors'], date_range: DAY };
  const property = cluster.sql('footfall_app', "select property_id from site where domain = 'order.example'").trim();
  const status = async (headers, more) => (await ask({ ...body, ...more }, headers)).status;
  assert.equal(await status({}), 401);
  assert.equal(await status(withSession('')), 401);
  assert.equal(await status(withSession('unknown')), 401);
  assert.equal(await status(withSession('late')), 401);
  assert.equal(await status(withSession(SESSION)), 200);
  assert.equal(await status(withSession(SESSION), { site_id: property.toUpperCase() }), 200);
  assert.equal(await status(withSession(SESSION), { site_id: 'WWW.Order.example' }), 200);
  for (const key of ['unknown', 'revoked', 'ingest', 'x'.repeat(3000)]) assert.equal(await status(withKey(key)), 401, key);
  assert.equal(await status({ ...withSession(SESSION), ...withKey('revoked') }), 401, 'a bad key is not mended by a good cookie');
  assert.equal(await status(withKey('ada')), 200);
  assert.equal(await status(withKey(KEY), { site_id: 'eve.example' }), 200);
  for (const headers of [withSession(SESSION), withKey('ada')]) {
    const theirs = await ask({ ...body, site_id: 'eve.example' }, headers);
    const nobodys = await ask({ ...body, site_id: 'nobody.example' }, headers);
    assert.deepEqual([theirs.status, theirs.text], [404, nobodys.text]);
    assert.equal(nobodys.status, 404);
  }
});

// Enough of ZeroMQ's wire protocol (ZMTP 3.0) to be a worker's PUB socket.
async function publisher(port) {
  const socket = net.connect(port, '127.0.0.1');
  const greeting = Buffer.alloc(64);
  greeting.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, ...Buffer.from('NULL')]);
  const property = (name, value) => Buffer.concat([Buffer.from([name.length]), Buffer.from(name), Buffer.from([0, 0, 0, value.length]), Buffer.from(value)]);
  const ready = Buffer.concat([Buffer.from('\x05READY'), property('Socket-Type', 'PUB')]);
  let received = Buffer.alloc(0);
  socket.on('error', () => {}).on('data', (data) => { received = Buffer.concat([received, data]); });
  socket.write(greeting);
  await until(() => received.length >= 64, 'the greeting');
  socket.write(Buffer.concat([Buffer.from([4, ready.length]), ready]));
  await until(() => received.includes('READY'), 'the handshake');
  return { say: (text) => socket.write(Buffer.concat([Buffer.from([0, text.length]), Buffer.from(text)])), close: () => socket.destroy() };
}

async function openStream(name, headers = withSession(SESSION)) {
  const request = http.get({ host: '127.0.0.1', port: query.port, path: `/api/live/${name}`, agent: false, headers });
  const [response] = await once(request, 'response');
  const stream = { status: response.statusCode, headers: response.headers, text: '', ended: false, close: () => request.destroy() };
  request.on('error', () => {});
  response.on('data', (data) => { stream.text += data; }).on('error', () => {}).on('close', () => { stream.ended = true; });
  return stream;
}

const property = (domain) => cluster.sql('footfall_app', `select property_id from site where domain = '${domain}.example'`).trim();

test('a live stream tells of its own site, and there are no more than allowed', async () => {
  const worker = await publisher(query.live);
  const mine = await openStream(property('order'));
  const other = await openStream(property('hours'));
  assert.equal(mine.status, 200);
  assert.equal(mine.headers['content-type'], 'text/event-stream');
  await until(() => { worker.say(`${siteId('order')} 3`); return /^data: \{"events":\d+\}\n\n/.test(mine.text); }, 'the word');
  assert.equal(other.text, '');
  const third = await openStream(property('order'));
  assert.deepEqual([third.status, third.headers['retry-after']], [503, '30']);
  assert.equal((await rows('order', DAY, ['visitors'])).length, 1, 'reports go on');
  assert.equal((await openStream(property('eve'))).status, 404);
  assert.equal((await openStream('nonsense')).status, 404);
  assert.equal((await openStream(property('order'), {})).status, 401);
  mine.close();
  other.close();
  // That a client is gone is noticed by words that cannot be sent.
  await until(async () => {
    worker.say(`${siteId('order')} 1`);
    worker.say(`${siteId('hours')} 1`);
    return (await call('GET', '/metrics', { port: query.admin })).text.includes('footfall_live_streams 0\n');
  }, 'the end of streams whose clients are gone');
  worker.close();
});

test('it starts without a database, says so, and finds one that comes back', async () => {
  const lonely = await startQuery(await freePort());
  assert.equal((await call('GET', '/readyz', { port: lonely.admin })).status, 503);
  const refused = await call('POST', '/api/v2/query', { port: lonely.port, headers: withKey(KEY), body: { site_id: 'order.example', metrics: ['visitors'], date_range: '7d' } });
  assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '5']);
  lonely.child.kill('SIGTERM');
  assert.deepEqual(await once(lonely.child, 'exit'), [0, null]);
  cluster.restart();
  assert.deepEqual(await rows('order', DAY, ['visitors']), [[9]], 'idle connections that died are replaced');
});

test('metrics count the queries, and memory stays small', async () => {
  const { text } = await call('GET', '/metrics', { port: query.admin });
  assert.match(text, /footfall_queries_total\{outcome="answered"\} [1-9]/);
  assert.match(text, /footfall_queries_total\{outcome="forbidden"\} [1-9]/);
  assert.match(text, /footfall_live_streams \d/);
  assert.ok(Number(/footfall_memory_resident_bytes (\d+)/.exec(text)[1]) < 30 << 20);
});

test('SIGTERM ends streams at once, and the service with 0', async () => {
  const stream = await openStream(property('order'));
  assert.equal(stream.status, 200);
  query.child.kill('SIGTERM');
  assert.deepEqual(await once(query.child, 'exit'), [0, null]);
  await until(() => stream.ended, 'the end of the stream');
  assert.doesNotMatch(query.log, /"level":"(error|alarm)"/);
});
