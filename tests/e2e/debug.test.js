// What an owner can look up: which address was believed, what became of the last requests, and what was refused.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LOOKED_UP_IN } from '../parts/parts.js';
import { freePort } from './cluster.js';
import { AGENT, DATA, request, startStack, waitFor } from './harness.js';

const QUERY = fileURLToPath(new URL(`../../${process.env.BUILD ?? 'build'}/bin/query`, import.meta.url));
const GB = '81.2.69.142';
const databases = path.join(DATA, 'geoip');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'footfall-debug-'));
const database = path.join(folder, 'places.mmdb'); // changes in a test

let stack, site, owner, viewer, stranger, stats;
const cookies = {};

async function login(email) {
  await stack.account(email);
  const answer = await request(`${stack.url}/api/login`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ email, password: 'correct horse battery' }) });
  assert.equal(answer.status, 204, answer.text);
  return { Cookie: answer.headers['set-cookie'][0].split(';')[0] };
}
const get = (path, headers = owner) => request(`${stack.url}${path}`, { headers });

before(async () => {
  fs.chmodSync(folder, 0o755);
  fs.copyFileSync(path.join(databases, 'GeoIP2-City-Test.mmdb'), database);
  stack = await startStack({ FOOTFALL_INGRESSES: '2', FOOTFALL_GEOIP_DB: database });
  owner = await login('owner@example.org');
  viewer = await login('viewer@example.org');
  stranger = await login('stranger@example.org');
  site = await stack.site('example.org');
  stats = { Authorization: `Bearer ${await stack.key('stats')}` };
  stack.sql('app', `insert into site_member select ${site.site_id}, id, 'viewer' from account where email = 'viewer@example.org'`);
  stack.sql('app', `select from site_rule_add(${site.site_id}, 'ip', '192.0.2.0/24'); select from site_rule_add(${site.site_id}, 'country', 'GB')`);
  // Until both ingresses know.
  for (const n of [0, 1])
    await waitFor(async () => (await direct(n, { address: '192.0.2.7' })).headers['x-footfall-dropped'] === 'ip', `ingress ${n} knows the rules`);
});
after(async () => {
  await stack?.remove();
  fs.rmSync(folder, { recursive: true });
});

// An event by one of the ingresses, as the door hands it on.
function direct(n, { address = '203.0.113.9', path = '/', body = {} } = {}) {
  return request(`http://127.0.0.1:${stack.port + 10 + n}/api/event`, { method: 'POST', headers: { 'User-Agent': AGENT, Origin: 'https://example.org', 'X-Forwarded-For': address },
    body: JSON.stringify({ n: 'pageview', u: `https://example.org${path}`, d: site.property_id, ...body }) });
}

const rights = [
  ['/api/debug/request', [200, 403, 403, 401, 401]],
  ['/api/debug/recent?site=example.org', [200, 403, 404, 401, 401]],
  ['/api/reports/dropped?site=example.org', [200, 200, 404, 200, 401]],
];
for (const [path, statuses] of rights) {
  test(`${path} is for an owner, a viewer, a stranger, a key and nobody: ${statuses}`, async () => {
    const got = [];
    for (const who of [owner, viewer, stranger, stats, {}]) got.push((await get(path, who)).status);
    assert.deepEqual(got, statuses);
  });
}

test('the debug page of a request says which address is believed, who told it, and who is trusted', async () => {
  const answer = await get('/api/debug/request', { ...owner, 'X-Forwarded-For': `198.51.100.1, ${GB}`, 'User-Agent': AGENT, DNT: '1', 'CF-Connecting-IP': '198.51.100.2' });
  assert.equal(answer.headers['cache-control'], 'no-store');
  const told = answer.json;
  assert.equal(told.address, GB);
  assert.equal(told.from, 'X-Forwarded-For');
  assert.deepEqual(told.trusted_proxies, ['127.0.0.0/8', '::1/128']);
  assert.equal(told.way.at(-1).address, GB);
  assert.equal(told.way.at(-1).trusted, false);
  assert.deepEqual(told.way[0], { address: '127.0.0.1', from: 'peer', trusted: true });
  assert.equal(told.headers['User-Agent'], AGENT);
  assert.equal(told.headers['CF-Connecting-IP'], '198.51.100.2', 'shown, not believed');
  assert.equal(told.derived.opts_out, true);
});

const derived = async (headers, params = {}) => (await get(`/api/debug/request?${new URLSearchParams(params)}`, { ...owner, ...headers })).json.derived;

test('what is derived of the request is told as it would be of a page view', async () => {
  const got = await derived({
    'User-Agent': 'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36',
    'Sec-CH-UA': '"Chromium";v="130", "Google Chrome";v="130", "Not?A_Brand";v="99"', 'Sec-CH-UA-Platform': '"Android"', 'Sec-CH-UA-Platform-Version': '"14.0.0"', 'Sec-CH-UA-Model': '"Pixel 8"', 'Sec-CH-UA-Mobile': '?1',
    'Accept-Language': 'fr;q=0.5, de-at', 'X-Forwarded-For': GB, 'Sec-GPC': '1',
  }, { url: 'https://www.example.org/a?utm_source=fb&utm_medium=cpc', referrer: 'https://user@news.example/x?y', screen_width: 1280 });
  assert.deepEqual(got, {
    opts_out: true, language: 'de', locale: 'de-AT', screen: 'laptop',
    browser: 'Chrome', browser_version: '130', os: 'Android', os_version: '14', device: 'mobile', brand: 'Google', model: 'Pixel 8',
    country: 'GB', region: 'GB-ENG', region_name: 'England', city: 2643743, city_name: 'London', place_from: { country: 'database', region: 'database', city: 'database' },
    source: 'Facebook', channel: 'Paid Social', referrer: 'news.example/x', bot: [],
  });
});

test('what nothing is known of is null', async () => {
  const got = await derived({ 'User-Agent': '' });
  for (const name of ['language', 'locale', 'screen', 'browser', 'browser_version', 'os', 'device', 'brand', 'model', 'country', 'region', 'city', 'source', 'referrer'])
    assert.equal(got[name], null, name);
  assert.deepEqual(got.place_from, { country: null, region: null, city: null });
  assert.equal(got.channel, 'Direct');
});

test('a CDN counts more than the database, which adds what it knows where both agree', async () => {
  const agreed = await derived({ 'X-Forwarded-For': GB, 'CF-IPCountry': 'GB', 'CF-Region-Code': 'ENG' });
  assert.deepEqual([agreed.country, agreed.region, agreed.city_name], ['GB', 'GB-ENG', 'London']);
  assert.deepEqual(agreed.place_from, { country: 'Cloudflare', region: 'Cloudflare', city: 'database' });
  const other = await derived({ 'X-Forwarded-For': GB, 'x-vercel-ip-country': 'BR', 'x-vercel-ip-city': 'S%C3%A3o%20Paulo' });
  assert.deepEqual([other.country, other.region, other.city, other.city_name], ['BR', null, null, 'São Paulo']);
  assert.deepEqual(other.place_from, { country: 'Vercel', region: null, city: 'Vercel' });
});

test('why it would be marked as a bot is said', async () => {
  const crawler = await derived({ 'User-Agent': 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)' });
  assert.deepEqual([crawler.bot, crawler.device], [['bot'], 'bot']);
  const both = await derived({ 'User-Agent': 'curl/8.5.0' }, { referrer: 'https://www.semalt.com/' });
  assert.deepEqual(both.bot, ['spam_referrer', 'bot']);
  for (const header of [{ 'Sec-Purpose': 'prefetch;prerender' }, { Purpose: 'prefetch' }, { 'X-Moz': 'prefetch' }])
    assert.deepEqual((await derived({ ...header, 'User-Agent': 'curl/8.5.0' })).bot, ['prefetch', 'bot']);
});

test('a referrer is the one given, else that of the request, and no source when it is the page\'s own host', async () => {
  assert.deepEqual(await derived({ Referer: 'https://news.ycombinator.com/item?id=1' }).then((got) => [got.source, got.channel]), ['Hacker News', 'Organic Social']);
  assert.equal((await derived({ Referer: 'https://news.ycombinator.com/' }, { referrer: '' })).source, null);
  assert.equal((await derived({ Referer: 'https://example.org/a' }, { url: 'https://www.example.org/' })).source, null);
  assert.equal((await derived({ Referer: `${stack.url}/` })).source, null);
});

test('a parameter that is wrong is refused with its name', async () => {
  for (const [name, value] of [['url', '/a'], ['url', `https://example.org/${'x'.repeat(2000)}`], ['referrer', 'data:text/plain,x'], ['screen_width', '0'], ['screen_width', '12px'], ['screen_width', '123456789']]) {
    const answer = await get(`/api/debug/request?${new URLSearchParams({ [name]: value })}`);
    assert.equal(answer.status, 400, value.slice(0, 40));
    assert.match(answer.json.error, new RegExp(`^${name} `));
  }
});

test('many questions at once are each answered for their own request', async () => {
  const agents = [AGENT, 'curl/8.5.0'];
  const asked = await Promise.all(Array.from({ length: 40 }, (_, i) => derived({ 'User-Agent': agents[i % 2] })));
  assert.deepEqual(asked.map((one) => one.bot.length), asked.map((_, i) => i % 2));
});

test('a database that has changed is read again', async () => {
  assert.equal((await derived({ 'X-Forwarded-For': GB })).city_name, 'London');
  fs.copyFileSync(path.join(databases, 'GeoIP2-Country-Test.mmdb'), `${database}.new`);
  fs.renameSync(`${database}.new`, database);
  await waitFor(async () => {
    const got = await derived({ 'X-Forwarded-For': GB });
    return got.country === 'GB' && got.city_name === null;
  }, 'the country alone');
});

test('without a proxy it is the peer, whatever else is said', async () => {
  const peer = execFileSync('hostname', ['-I']).toString().split(' ').find((one) => /^\d+\./.test(one));
  const told = (await request(`http://127.0.0.1:${stack.port + 40}/api/debug/request`, { headers: owner })).json;
  assert.deepEqual([told.address, told.from], ['127.0.0.1', 'peer']);
  assert.ok(peer === undefined || told.way.length === 1);
});

test('the last requests of all ingresses are told with what became of each, without an address', async () => {
  await direct(0, { path: '/stored', body: { n: 'Signup' } });
  await direct(1, { path: '/refused', address: '192.0.2.9' });
  await direct(0, { path: '/wrong', body: { n: 'x'.repeat(121) } });
  const asked = async () => (await get('/api/debug/recent?site=www.Example.org')).json;
  const find = (told, path) => told.requests.find((one) => one.path === path);
  const told = await waitFor(async () => {
    const now = await asked();
    return find(now, '/stored')?.outcome === 'stored' && now;
  }, 'the tables have what was accepted');
  assert.deepEqual(told.ingresses, { asked: 2, answered: 2 });
  assert.equal(told.tables_asked, true);
  assert.equal(find(told, '/refused'), undefined, 'not what a refused address did');
  assert.deepEqual({ ...told.requests.find((one) => one.reason === 'ip'), time: undefined }, { time: undefined, way: '/api/event', kind: 'pageview', outcome: 'dropped', reason: 'ip', host: 'example.org', origin: 'https://example.org' });
  assert.equal(find(told, '/stored').name, 'Signup');
  assert.equal(told.requests.find((one) => one.reason === 'invalid').outcome, 'dropped');
  assert.match(told.requests[0].time, /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const times = told.requests.map((one) => one.time);
  assert.deepEqual(times, [...times].sort().reverse(), 'the latest first');
  assert.ok(!JSON.stringify(told).includes(GB) && !JSON.stringify(told).includes('192.0.2'));
});

test('of what a worker refused the samples are known: one a second', async () => {
  const far = await waitFor(async () => {
    await direct(1, { path: '/far', address: GB });
    return (await get('/api/debug/recent?site=example.org')).json.requests.find((one) => one.reason === 'country');
  }, 'one that a worker refused', { every: 200 });
  assert.deepEqual([far.path, far.outcome], ['/far', 'dropped']);
});

test('fifty of them at most; an ingress that is away is said', async () => {
  for (let i = 0; i < 60; i++) await direct(i % 2, { path: `/many/${i}` });
  const told = (await get(`/api/debug/recent?site=${site.property_id}`)).json;
  assert.equal(told.requests.length, 50);
  assert.equal(told.requests[0].path, '/many/59');
  const pid = stack.pids().find((one) => one.name === 'ingress-1').pid;
  process.kill(pid, 'SIGSTOP');
  const without = (await get('/api/debug/recent?site=example.org')).json;
  process.kill(pid, 'SIGCONT');
  assert.deepEqual(without.ingresses, { asked: 2, answered: 1 });
  assert.ok(without.requests.length > 25);
});

// A query service that asks two ingresses: one that is away, and a test's, which tells what `told` is, once `may` is resolved.
async function withIngress(told, use, may = Promise.resolve()) {
  const ingress = http.createServer(async (_, answer) => {
    ingress.asked++;
    await may;
    answer.end(JSON.stringify(told));
  });
  ingress.asked = 0;
  ingress.listen(0, '127.0.0.1');
  await once(ingress, 'listening');
  const [port, live, admin] = [await freePort(), await freePort(), await freePort()];
  const database = (name) => fs.readFileSync(path.join(stack.home, 'secrets', `query.${name}`), 'utf8').trim();
  const service = spawn(QUERY, [], { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, ...LOOKED_UP_IN,
    FOOTFALL_APP_DB: database('app'), FOOTFALL_METRICS_DB: database('metrics'), FOOTFALL_QUERY_ADDR: `127.0.0.1:${port}`, FOOTFALL_LIVE_ADDR: `127.0.0.1:${live}`,
    FOOTFALL_ADMIN_ADDR: `127.0.0.1:${admin}`, FOOTFALL_INGRESS_ADMINS: `127.0.0.1:1,127.0.0.1:${ingress.address().port}`, FOOTFALL_HTTP_THREADS: 8 } });
  const ended = once(service, 'exit');
  try {
    await waitFor(async () => (await request(`http://127.0.0.1:${admin}/readyz`)).status === 200, 'the query service');
    await use(() => request(`http://127.0.0.1:${port}/api/debug/recent?site=example.org`, { headers: owner }), ingress);
  } finally {
    service.kill('SIGTERM');
    await ended;
    ingress.closeAllConnections();
    ingress.close();
  }
}

test('what is in the tables is stored, whatever a sample says; what is not there after a minute was refused, or is late', async () => {
  await direct(0, { path: '/twice', body: { n: 'Twice' } });
  const find = () => stack.sql('metrics', `select e.visitor, e.id from event e join string s on s.id = e.name where e.site_id = ${site.site_id} and s.value = 'Twice'`)[0];
  const [visitor, id] = await waitFor(find, 'the event');
  stack.sql('metrics', `insert into dropped_sample select ${site.site_id}, timestamptz '2020-01-01' + n * interval '1 s', 'country', '', '', '', '', '', id
    from unnest(array[${id}, 4711]) with ordinality as g(id, n)`);
  const one = (name, seconds, more) => ({ way: '/api/event', kind: 'custom', name, time_us: (Date.now() - seconds * 1000) * 1000, ...more });
  const told = [one('stored', 90, { visitor, id }), one('sampled', 91, { visitor: '1', id: '4711' }), one('late', 92, { visitor: '1', id: '4712' }),
    one('fresh', 0, { visitor: '1', id: '4713' }), one('refused', 93, { reason: 'ip' })];
  await withIngress(told, async (recent) => {
    const { ingresses, requests } = (await recent()).json;
    assert.deepEqual(ingresses, { asked: 2, answered: 1 });
    const got = Object.fromEntries(requests.map((it) => [it.name, [it.outcome, it.reason]]));
    assert.deepEqual(got, { stored: ['stored', undefined], sampled: ['dropped', 'country'], late: ['refused_or_late', undefined],
      fresh: ['accepted', undefined], refused: ['dropped', 'ip'] });
  });
});

test('two ask the ingresses at once, another is told to come again; one that never answers is not waited for', async () => {
  await withIngress([], async (recent, ingress) => {
    const first = [recent(), recent()];
    await waitFor(() => ingress.asked === 2, 'both ask', { every: 10 });
    const third = await recent();
    assert.equal(third.status, 503);
    assert.equal(third.headers['retry-after'], '2');
    for (const answer of await Promise.all(first)) assert.deepEqual([answer.status, answer.json.ingresses], [200, { asked: 2, answered: 0 }]);
    assert.equal((await recent()).status, 200, 'the places are free again');
  }, new Promise(() => {}));
});

test('the door shows neither the admin ports nor what they tell', async () => {
  assert.notEqual((await get('/recent?site=1', {})).status, 200);
  assert.equal((await request(`http://127.0.0.1:${stack.port + 10}/recent?site=1`)).status, 404);
  assert.equal((await request(`http://127.0.0.1:${stack.port + 50}/recent?site=x`)).status, 400);
  assert.equal((await request(`http://127.0.0.1:${stack.port + 50}/nosuch`)).status, 404);
});

test('what was refused is reported by reason and hour, with samples', async () => {
  const before = await waitFor(async () => {
    const told = (await get('/api/reports/dropped?site=example.org')).json;
    return told.total.ip >= 3 && told.total.country >= 1 && told.total.invalid === 1 && told;
  }, 'all sums');
  assert.deepEqual(Object.keys(before), ['total', 'hours', 'samples']);
  const sum = before.hours.filter((one) => one.reason === 'ip').reduce((all, one) => all + one.count, 0);
  assert.equal(sum, before.total.ip);
  assert.match(before.hours[0].hour, /^20\d\d-\d\d-\d\dT\d\d:00:00Z$/);
  const sample = before.samples.find((one) => one.reason === 'ip');
  assert.deepEqual([sample.host, sample.agent, sample.origin], ['example.org', '', 'https://example.org']);
  assert.equal((await get('/api/reports/dropped')).status, 400);
  for (const days of ['0', '91', 'x', '']) assert.equal((await get(`/api/reports/dropped?site=example.org&days=${days}`)).status, days ? 400 : 200, days);
});
