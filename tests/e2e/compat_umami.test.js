// POST /api/send and /api/batch as Umami's clients send them (Umami 3.1: src/tracker/index.js, request-schema.ts),
// with exact answers, and what is in the tables then.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { Umami } from '@umami/node';
import { AGENT, openBrowser, startStack, waitFor } from './harness.js';
import { ask, assertRows, dropped, eventsOf, GB, GOOGLEBOT, KIND, sitesWith, US } from './peers.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const BOOP = { beep: 'boop' };
const FORBIDDEN = { error: { message: 'Forbidden', code: 'forbidden', status: 403 } };
const NOT_FOUND = { error: { message: 'Website not found.', code: 'bad-request', status: 400 } };
const bad = (more) => ({ error: { message: 'Bad request', code: 'bad-request', status: 400, ...more } });
const badField = (field, reason) => bad({ errors: [], properties: { payload: { errors: [], properties: { [field]: { errors: [reason] } } } } });

let stack, sites, stats, browser;
before(async () => {
  stack = await startStack();
  await stack.account();
  stats = await stack.key('stats');
  sites = await sitesWith(stack, {
    rows: {}, times: {}, wrong: {}, ids: {}, node: {}, chromium: {}, batch: {}, retry: {}, marks: {}, counts: {}, persistent: { identity: 'persistent' },
    refuses: { bots: 'refuse' }, ip: { rules: [['ip', GB]] }, origin: { rules: [['origin', 'https://ok.example']] }, required: { origin_required: true },
    dnt: { honour_dnt: true }, path: { rules: [['path', '/admin/*']] }, mixed: { rules: [['path', '/admin/*']] },
  });
});
after(async () => {
  await browser?.close();
  await stack?.remove();
});

// As the tracker does: a JSON body, and the token once it has one.
const send = (site, payload, { type = 'event', cache, headers, ...more } = {}) => ask(stack, '/api/send', {
  headers: { 'Content-Type': 'application/json', ...(cache && { 'x-umami-cache': cache }), ...headers },
  body: { type, payload: { website: site.property_id, ...payload } }, ...more });
const batch = (body, more) => ask(stack, '/api/batch', { headers: { 'Content-Type': 'application/json' }, body, ...more });

function assertTaken(answer) {
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers['x-footfall-dropped'], undefined);
  assert.equal(answer.headers['content-type'], 'application/json');
  assert.equal(answer.headers['access-control-allow-origin'], '*');
  assert.equal(answer.headers['access-control-allow-credentials'], undefined);
  assert.deepEqual(Object.keys(answer.json), ['cache', 'sessionId', 'visitId']);
  assert.match(answer.json.sessionId, UUID);
  assert.match(answer.json.visitId, UUID);
}

function assertAnswer(answer, status, body, reason) {
  assert.equal(answer.status, status, answer.text);
  assert.deepEqual(answer.json, body);
  assert.equal(answer.headers['x-footfall-dropped'], reason);
}

test('OPTIONS of both is answered as Umami does', async () => {
  for (const path of ['/api/send', '/api/batch']) {
    const answer = await ask(stack, path, { method: 'OPTIONS', headers: { Origin: 'https://a.example', 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type,x-umami-cache' } });
    assert.deepEqual([answer.status, answer.text], [204, '']);
    assert.equal(answer.headers['access-control-allow-origin'], '*');
    assert.equal(answer.headers['access-control-allow-headers'], '*');
    assert.equal(answer.headers['access-control-allow-methods'], 'GET, DELETE, POST, PUT');
    assert.equal(answer.headers['access-control-max-age'], '86400');
  }
});

const long = 'x'.repeat(3000);
const rows = [
  ["the tracker's page view", { screen: '1920x1080', language: 'de-AT', title: 'Shoes', hostname: 'www.shop.example', url: 'https://www.shop.example/shoes/?utm_source=news&gclid=abc&q=secret', referrer: 'https://www.google.com/search?q=umami' },
    { kind: KIND.pageview, host: 'shop.example', page: '/shoes', title: 'Shoes', source: 'news', referrer: 'google.com/search', language: 'de', screen_width: 1920, props: null, name: null }],
  ['a path and a hostname', { hostname: 'shop.example', url: '/hats?x=1', referrer: '/shoes' }, { kind: KIND.pageview, host: 'shop.example', page: '/hats', referrer: null, source: null }],
  ['a fragment, which is part of the path as for Umami', { url: 'https://shop.example/app#/users' }, { page: '/app#/users' }],
  ["a hostname that is not the URL's", { hostname: 'named.example', url: 'https://shop.example:8443/named' }, { host: 'named.example', page: '/named' }],
  ["a scheme of an app's", { hostname: 'localhost', url: 'capacitor://localhost/tab' }, { host: 'localhost', page: '/tab' }],
  ['a path without its slash', { hostname: 'shop.example', url: 'about?x=1' }, { page: '/about' }],
  ["no url: the site's /", { title: 'None' }, { kind: KIND.pageview, host: 'rows.example', page: '/', title: 'None' }],
  ['a URL beyond 2,000 bytes, which is cut', { url: `https://shop.example/long?${long}` }, { page: '/long' }],
  ['a named event with data, flattened', { url: '/buy', name: 'Buy', tag: 'B', data: { size: 42, sale: true, blank: '', none: null, when: '2026-03-01T12:00:00Z', list: [1, 'two', { three: 3 }], shoe: { sole: { stuff: 'gum' }, 'a.b': 1.5 } } },
    { kind: KIND.event, name: 'Buy', page: '/buy', props: { size: '42', sale: 'true', when: '2026-03-01T12:00:00Z', list: '[1,"two",{"three":3}]', 'shoe.sole.stuff': 'gum', 'shoe.a.b': '1.5', tag: 'B' } }],
  ['an event whose name is a word of ours', { url: '/', name: 'pageview' }, { kind: KIND.event, name: 'pageview' }],
  ['a tag of a page view, under one of data', { url: '/', tag: 'A', data: { tag: 'mine' } }, { kind: KIND.pageview, props: { tag: 'mine' } }],
  ['a text beyond 2,000 bytes, cut', { url: '/', name: 'Long', data: { text: long } }, { props: { text: long.slice(0, 2000) } }],
  ['revenue', { url: '/', name: 'Paid', data: { revenue: 19.99, currency: 'eur' } }, { kind: KIND.event, revenue: 19.99, currency: 'EUR', props: { revenue: '19.99', currency: 'eur' } }],
  ['revenue as a text', { url: '/', name: 'Paid', data: { revenue: '5', currency: 'USD' } }, { revenue: 5, currency: 'USD' }],
  ['revenue below 0, or without a currency, which is none', { url: '/', name: 'Paid', data: { revenue: -5, currency: 'USD' } }, { kind: KIND.event, revenue: null, currency: null }],
  ['revenue without a currency', { url: '/', name: 'Paid', data: { revenue: 5 } }, { revenue: null, props: { revenue: '5' } }],
  ['identify', { url: '/me#x', data: { plan: 'pro', company: { size: 3 } } }, { kind: KIND.ping, page: '/me#x', props: { plan: 'pro', 'company.size': '3' } }, 'identify'],
  ["identify without a url: the site's /", { data: { plan: 'pro' } }, { kind: KIND.ping, host: 'rows.example', page: '/' }, 'identify'],
  ['performance', { url: '/fast#x', lcp: 2500.5, inp: 60000, cls: 0.01, fcp: 0, ttfb: 12, duration: 7 }, { kind: KIND.vital, page: '/fast', props: { lcp: '2500.5', inp: '60000', cls: '0.01', fcp: '0', ttfb: '12' } }, 'performance'],
  ['what is not known', { url: '/', vid: 'x', engagement: 5, future: { a: 1 } }, { kind: KIND.pageview, page: '/' }],
];

test('each kind of payload is answered with a token, and is in the tables as Umami would have it', async () => {
  for (const [what, payload, , type] of rows) assertTaken(await send(sites.rows, payload, { type }), what);
  assertRows(await eventsOf(stack, sites.rows, rows.length), rows.map(([what, , want]) => [what, want]));
  const text = stack.sql('metrics', `select value from string where site_id = ${sites.rows.site_id}`).join('\n');
  assert.ok(!text.includes('secret') && !text.includes('q=umami'), 'queries are not stored');
});

test('difference: what an anonymous caller may not decide is ignored, where Umami believes it', async () => {
  const before = Date.now() / 1000 - 5;
  assertTaken(await send(sites.times, { url: '/', ip: US, userAgent: 'Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0', timestamp: 1700000000, browser: 'firefox', os: 'Windows', device: 'mobile' }));
  const [row] = await eventsOf(stack, sites.times, 1);
  assert.deepEqual([row.country, row.browser], ['GB', 'Chrome']);
  assert.ok(row.time > before);
});

const wrong = [
  ['no JSON', 'nonsense', bad({ errors: ['is not JSON'] })],
  ['no object', '[]', bad({ errors: ['is not an object'] })],
  ['no payload', { type: 'event' }, bad({ errors: ['payload is not an object'] })],
  ['a type that is none', (website) => ({ type: 'bogus', payload: { website } }), bad({ errors: [], properties: { type: { errors: ['is none of event, identify, performance'] } } })],
  ['no type', (website) => ({ payload: { website } }), bad({ errors: [], properties: { type: { errors: ['is none of event, identify, performance'] } } })],
  ['no website', { type: 'event', payload: { url: '/' } }, badField('website', 'is needed, and neither link nor pixel are known here')],
  ['a pixel besides', (website) => ({ type: 'event', payload: { website, pixel: website } }), badField('website', 'is needed, and neither link nor pixel are known here')],
  ['a website that is no UUID', { type: 'event', payload: { website: 'wrong.example', url: '/' } }, badField('website', 'is not a UUID')],
  ['a url that is no text', (website) => ({ type: 'event', payload: { website, url: 5 } }), badField('url', 'is not a text')],
  ['a url of a scheme that is none of pages', (website) => ({ type: 'event', payload: { website, url: 'data:text/html,x' } }), badField('url', 'is not an http or https URL')],
  ['a hostname that is none', (website) => ({ type: 'event', payload: { website, hostname: 'a/b', url: '/' } }), badField('url', 'has no valid host')],
  ['a name of ours', (website) => ({ type: 'event', payload: { website, name: 'footfall:x' } }), badField('name', 'is none that begins with footfall:')],
  ['a name beyond 120 characters', (website) => ({ type: 'event', payload: { website, name: 'x'.repeat(121) } }), badField('name', 'has more than 120 characters')],
  ['data that is no object', (website) => ({ type: 'event', payload: { website, data: [1] } }), badField('data', 'is not an object that can be read')],
  ['an id beyond 64 bytes', (website) => ({ type: 'event', payload: { website, id: 'x'.repeat(65) } }), badField('id', 'has more than 64 bytes')],
  ['a vital beyond its bound', (website) => ({ type: 'performance', payload: { website, lcp: 60001 } }), badField('lcp', 'is not a number from 0 to 60000')],
  ['a shift beyond its bound', (website) => ({ type: 'performance', payload: { website, cls: 100.5 } }), badField('cls', 'is not a number from 0 to 100')],
  ['a vital below 0', (website) => ({ type: 'performance', payload: { website, inp: -1 } }), badField('inp', 'is not a number from 0 to 60000')],
  ['a vital that is a text', (website) => ({ type: 'performance', payload: { website, ttfb: '5' } }), badField('ttfb', 'is not a number from 0 to 60000')],
];

test('wrong input is answered 400 in the shape of Umami, and nothing of it is kept', async () => {
  const before = dropped(stack).invalid ?? 0;
  for (const [what, body, want] of wrong) {
    const answer = await ask(stack, '/api/send', { body: typeof body === 'function' ? body(sites.wrong.property_id) : body });
    assert.deepEqual([answer.status, answer.json, answer.headers['x-footfall-dropped']], [400, want, 'invalid'], what);
    assert.equal(answer.headers['access-control-allow-origin'], '*', what);
  }
  const unknown = await send({ property_id: '11111111-1111-4111-8111-111111111111' }, { url: '/' });
  assertAnswer(unknown, 400, NOT_FOUND, 'unknown_site');
  await waitFor(() => (dropped(stack, sites.wrong).invalid ?? 0) + (dropped(stack).invalid ?? 0) - before === wrong.length, 'each is counted');
  assert.equal(stack.events(sites.wrong), 0);
});

test('difference: a body beyond 64 KiB is answered 413, where Umami has no limit', async () => {
  for (const path of ['/api/send', '/api/batch']) {
    const answer = await ask(stack, path, { headers: { 'Content-Length': (64 << 10) + 1 }, ingress: 0 });
    assert.deepEqual([answer.status, answer.headers['x-footfall-dropped']], [413, 'invalid']);
  }
});

const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

test('a visitor keeps its sessionId and visitId, another has others, and neither tells the stored number', async () => {
  const first = (await send(sites.ids, { url: '/1' })).json;
  const again = (await send(sites.ids, { url: '/2' }, { cache: first.cache })).json;
  const other = (await send(sites.ids, { url: '/3' }, { address: US })).json;
  const elsewhere = (await send(sites.marks, { url: '/' })).json;
  assert.equal(again.sessionId, first.sessionId);
  if (claims(again.cache).iat / 3600 >> 0 === claims(first.cache).iat / 3600 >> 0) assert.equal(again.visitId, first.visitId);
  assert.equal(new Set([first.sessionId, first.visitId, other.sessionId, other.visitId, elsewhere.sessionId]).size, 5);
  const visitors = (await eventsOf(stack, sites.ids, 3)).map((row) => row.visitor);
  assert.deepEqual([visitors[0] === visitors[1], visitors[0] === visitors[2]], [true, false]);
  const raw = Buffer.alloc(8);
  raw.writeBigInt64LE(BigInt(visitors[0]));
  for (const id of [first.sessionId, first.visitId]) assert.ok(!id.replaceAll('-', '').includes(raw.toString('hex')) && !id.replaceAll('-', '').includes(raw.reverse().toString('hex')));
});

test('the token has the shape of a JWT, and one that comes back means nothing', async () => {
  const { json: { cache, sessionId, visitId } } = await send(sites.ids, { url: '/4' });
  assert.match(cache, /^eyJ[\w-]+\.eyJ[\w-]+\.$/);
  assert.deepEqual(JSON.parse(Buffer.from(cache.split('.')[0], 'base64url')), { alg: 'none', typ: 'JWT' });
  const { iat, ...rest } = claims(cache);
  assert.deepEqual(rest, { websiteId: sites.ids.property_id, sessionId, visitId });
  assert.ok(Math.abs(iat - Date.now() / 1000) < 60);
  const forged = `eyJhbGciOiJub25lIn0.${Buffer.from(JSON.stringify({ websiteId: sites.wrong.property_id, sessionId: visitId, visitId: sessionId })).toString('base64url')}.`;
  for (const token of [forged, 'x'.repeat(900), '""'])
    assert.deepEqual((await send(sites.ids, { url: '/5' }, { cache: token })).json.sessionId, sessionId);
});

test('where the identity is persistent, id is the visitor, and its sessionId stays at any address', async () => {
  const answers = [];
  for (const [id, address] of [['ada', GB], ['ada', US], ['bob', GB], [undefined, GB]]) answers.push((await send(sites.persistent, { url: '/', id }, { address })).json.sessionId);
  const visitors = (await eventsOf(stack, sites.persistent, 4)).map((row) => row.visitor);
  for (const of of [answers, visitors]) {
    assert.equal(of[0], of[1]);
    assert.equal(new Set(of).size, 3);
  }
});

test('a bot that the site refuses is answered beep boop; one that is only marked gets its token, for it is kept', async () => {
  for (const [more, reason] of [[{ headers: { 'User-Agent': GOOGLEBOT } }, 'bot'], [{ headers: { 'Sec-Purpose': 'prefetch' } }, 'prefetch']]) {
    assertAnswer(await send(sites.refuses, { url: '/' }, more), 200, BOOP, reason);
    assertTaken(await send(sites.marks, { url: `/${reason}` }, more));
  }
  assertAnswer(await send(sites.refuses, { url: '/', referrer: 'https://semalt.com/' }), 200, BOOP, 'spam_referrer');
  const rows = await eventsOf(stack, sites.marks, 3); // one is of another test
  assert.deepEqual(rows.slice(1).map((row) => row.bot > 0), [true, true]);
});

test('an address that a rule refuses is answered 403, as for Umami', async () => {
  assertAnswer(await send(sites.ip, { url: '/' }), 403, FORBIDDEN, 'ip');
  assertTaken(await send(sites.ip, { url: '/' }, { address: US }));
});

test('difference: an origin that the site does not list is answered 403, and not to be read; Umami knows no such rule', async () => {
  const refused = await send(sites.origin, { url: '/' }, { headers: { Origin: 'https://evil.example' } });
  assertAnswer(refused, 403, FORBIDDEN, 'origin');
  assert.equal(refused.headers['access-control-allow-origin'], undefined);
  assertTaken(await send(sites.origin, { url: '/' }, { headers: { Origin: 'https://ok.example' } }));
  assertAnswer(await send(sites.required, { url: '/' }), 403, FORBIDDEN, 'no_origin');
});

test('difference: who opts out, and what a rule of the site refuses, is answered beep boop', async () => {
  assertAnswer(await send(sites.dnt, { url: '/' }, { headers: { DNT: '1' } }), 200, BOOP, 'opt_out');
  assertAnswer(await send(sites.dnt, { url: '/' }, { headers: { 'Sec-GPC': '1' } }), 200, BOOP, 'opt_out');
  assertAnswer(await send(sites.path, { url: '/admin/x' }), 200, BOOP, 'path');
  assertTaken(await send(sites.dnt, { url: '/' }));
});

test('a batch is taken one by one, and says of each that was not why', async () => {
  const event = (site, payload, type = 'event') => ({ type, payload: { website: site.property_id, ...payload } });
  const answer = await batch([event(sites.batch, { url: '/1' }), event(sites.batch, { url: 5 }), event({ property_id: '11111111-1111-4111-8111-111111111111' }, {}),
    event(sites.ip, { url: '/' }), event(sites.mixed, { url: '/admin/x' }), event(sites.batch, { url: '/2', name: 'Two' }), {}]);
  assert.equal(answer.status, 200);
  const { cache, ...rest } = answer.json;
  assert.deepEqual(rest, { size: 7, processed: 3, errors: 4, details: [{ index: 1, response: badField('url', 'is not a text') }, { index: 2, response: NOT_FOUND },
    { index: 3, response: FORBIDDEN }, { index: 6, response: bad({ errors: ['payload is not an object'] }) }] });
  assert.equal(claims(cache).websiteId, sites.batch.property_id);
  assert.equal(answer.headers['x-footfall-dropped'], 'unknown_site, invalid, ip, path');
  assert.deepEqual((await eventsOf(stack, sites.batch, 2)).map((row) => [row.kind, row.page]), [[KIND.pageview, '/1'], [KIND.event, '/2']]);
  assert.deepEqual((await batch([])).json, { size: 0, processed: 0, errors: 0, details: [], cache: null });
});

test('a batch that is no array of objects, or beyond 1,000, is refused whole', async () => {
  const event = { type: 'event', payload: { website: sites.wrong.property_id } };
  for (const [body, reason] of [[event, 'is not a JSON array'], [[event, 5], 'holds something that is not an object'], ['[{}', 'is not a JSON array'], [Array(1001).fill({}), 'has more than 1000 events'], ['[{}] x', 'is not a JSON array alone']])
    assertAnswer(await batch(body), 400, bad({ errors: [reason] }), 'invalid');
  assert.equal(stack.events(sites.wrong), 0);
});

test('a request that is sent again with the same X-Request-Id counts once', async () => {
  const again = { ingress: 0, headers: { 'X-Request-Id': 'umami-1' } };
  for (let i = 0; i < 3; i++) assertTaken(await send(sites.retry, { url: '/again' }, again));
  const two = [1, 2].map((n) => ({ type: 'event', payload: { website: sites.retry.property_id, url: `/b${n}` } }));
  for (let i = 0; i < 3; i++) assert.equal((await batch(two, { ingress: 0, headers: { 'X-Request-Id': 'umami-2' } })).status, 200);
  assertTaken(await send(sites.retry, { url: '/last' }));
  await waitFor(async () => (await eventsOf(stack, sites.retry, 4).catch(() => [])).at(-1)?.page === '/last', 'the last');
});

test('identify and performance count as nothing; identify keeps the visit alive', async () => {
  await send(sites.counts, { url: '/' });
  await send(sites.counts, { url: '/', name: 'Buy' });
  await send(sites.counts, { url: '/', data: { a: 1 } }, { type: 'identify' });
  await send(sites.counts, { url: '/', lcp: 1 }, { type: 'performance' });
  const events = await eventsOf(stack, sites.counts, 4);
  const [{ metrics }] = await stack.query(stats, { site_id: 'counts.example', metrics: ['visitors', 'visits', 'pageviews', 'events'], date_range: 'day' });
  assert.deepEqual(metrics, [1, 1, 1, 2]);
  const ended = Number(stack.sql('metrics', `select extract(epoch from end_ts) from visit where site_id = ${sites.counts.site_id}`)[0][0]);
  assert.ok(Math.abs(ended - events[2].time) < 0.001, 'the visit lasts until identify');
});

test('the unmodified @umami/node sends page views, events and identities', async () => {
  const client = new Umami({ websiteId: sites.node.property_id, hostUrl: stack.url, userAgent: AGENT });
  for (const answer of [await client.track({ url: '/node', title: 'Node', hostname: 'node.example' }), await client.track('Signup', { plan: 'pro' }), await client.identify({ name: 'Ada' })]) {
    assert.equal(answer.status, 200);
    assert.deepEqual(Object.keys(await answer.json()), ['cache', 'sessionId', 'visitId']);
  }
  assertRows(await eventsOf(stack, sites.node, 3), [['page view', { kind: KIND.pageview, page: '/node', title: 'Node' }],
    ['event', { kind: KIND.event, name: 'Signup', page: '/', host: 'node.example', props: { plan: 'pro' } }], ['identity', { kind: KIND.ping, props: { name: 'Ada' } }]]);
});

test("in Chromium the tracker's requests pass their preflight, and its answers can be read", async () => {
  browser = await openBrowser();
  const server = http.createServer((asked, answer) => answer.writeHead(200, { 'Content-Type': 'text/html' }).end('<title>Umami</title>'));
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  try {
    const page = await browser.newPage();
    await page.goto(`http://localhost:${server.address().port}/chromium`);
    const answers = await page.evaluate(async ([endpoint, website]) => { // as send() of the tracker
      const answers = [];
      let cache;
      const send = async (payload, type = 'event') => {
        const answer = await fetch(endpoint, { keepalive: true, method: 'POST', body: JSON.stringify({ type, payload }),
          headers: { 'Content-Type': 'application/json', ...(typeof cache !== 'undefined' && { 'x-umami-cache': cache }) }, credentials: 'omit' });
        const data = await answer.json();
        ({ cache } = data);
        answers.push({ status: answer.status, ...data });
      };
      const payload = () => ({ website, screen: `${screen.width}x${screen.height}`, language: navigator.language, title: document.title, hostname: location.hostname, url: location.href, referrer: document.referrer });
      await send(payload());
      await send({ ...payload(), name: 'Click', data: { n: 1 } });
      cache = '';
      await send({ ...payload(), data: { plan: 'pro' } }, 'identify');
      return answers;
    }, [`${stack.url}/api/send`, sites.chromium.property_id]);
    for (const one of answers) assert.deepEqual([one.status, Object.keys(one)], [200, ['status', 'cache', 'sessionId', 'visitId']]);
    assert.equal(new Set(answers.map((one) => one.sessionId)).size, 1);
    assertRows(await eventsOf(stack, sites.chromium, 3), [['page view', { kind: KIND.pageview, host: 'localhost', page: '/chromium', title: 'Umami' }],
      ['event', { kind: KIND.event, name: 'Click', props: { n: '1' } }], ['identity', { kind: KIND.ping, props: { plan: 'pro' } }]]);
  } finally {
    server.close();
  }
});
