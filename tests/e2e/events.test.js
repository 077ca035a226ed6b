// Both ways in for events, at the door of a real stack.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { AGENT, request, startStack, waitFor } from './harness.js';

let stack, site, other, ingest, stats;

before(async () => {
  stack = await startStack({ FOOTFALL_INGRESSES: '2', FOOTFALL_WORKERS: '2' });
  await stack.account();
  site = await stack.site('example.org', 'Europe/Berlin');
  other = await stack.site('other.example');
  ingest = await stack.key('ingest');
  stats = await stack.key('stats');
});
after(() => stack?.remove());

const pageview = (more = {}) => ({ n: 'pageview', u: 'https://example.org/', d: site.property_id, ...more });
const stored = (where) => stack.sql('metrics', `select e.*, p.value from event e join string p on p.site_id = e.site_id and p.id = e.page where ${where}`).length;
const onPage = (page) => `p.value = '${page}'`;

function send(events, { key = ingest, type = 'application/json', raw } = {}) {
  return request(`${stack.url}/api/v1/events`, { method: 'POST', headers: { Authorization: `Bearer ${key}`, 'Content-Type': type }, body: raw ?? JSON.stringify(events) });
}

test('a page view is answered 202 ok and is in the tables, by short and by long keys', async () => {
  const short = await stack.event(pageview({ u: 'https://www.example.org/short/?q=1#top', r: 'https://news.example/a?b=c' }));
  assert.equal(short.status, 202);
  assert.equal(short.text, 'ok');
  assert.equal(short.headers['x-footfall-dropped'], undefined);
  assert.equal(short.headers['access-control-allow-origin'], '*');
  const long = await stack.event({ name: 'pageview', url: 'https://example.org/long', domain: 'www.Example.org', referrer: null, props: '{"a":1}' });
  assert.equal(long.status, 202);
  await waitFor(() => stored(onPage('/short')) === 1 && stored(onPage('/long')) === 1, 'both in the tables');
  assert.equal(stack.sql('metrics', "select count(*) from string where value like '%q=1%' or value like '%b=c%'")[0][0], '0', 'queries are not stored');
});

test('one event goes to each domain of a list, and what is unknown is dropped and said', async () => {
  const answer = await stack.event(pageview({ u: 'https://example.org/list', d: 'example.org, other.example,nosuch.example' }));
  assert.equal(answer.status, 202);
  assert.equal(answer.headers['x-plausible-dropped'], '1');
  assert.equal(answer.headers['x-footfall-dropped'], 'unknown_site');
  await waitFor(() => stored(onPage('/list')) === 2, 'one for each known site');
});

test('wrong input is answered 400 with the field and the reason', async () => {
  const cases = [
    [{ u: 'https://example.org/', d: 'example.org' }, 'event_name'],
    [pageview({ n: 'x'.repeat(121) }), 'event_name'],
    [pageview({ u: undefined }), 'url'],
    [pageview({ u: 'data:text/html,x' }), 'url'],
    [pageview({ u: `https://example.org/${'x'.repeat(2000)}` }), 'url'],
    [pageview({ d: '' }), 'domain'],
    [pageview({ p: { k: 'v'.repeat(2001) } }), 'props'],
    [pageview({ n: 'engagement' }), 'event_name'],
    ['nonsense', 'request'],
    ['[]', 'request'],
  ];
  for (const [body, field] of cases) {
    const answer = await stack.event(body);
    assert.equal(answer.status, 400, JSON.stringify(body));
    assert.equal(typeof answer.json.errors[field]?.[0], 'string', answer.text);
  }
});

test('a body beyond 64 KiB is answered 413 in JSON or by the door', async () => {
  const answer = await stack.event('x'.repeat(70000));
  assert.equal(answer.status, 413);
});

test('a beacon, which is text/plain, is taken as any other body', async () => {
  for (const type of ['text/plain;charset=UTF-8', 'application/json', 'application/x-www-form-urlencoded'])
    assert.equal((await stack.event(pageview({ u: 'https://example.org/beacon' }), { 'Content-Type': type })).status, 202);
  await waitFor(() => stored(onPage('/beacon')) === 3, 'all three');
});

test('a custom event is stored with its name, its properties and its revenue', async () => {
  const answer = await stack.event(pageview({ n: 'Purchase', u: 'https://other.example/shop', d: other.property_id, p: { plan: 'pro', seats: 3 }, $: { currency: 'EUR', amount: '9.90' }, i: false }));
  assert.equal(answer.status, 202);
  await waitFor(() => stored(onPage('/shop')) === 1, 'the event');
  assert.deepEqual(stack.sql('metrics', "select e.kind, n.value, e.props->>'plan', e.props->>'seats', e.revenue, e.currency, e.interactive from event e join string p on p.site_id = e.site_id and p.id = e.page join string n on n.site_id = e.site_id and n.id = e.name where p.value = '/shop'"),
    [['2', 'Purchase', 'pro', '3', '9.900', 'EUR', 'f']]);
});

test('a preflight allows any origin', async () => {
  const answer = await request(`${stack.url}/api/event`, { method: 'OPTIONS', headers: { Origin: 'https://example.org', 'Access-Control-Request-Method': 'POST' } });
  assert.equal(answer.status, 204);
  assert.equal(answer.headers['access-control-allow-origin'], '*');
  assert.equal(answer.headers['access-control-allow-credentials'], undefined);
});

test('the script of a site is served, of any other id it is not', async () => {
  const script = await request(`${stack.url}/js/${site.property_id}.js`);
  assert.match(script.headers['content-type'], /^text\/javascript/);
  assert.ok(script.text.includes(site.property_id));
  assert.equal((await request(`${stack.url}/js/00000000-0000-4000-8000-000000000000.js`)).status, 404);
  assert.equal((await request(`${stack.url}/js/example.org.js`)).status, 404);
});

test('events of a server keep their own time and are answered one by one', async () => {
  const answer = await send([
    { id: 'a', name: 'pageview', url: 'https://example.org/past', domain: 'example.org', timestamp: '2015-03-29T00:59:59.25+01:00', ip: '81.2.69.142', user_agent: AGENT, title: 'Past', language: 'de', screen: '1920x1080', props: { a: 'b' }, metadata: { author: 'Ada' } },
    { id: 'b', name: 'pageview', url: 'nonsense', domain: 'example.org' },
    { id: 'c', name: 'pageview', url: 'https://x.example/', domain: 'nosuch.example' },
    { id: 'd', name: 'pageview', url: 'https://example.org/', domain: 'example.org', timestamp: new Date(Date.now() + 3600e3).toISOString() },
    { id: 'e', name: 'Purchase', url: 'https://example.org/past', property_id: site.property_id, revenue: { currency: 'eur', amount: '12.50' }, interactive: false },
    { id: 'f', name: 'engagement', url: 'https://example.org/past', property_id: site.property_id, engaged_ms: 4000, scroll_depth: 80 },
    17,
  ]);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['x-footfall-dropped'], 'unknown_site, invalid');
  assert.equal(answer.json.accepted, 3);
  assert.deepEqual(answer.json.results.map((result) => [result.index, result.status]), [[1, 'rejected'], [2, 'rejected'], [3, 'rejected'], [6, 'rejected']]);
  await waitFor(() => stored(onPage('/past')) === 3, 'three in the tables');
  assert.deepEqual(stack.sql('metrics', "select e.ts at time zone 'UTC', c.value, e.screen_width, e.props->>'a', e.metadata->>'author' from event e join string c on c.id = e.country and c.site_id = e.site_id where e.ts < '2016-01-01'"),
    [['2015-03-28 23:59:59.25', 'GB', '1920', 'b', 'Ada']]);
  assert.deepEqual(stack.sql('metrics', `select revenue, currency, interactive from event where revenue is not null and site_id = ${site.site_id}`), [['12.500', 'EUR', 'f']]);
  assert.deepEqual(stack.sql('metrics', 'select engaged_ms, scroll_depth from event where kind = 3'), [['4000', '80']]);
});

test('JSON Lines are taken, and a line that is no JSON is rejected alone', async () => {
  const line = (page) => JSON.stringify({ name: 'pageview', url: `https://example.org${page}`, domain: 'example.org' });
  const answer = await send(null, { type: 'application/x-ndjson', raw: `${line('/l1')}\n{oops\n\n${line('/l2')}\n` });
  assert.equal(answer.json.accepted, 2);
  assert.deepEqual(answer.json.results.map((result) => result.index), [1]);
});

test('without a key, with a key for reading, or with a wrong one nothing is taken', async () => {
  for (const key of ['', 'nonsense', stats]) {
    const answer = await send([{ name: 'pageview', url: 'https://example.org/keyless', domain: 'example.org' }], { key });
    assert.equal(answer.status, 401);
    assert.equal(typeof answer.json.error, 'string');
  }
});

test('1,000 events in a call are taken, one more or a body beyond 2 MiB is refused whole', async () => {
  const many = (length) => Array.from({ length }, () => ({ name: 'pageview', url: 'https://example.org/many', domain: 'example.org' }));
  const beyond = await send(many(1001));
  assert.equal(beyond.status, 400);
  assert.match(beyond.json.error, /1000/);
  const large = await send(null, { raw: `[${JSON.stringify({ ...many(1)[0], title: 'x'.repeat(2 << 20) })}]` });
  assert.equal(large.status, 413);
  assert.equal((await send(many(1000))).json.accepted, 1000);
  await waitFor(() => stored(onPage('/many')) >= 1000, 'the thousand');
  await waitFor(() => stack.sql('metrics', 'select count(*) from applied')[0][0] === '0', 'no record is held above a gap');
  assert.equal(stored(onPage('/many')), 1000);
});

test('a body that is no JSON is answered 400 and the reason', async () => {
  for (const raw of ['', 'nonsense', '17', '[{"name":']) {
    const answer = await send(null, { raw });
    assert.equal(answer.status, 400, raw);
    assert.equal(typeof answer.json.error, 'string', answer.text);
  }
});

test('the same ids sent again, to either ingress, count once', async () => {
  const events = Array.from({ length: 500 }, (_, n) => ({ id: `retry-${n}`, name: 'pageview', url: 'https://example.org/retry', domain: 'example.org', ip: '203.0.113.7', user_agent: AGENT, timestamp: '2026-01-05T12:00:00Z' }));
  for (let n = 0; n < 4; n++) assert.equal((await send(events)).json.accepted, 500);
  await send([{ id: 'last', name: 'pageview', url: 'https://example.org/retry-last', domain: 'example.org' }]);
  await waitFor(() => stored(onPage('/retry-last')) === 1 && stored(onPage('/retry')) >= 500, 'all applied');
  await waitFor(() => stack.sql('metrics', 'select count(*) from applied')[0][0] === '0', 'no record is held above a gap');
  assert.equal(stored(onPage('/retry')), 500);
});

test('an event without an id of its own is another one each time', async () => {
  for (let n = 0; n < 3; n++) await stack.event(pageview({ u: 'https://example.org/plain' }));
  await waitFor(() => stored(onPage('/plain')) === 3, 'three page views');
});

test('a private path segment and the address of a visitor are on no disk in the clear', async () => {
  const address = '198.51.233.77';
  const answer = await stack.event(pageview({ u: 'https://example.org/user/jane.roe@mail.example/x' }), { 'X-Forwarded-For': address });
  assert.equal(answer.status, 202);
  await waitFor(() => stored(onPage('/user/*/x')) === 1, 'the cleaned path');
  const found = (text) => {
    try {
      return execFileSync('grep', ['-rlaF', text, stack.home]).toString();
    } catch (error) {
      assert.equal(error.status, 1, String(error.stderr));
      return '';
    }
  };
  assert.equal(found(address), '', 'the address as text');
  assert.equal(found('jane.roe@mail'), '');
  assert.equal(found(AGENT) !== '', true, 'the search sees what is there: the agent lies in the journal');
  const bytes = Buffer.from(address.split('.').map(Number));
  for (const file of fs.readdirSync(path.join(stack.home, 'journal/0')))
    assert.equal(fs.readFileSync(path.join(stack.home, 'journal/0', file)).includes(bytes), false, 'the address as bytes');
});

test('an address is believed from the door only in the place the door wrote it', async () => {
  await stack.event(pageview({ u: 'https://example.org/spoof' }), { 'X-Forwarded-For': '1.2.3.4, 81.2.69.142' });
  await waitFor(() => stored(onPage('/spoof')) === 1, 'the event');
  assert.deepEqual(stack.sql('metrics', "select c.value from event e join string p on p.id = e.page and p.site_id = e.site_id join string c on c.id = e.country and c.site_id = e.site_id where p.value = '/spoof'"), [['GB']]);
});

test('what a browser says of itself in Client Hints is kept with the event', async () => {
  await stack.event(pageview({ u: 'https://example.org/hints' }), {
    'User-Agent': 'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36',
    'Sec-CH-UA': '"Chromium";v="130", "Brave";v="130", "Not?A_Brand";v="99"', 'Sec-CH-UA-Platform': '"Android"', 'Sec-CH-UA-Platform-Version': '"14.0.0"', 'Sec-CH-UA-Mobile': '?0',
  });
  await waitFor(() => stored(onPage('/hints')) === 1, 'the event');
  const names = ['browser', 'os', 'os_version', 'device'];
  assert.deepEqual(stack.sql('metrics', `select ${names.map((name) => `${name}.value`)} from event e join string p on p.site_id = e.site_id and p.id = e.page ${names.map((name) => `join string ${name} on ${name}.site_id = e.site_id and ${name}.id = e.${name}`).join(' ')} where p.value = '/hints'`),
    [['Brave', 'Android', '14', 'tablet']]);
});
