// How many events an address may send, and a site takes, without a key: what is more is answered 429 and kept
// nowhere. The rates are the least, so that a slow machine changes nothing: a test floods until it is refused.
import assert from 'node:assert/strict';
import http from 'node:http';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { Connection } from '../parts/connection.js';
import { BIN, HTTP_PORT } from '../parts/parts.js';
import { proveDelivered, startParts } from '../parts/proof.js';
import { until } from '../parts/until.js';
import { batch, isTaken, pageView, post } from '../parts/visitors.js';
import { run } from './harness.js';

const DOMAINS = ['address', 'network', 'goatcounter', 'site', 'beside', 'third', 'keyed', 'proxy'].map((name) => `${name}.example`);
const BURST = 20, MOST = 2000;
const ADDRESS = { FOOTFALL_LIMIT_ADDRESS: '1', FOOTFALL_LIMIT_ADDRESS_BURST: String(BURST), FOOTFALL_LIMIT_SITE: '0' };
const SITE = { FOOTFALL_LIMIT_SITE: '1', FOOTFALL_LIMIT_SITE_BURST: String(BURST), FOOTFALL_LIMIT_ADDRESS: '0' };
let stack, sites, connection;

before(async () => {
  stack = await startParts(DOMAINS);
  sites = Object.fromEntries(stack.sites.map((site) => [site.domain.split('.')[0], site]));
});
afterEach(() => {
  connection?.close();
  return stack?.clear();
});
after(() => stack?.end());

async function start(name, limits) {
  const ingress = stack.ingress(`ingress-${name}`, 10, { FOOTFALL_JOURNAL_DIR: stack.folder(name), ...limits });
  const worker = stack.worker(`worker-${name}`, 20, [ingress.link]);
  await stack.running(ingress, worker);
  connection = new Connection(ingress.http);
  return ingress;
}

const from = (address, site, path, more) => connection.ask(pageView(site, path, more, { 'X-Forwarded-For': address }));
const header = (answer, name) => new RegExp(`\\r\\n${name}: *(.*)`, 'i').exec(answer.head)?.[1];

// Ask until the answer is 429; accepted and refused: the paths. address: of the n-th.
async function flood(site, prefix, address, most = MOST) {
  const sent = { prefix, accepted: [], refused: [] };
  while (!sent.refused.length && sent.accepted.length < most) {
    const path = `${prefix}${sent.accepted.length}`;
    sent.last = await from(address(sent.accepted.length), site, path);
    assert.ok(isTaken(sent.last) || sent.last.status === 429, JSON.stringify(sent.last));
    sent[isTaken(sent.last) ? 'accepted' : 'refused'].push(path);
  }
  return sent;
}

function assertLimited(answer) {
  assert.equal(answer.status, 429, JSON.stringify(answer));
  assert.match(header(answer, 'retry-after'), /^[1-9]\d*$/);
  assert.equal(header(answer, 'x-footfall-dropped'), 'rate');
  assert.equal(header(answer, 'access-control-allow-origin'), '*', 'a script may read it');
  assert.match(header(answer, 'access-control-expose-headers'), /retry-after/);
  assert.match(JSON.parse(answer.body).error, /^too many events at once/);
}

// What the dashboard asks for: sums of the site's refused traffic.
function refusedTraffic(query, site) {
  return new Promise((resolve, reject) => {
    http.get({ host: query.http.host, port: HTTP_PORT, path: `/api/reports/dropped?site=${site.domain}`, headers: { Authorization: `Bearer ${stack.key}` } },
      async (answer) => {
        const chunks = [];
        for await (const chunk of answer) chunks.push(chunk);
        resolve(JSON.parse(Buffer.concat(chunks).toString()));
      }).on('error', reject);
  });
}

test('an address that floods is answered 429 with Retry-After, others are not, and later it is taken again', async () => {
  const ingress = await start('address', ADDRESS), site = sites.address;
  const query = stack.query('query', 30);
  await stack.running(query);
  const sent = await flood(site, '/flood-', () => '203.0.113.1');
  assert.ok(sent.accepted.length >= BURST, 'a burst is taken');
  assertLimited(sent.last);
  let refused = 1;
  for (const [path, body] of [['/api/event', '{}'], ['/api/send', '{}'], ['/api/batch', '{}'], ['/api/batch', '[{}]'], ['/matomo.php', '{}'], ['/matomo.php', '{"requests":[1]}'], ['/matomo.php', 'rec=1'], ['/count', 'x']]) {
    const bad = async () => (await connection.ask(post(path, { 'X-Forwarded-For': '203.0.113.1' }, body))).status === 429;
    assert.ok(await until(bad, { every: 0 }), `also when it cannot be read: ${path} ${body}`);
  }
  for (const address of ['203.0.113.2', '2001:db8::1'])
    assert.ok(isTaken(await from(address, site, `/flood-of-${address}`)), 'others are taken');
  const script = await connection.ask(`GET /js/${site.property_id}.js HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n`);
  assert.equal(script.status, 200, 'the script is served to it all the same');
  const again = async () => {
    const answer = await from('203.0.113.1', site, '/flood-again');
    refused += answer.status === 429;
    return isTaken(answer);
  };
  assert.ok(await until(again), 'it is taken again');
  await proveDelivered(stack, { ...sent, accepted: [...sent.accepted, '/flood-again', '/flood-of-203.0.113.2', '/flood-of-2001:db8::1'] }, [ingress]);
  let report;
  await until(async () => (report = await refusedTraffic(query, site)).total.rate >= refused, { every: 200 });
  assert.deepEqual(report.total, { rate: refused }, 'each 429 is counted');
  assert.ok(report.samples.some((sample) => sample.reason === 'rate' && sample.path.startsWith('/flood-')));
  assert.ok(!JSON.stringify(report).includes('203.0.113'), 'without the address');
});

test("GoatCounter's /count is answered 429 with Retry-After alone, and JSON: its X-Rate-Limit-Limit, -Remaining and -Reset, and its limit of 4 a second, are not ours", async () => {
  const ingress = await start('goatcounter', ADDRESS), site = sites.goatcounter;
  const count = (path) => connection.ask(`GET /${site.property_id}/count?p=${path} HTTP/1.1\r\nHost: test\r\nUser-Agent: Firefox\r\nX-Forwarded-For: 203.0.113.3\r\n\r\n`);
  const sent = { prefix: '/goat-', accepted: [], refused: [] };
  while (!sent.refused.length && sent.accepted.length < MOST) {
    const path = `/goat-${sent.accepted.length}`;
    sent.last = await count(path);
    sent[sent.last.status === 200 ? 'accepted' : 'refused'].push(path);
  }
  assert.ok(sent.accepted.length >= BURST, 'a burst is taken');
  assertLimited(sent.last);
  assert.doesNotMatch(sent.last.head, /\r\n(x-rate-limit|x-goatcounter)/i);
  assert.match(header(sent.last, 'content-type'), /^application\/json/);
  await proveDelivered(stack, sent, [ingress]);
});

test('a network of 64 bits is one address, and another is another', async () => {
  const ingress = await start('network', ADDRESS), site = sites.network;
  const hex = (n) => (n + 1).toString(16);
  const one = await flood(site, '/one-', (n) => `2001:db8::${hex(n)}:${hex(n)}`);
  assertLimited(one.last);
  const many = await flood(site, '/many-', (n) => `2001:db8:0:${hex(n)}::1`, 10 * BURST);
  assert.equal(many.refused.length, 0);
  await proveDelivered(stack, one, [ingress]);
  await proveDelivered(stack, many, [ingress]);
});

test('a site over its limit is answered 429 whoever sends, is left out beside others, and costs them nothing', async () => {
  const ingress = await start('site', SITE), { site, beside, third } = sites;
  const sent = await flood(site, '/site-', (n) => `203.0.113.${n % 250}`);
  assertLimited(sent.last);
  const both = (d, path) => from('203.0.113.1', beside, path, { d });
  // Each takes one of the other site's tokens, and now and then the site has one again.
  let answer, n = 0;
  const accepted = [];
  do {
    answer = await both(`${beside.domain},${site.domain}`, `/beside-first-${n}`);
    accepted.push(`/beside-first-${n}`);
  } while (answer.status === 202 && !answer.dropped && ++n < BURST);
  assert.deepEqual([answer.status, answer.dropped, header(answer, 'x-plausible-dropped')], [202, 'rate', '1']);
  n = 0;
  const refused = [];
  do {
    answer = await from('203.0.113.1', third, `/beside-last-${n}`, { d: `${site.domain},${third.domain}` });
    (answer.status === 429 ? refused : accepted).push(`/beside-last-${n}`);
  } while (answer.status === 202 && ++n < BURST);
  assertLimited(answer);
  const rows = await until(async () => {
    const stored = await stack.stored('/beside-');
    return accepted.every((path) => stored.has(path)) && stored;
  });
  assert.ok(rows && refused.every((path) => !rows.has(path)), 'nothing of what was answered 429 is kept for any of them');
  await proveDelivered(stack, sent, [ingress]);
});

test('calls with a key are free of the limits, and so is a trusted proxy that does not say for whom it asks', async () => {
  const ingress = await start('keyed', { ...ADDRESS, FOOTFALL_LIMIT_SITE: '1', FOOTFALL_LIMIT_SITE_BURST: String(5 * BURST) });
  const paths = Array.from({ length: 10 * BURST }, (_, n) => `/keyed-${n}`);
  for (let n = 0; n < paths.length; n += BURST)
    assert.ok(isTaken(await connection.ask(batch(stack.key, sites.keyed, paths.slice(n, n + BURST), { ip: '203.0.113.1' }))));
  await proveDelivered(stack, { prefix: '/keyed-', accepted: paths }, [ingress]);
  const accepted = paths.slice(0, 4 * BURST).map((_, n) => `/proxy-${n}`);
  for (const path of accepted)
    assert.ok(isTaken(await connection.ask(post('/api/event', {}, JSON.stringify({ n: 'pageview', u: `https://proxy.example${path}` })))));
  await proveDelivered(stack, { prefix: '/proxy-', accepted }, [ingress]);
});

test('a limit that is none is said in one line', async () => {
  for (const [name, value, said] of [
    ['FOOTFALL_LIMIT_ADDRESS', 'many', 'FOOTFALL_LIMIT_ADDRESS is "many", must be 0 to 1000000 (events/s)'],
    ['FOOTFALL_LIMIT_ADDRESS_BURST', '0', 'FOOTFALL_LIMIT_ADDRESS_BURST is "0", must be 1 to 10000000 (events)'],
    ['FOOTFALL_LIMIT_SITE', '-1', 'FOOTFALL_LIMIT_SITE is "-1", must be 0 to 1000000 (events/s)'],
  ]) {
    const { code, stderr } = await run(path.join(BIN, 'ingress'), [], { env: {
      FOOTFALL_APP_DB: 'host=127.0.0.1', FOOTFALL_JOURNAL_DIR: '/nonexistent', FOOTFALL_TRACKER_FILE: 'x', FOOTFALL_SPAM_REFERRERS: 'x', FOOTFALL_BOT_AGENTS: 'x', [name]: value,
    } });
    assert.equal(code, 1);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
    assert.ok(JSON.parse(stderr).msg.includes(said), stderr);
  }
});
