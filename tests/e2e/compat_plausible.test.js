// Plausible's POST /api/event, row by row of its format: hand-written requests, the exact answer, and what is stored
// and reported then. Where ours differs on purpose, a test is named "unlike Plausible, …". Its own trackers in a browser:
// compat_plausible_npm.test.js.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AGENT, request, startStack, waitFor } from './harness.js';
import { CUSTOM, ENGAGEMENT, EXIT, PAGEVIEW, eventsOf } from './stored.js';

const GB = '81.2.69.142'; // with the default database
const NL = '193.0.6.139';

let stack, site, other, key;
before(async () => {
  stack = await startStack();
  await stack.account();
  site = await stack.site('example.org');
  other = await stack.site('other.example');
  key = await stack.key('stats');
});
after(() => stack?.remove());

const view = (more = {}) => ({ n: 'pageview', u: 'https://example.org/', d: 'example.org', ...more });

function post(body, headers = {}) {
  return request(`${stack.url}/api/event`, { method: 'POST', headers: { 'User-Agent': AGENT, 'Content-Type': 'text/plain', Origin: 'https://example.org', ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body) });
}

function assertAnswer(answer, status, text, { dropped } = {}) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.text, text);
  assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8');
  assert.equal(answer.headers['access-control-allow-origin'], '*');
  assert.equal(answer.headers['access-control-allow-credentials'], undefined);
  assert.equal(answer.headers['access-control-expose-headers'], 'x-footfall-dropped, x-plausible-dropped, retry-after');
  assert.equal(answer.headers['set-cookie'], undefined);
  assert.equal(answer.headers['x-plausible-dropped'], dropped?.count);
  assert.equal(answer.headers['x-footfall-dropped'], dropped?.reason);
}

// Send what must be taken, and return what is stored of it.
async function take(body, { headers, from = site } = {}) {
  const [event] = await eventsOf(stack, from, async () => assertAnswer(await post(body, headers), 202, 'ok'));
  return event;
}

// Send what must be refused; nothing of it is stored. The reason is for people; which field it is, for programs.
async function refuse(body, field, reason, headers) {
  const count = stack.events(site);
  const answer = await post(body, headers);
  assert.equal(answer.status, 400, answer.text);
  assert.deepEqual(answer.json, { errors: { [field]: [answer.json?.errors?.[field]?.[0]] } }, JSON.stringify(body));
  assert.match(answer.json.errors[field][0], reason);
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.equal(answer.headers['access-control-allow-origin'], '*');
  assert.equal(answer.headers['x-footfall-dropped'], 'invalid');
  await take(view({ u: 'https://example.org/after' }));
  assert.equal(stack.events(site), count + 1);
}

const report = (what) => stack.query(key, { site_id: 'example.org', date_range: 'day', ...what });

test('n, name: what happened, a number becomes its text', async () => {
  assert.equal((await take(view())).kind, PAGEVIEW);
  for (const [name, body] of [['Signup', view({ n: 'Signup' })], ['404', view({ n: 404 })], ['Long', { name: 'Long', url: 'https://example.org/', domain: 'example.org' }], ['Sign "up" ü', view({ n: 'Sign "up" ü' })]]) {
    const event = await take(body);
    assert.deepEqual([event.kind, event.name], [CUSTOM, name]);
  }
  await waitFor(async () => (await report({ metrics: ['events'], dimensions: ['event:name'] })).some((row) => row.dimensions[0] === '404' && row.metrics[0] === 1), '404 in a report');
});

test('n has at most 120 characters, is no other type, and is needed', async () => {
  assert.equal((await take(view({ n: 'ü'.repeat(120) }))).name, 'ü'.repeat(120));
  await refuse(view({ n: 'x'.repeat(121) }), 'event_name', /120/);
  await refuse(view({ n: undefined }), 'event_name', /blank/);
  await refuse(view({ n: ' ' }), 'event_name', /blank/);
  await refuse(view({ n: true }), 'event_name', /text/);
  await refuse(view({ n: ['pageview'] }), 'event_name', /text/);
});

test('u, url: host without www., path decoded, query and fragment gone', async () => {
  const { host, page } = await take(view({ u: 'https://www.Example.org/caf%C3%A9/a%20b?q=secret#top' }));
  assert.deepEqual([host, page], ['example.org', '/café/a b']);
  assert.equal((await take({ ...view({ u: undefined }), url: 'https://example.org/long' })).page, '/long');
  assert.equal((await take(view({ u: 'https://example.org' }))).page, '/');
});

test('u is needed, has at most 2,000 bytes, and is no data: URL', async () => {
  const path = `/${'x'.repeat(2000 - 'https://example.org/'.length)}`;
  assert.equal((await take(view({ u: `https://example.org${path}` }))).page, path);
  await refuse(view({ u: `https://example.org${path}x` }), 'url', /2000/);
  await refuse(view({ u: 'data:text/html,x' }), 'url', /not allowed/);
  await refuse(view({ u: undefined }), 'url', /blank/);
  await refuse(view({ u: 17 }), 'url', /text/);
});

test('u of an app has any scheme, or no host: then the host is not set', async () => {
  const app = await take(view({ u: 'app://localhost/about?x#y' }));
  assert.deepEqual([app.host, app.page], ['localhost', '/about']);
  const path = await take(view({ u: '/pricing?utm_source=News', r: 'https://www.google.com/' }));
  assert.deepEqual([path.host, path.page, path.utm_source], ['', '/pricing', 'News']);
  assert.equal((await take(view({ u: 'file:///app/index.html' }))).page, '/app/index.html');
  await waitFor(async () => (await report({ metrics: ['pageviews'], dimensions: ['event:hostname'] })).some((row) => row.dimensions[0] === '(not set)' && row.metrics[0] === 2), 'the host in a report');
});

test('unlike Plausible, which takes any text for a path, a URL with neither host nor path is refused', async () => {
  for (const u of ['', 'nonsense', 'about:blank', 'https://', 'https://a\\@example.org/'])
    await refuse(view({ u }), 'url', /blank|valid/);
});

test('unlike Plausible, a trailing slash is no other page, and what names a person is hidden', async () => {
  assert.equal((await take(view({ u: 'https://example.org/a/' }))).page, '/a');
  assert.equal((await take(view({ u: 'https://example.org/u/jane@mail.example/' }))).page, '/u/*');
});

test('d, domain: a list, trimmed, without www.; each site has the event', async () => {
  const before = stack.events(other);
  const { page } = await take(view({ u: 'https://example.org/list', d: ' www.example.org , other.example' }));
  await waitFor(() => stack.events(other) === before + 1, 'the other site');
  assert.equal(page, '/list');
  assert.equal((await take({ n: 'pageview', u: 'https://example.org/p', domain: site.property_id })).page, '/p');
});

test('what names no site of ours is dropped, counted, and said; the rest is kept', async () => {
  assertAnswer(await post(view({ d: 'nosuch.example' })), 202, 'ok', { dropped: { count: '1', reason: 'unknown_site' } });
  const [event] = await eventsOf(stack, site, async () => assertAnswer(await post(view({ d: 'nosuch.example,example.org,neither.example', u: 'https://example.org/mixed' })), 202, 'ok', { dropped: { count: '2', reason: 'unknown_site' } }));
  assert.equal(event.page, '/mixed');
});

test('d absent or null: the site is that of the host of u; empty: refused', async () => {
  assert.equal((await take({ n: 'pageview', u: 'https://www.example.org/by-host' })).page, '/by-host');
  assert.equal((await take({ n: 'pageview', u: 'https://example.org/by-host-2', d: null })).page, '/by-host-2');
  await refuse(view({ d: '' }), 'domain', /blank/);
  await refuse(view({ d: ' ' }), 'domain', /blank/);
  await refuse({ n: 'pageview', u: '/nowhere' }, 'domain', /blank/);
});

test('unlike Plausible, an event goes to at most 16 sites', async () => {
  const d = Array.from({ length: 20 }, (_, n) => (n === 3 ? 'example.org' : `x${n}.example`)).join(',');
  await eventsOf(stack, site, async () => assertAnswer(await post(view({ d })), 202, 'ok', { dropped: { count: '16', reason: 'unknown_site, too_many_sites' } }));
});

test('r, referrer: cut to 2,000, null or of another type: none', async () => {
  assert.equal((await take(view({ r: 'https://news.example/a?secret=1' }))).referrer, 'news.example/a');
  assert.equal((await take({ ...view(), referrer: 'https://news.example/b' })).referrer, 'news.example/b');
  const { referrer } = await take(view({ r: `https://news.example/${'x'.repeat(3000)}` }));
  assert.equal(referrer, `news.example/${'x'.repeat(500 - 'news.example/'.length)}`, 'of which reports keep 500');
  for (const r of [null, 17, ['x'], 'no url', '']) assert.equal((await take(view({ r }))).referrer, '');
});

test('p, props, m, meta: an object or its JSON text, m first', async () => {
  const props = { plan: 'pro', seats: 3, ratio: 1.5, trial: true };
  const texts = { plan: 'pro', seats: '3', ratio: '1.5', trial: 'true' };
  for (const name of ['p', 'props', 'm', 'meta']) assert.deepEqual((await take(view({ [name]: props }))).props, texts);
  assert.deepEqual((await take(view({ p: JSON.stringify(props) }))).props, texts);
  assert.deepEqual((await take(view({ p: { a: 'p' }, m: { a: 'm' } }))).props, { a: 'm' });
});

test('of p, lists, maps and blank values are ignored, as is what is no object', async () => {
  assert.deepEqual((await take(view({ p: { a: [1], b: { c: 1 }, d: null, e: '  ', ' ': 'x', f: 'kept' } }))).props, { f: 'kept' });
  for (const p of [{}, [], 'no json', '[1]', 17, null]) assert.equal((await take(view({ p }))).props, null);
});

test('of p, 30 are kept, however many there are', async () => {
  const many = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`k${n}`, 'v']));
  assert.equal(Object.keys((await take(view({ p: many }))).props).length, 30);
});

test('of p, a key beyond 300 bytes or a value beyond 2,000 is refused', async () => {
  const longest = { ['ü'.repeat(150)]: 'ü'.repeat(1000) };
  assert.deepEqual((await take(view({ p: longest }))).props, longest);
  await refuse(view({ p: { ['k'.repeat(301)]: 'v' } }), 'props', /300/);
  await refuse(view({ p: { k: `${'ü'.repeat(1000)}v` } }), 'props', /2000/);
});

test('h, hashMode: 1 keeps the fragment as part of the path', async () => {
  assert.equal((await take(view({ u: 'https://example.org/app#/users%20x', h: 1 }))).page, '/app#/users x');
  assert.equal((await take(view({ u: 'https://example.org/app#/long', hashMode: 1 }))).page, '/app#/long');
  assert.equal((await take(view({ u: 'https://example.org/app#/text', h: '1' }))).page, '/app#/text');
  for (const h of [0, null, undefined]) assert.equal((await take(view({ u: 'https://example.org/app#/users', h }))).page, '/app');
});

test('i, interactive: false does not end a bounce, anything else does', async () => {
  const bounces = async (i, address) => {
    const headers = { 'X-Forwarded-For': address };
    await take({ n: 'pageview', u: 'https://other.example/', d: 'other.example' }, { headers, from: other });
    const event = await take({ n: 'Play', u: 'https://other.example/', d: 'other.example', ...i }, { headers, from: other });
    return event.interactive;
  };
  const rate = async () => (await stack.query(key, { site_id: 'other.example', date_range: 'day', metrics: ['visits', 'bounce_rate'] }))[0].metrics;
  const [visits, percent] = await rate();
  assert.equal(await bounces({ i: false }, '203.0.113.1'), false);
  assert.equal(await bounces({ interactive: false }, '203.0.113.2'), false);
  assert.equal(await bounces({ i: true }, '203.0.113.3'), true);
  assert.equal(await bounces({ i: 'false' }, '203.0.113.4'), true);
  assert.equal(await bounces({}, '203.0.113.5'), true);
  const wanted = [visits + 5, Math.round((visits * percent + 200) / (visits + 5))];
  await waitFor(async () => JSON.stringify(await rate()) === JSON.stringify(wanted), `bounces ${wanted}`);
});

test('$, revenue: currency and amount, a number or its text, in an object or its JSON text', async () => {
  for (const $ of [{ currency: 'EUR', amount: 12.5 }, { currency: 'EUR', amount: '12.50' }, '{"currency":"EUR","amount":12.5}']) {
    const { revenue, currency } = await take(view({ n: 'Purchase', $ }));
    assert.deepEqual([revenue, currency], [12.5, 'EUR']);
  }
  assert.equal((await take(view({ n: 'Purchase', revenue: { currency: 'usd', amount: -3 } }))).currency, 'USD');
});

test('of a wrong $ the event is kept, and no revenue', async () => {
  for (const $ of [{}, { amount: 1 }, { currency: 'EUR' }, { currency: 'EURO', amount: 1 }, { currency: 'EUR', amount: 'much' }, { currency: 'EUR', amount: null }, { currency: 'EUR', amount: 1e300 }, 'no json', 17, [], null]) {
    const { name, revenue, currency } = await take(view({ n: 'Purchase', $ }));
    assert.deepEqual([name, revenue, currency], ['Purchase', null, null], JSON.stringify($));
  }
});

test('v, the version of the tracker, and keys that nobody knows change nothing', async () => {
  for (const more of [{ v: 36 }, { v: 'x' }, { w: 1440, unknown: { a: [1] } }]) assert.equal((await take(view(more))).kind, PAGEVIEW);
});

test('sd and e of engagement: whole numbers or their texts, within their bounds, one of them at least', async () => {
  const engage = (more) => view({ n: 'engagement', ...more });
  const cases = [
    [{ sd: 45, e: 4000 }, 45, 4000],
    [{ sd: '45', e: '4000' }, 45, 4000],
    [{ sd: 101, e: 1 }, 100, 1],
    [{ sd: 0 }, 0, null],
    [{ e: 4000 }, null, 4000],
    [{ sd: -1, e: 4000 }, null, 4000],
    [{ sd: 'much', e: 4000 }, null, 4000],
    [{ sd: 45, e: -1 }, 45, null],
    [{ sd: 45, e: 30 * 86400e3 - 1 }, 45, 2 ** 31 - 1], // as much as the tables hold
    [{ sd: 45, e: 30 * 86400e3 }, 45, 0],
  ];
  for (const [more, scroll, engaged] of cases) {
    const event = await take(engage(more));
    assert.deepEqual([event.kind, event.scroll_depth, event.engaged_ms], [ENGAGEMENT, scroll, engaged], JSON.stringify(more));
  }
  for (const more of [{}, { sd: null, e: null }, { sd: 'much', e: -1 }, { sd: true, e: [1] }]) await refuse(engage(more), 'event_name', /sd or for e/);
  const [sd, e] = [view({ sd: 45, e: 4000 }), view({ n: 'Custom', sd: 45, e: 4000 })];
  for (const body of [sd, e]) {
    const event = await take(body);
    assert.deepEqual([event.scroll_depth, event.engaged_ms], [null, null], 'of engagement only');
  }
});

test('pageleave, of older trackers, is an exit and no event of that name', async () => {
  const bare = await take(view({ n: 'pageleave', u: 'https://example.org/left' }));
  assert.deepEqual([bare.kind, bare.name, bare.scroll_depth], [EXIT, '', null]);
  assert.equal((await take(view({ n: 'pageleave', sd: 70 }))).scroll_depth, 70);
  assert.equal((await report({ metrics: ['events'], dimensions: ['event:name'] })).some((row) => row.dimensions[0] === 'pageleave'), false);
});

test('unlike Plausible, engagement without a visit is kept: it counts nothing, until the late page view comes', async () => {
  const late = await stack.site('late.example');
  const headers = { 'X-Forwarded-For': '203.0.113.20' };
  const page = { u: 'https://late.example/a', d: 'late.example' };
  const visits = async () => (await stack.query(key, { site_id: 'late.example', date_range: 'day', metrics: ['visits', 'pageviews'] }))[0].metrics;
  assert.equal((await take({ n: 'engagement', sd: 60, e: 5000, ...page }, { headers, from: late })).engaged_ms, 5000);
  assert.deepEqual(await visits(), [0, 0]);
  await take({ n: 'pageview', ...page }, { headers, from: late });
  await waitFor(async () => (await visits()).join() === '1,1', 'one visit');
  assert.deepEqual(stack.sql('metrics', `select views, engaged_ms from visit where site_id = ${late.site_id}`), [['1', '5000']]);
});

test('the query of u tells campaign, source and click id, and its values are stored nowhere', async () => {
  const utm = { utm_source: 'News Letter', utm_medium: 'email', utm_campaign: 'spring', utm_term: 't', utm_content: 'c' };
  const event = await take(view({ u: `https://example.org/utm?${new URLSearchParams(utm)}&gclid=click-value&token=secret` }));
  for (const [name, value] of Object.entries(utm)) assert.equal(event[name], value);
  assert.deepEqual([event.source, event.click_id, event.page], ['News Letter', 'gclid', '/utm']);
  assert.equal((await take(view({ u: 'https://example.org/?source=S&ref=R' }))).source, 'S');
  assert.equal((await take(view({ u: 'https://example.org/?ref=R' }))).source, 'R');
  for (const id of ['gbraid', 'wbraid', 'msclkid', 'fbclid', 'twclid']) assert.equal((await take(view({ u: `https://example.org/?${id}=click-value` }))).click_id, id);
  assert.deepEqual(stack.sql('metrics', "select value from string where value like '%click-value%' or value like '%secret%'"), []);
  await waitFor(async () => (await report({ metrics: ['visitors'], dimensions: ['visit:source'] })).length > 0, 'a report by source');
});

test('the body is JSON whatever its Content-Type says; what is no object is refused', async () => {
  for (const type of ['text/plain', 'application/json', 'application/x-www-form-urlencoded', '']) await take(view(), { headers: { 'Content-Type': type } });
  for (const body of ['', 'nonsense', '[]', '17', '{"n":"pageview"', '{"n":"page\\u0000view","u":"https://example.org/"}']) await refuse(body, 'request', /JSON object/);
});

test('unlike Plausible, which takes 1,000,000 bytes, a body has at most 64 KiB', async () => {
  const padded = (bytes) => {
    const body = JSON.stringify(view({ unknown: '' }));
    return body.replace('"unknown":""', `"unknown":"${'x'.repeat(bytes - body.length)}"`);
  };
  await take(padded(64 << 10));
  const answer = await post(padded((64 << 10) + 1));
  assert.equal(answer.status, 413);
  assert.equal(typeof answer.json.error, 'string');
  assert.equal(answer.headers['access-control-allow-origin'], '*');
});

test('a preflight allows any origin, method POST and any header, without credentials', async () => {
  const answer = await request(`${stack.url}/api/event`, { method: 'OPTIONS', headers: { Origin: 'https://example.org', 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type' } });
  assert.equal(answer.status, 204);
  assert.equal(answer.text, '');
  assert.deepEqual(Object.fromEntries(Object.entries(answer.headers).filter(([name]) => name.startsWith('access-control-'))), {
    'access-control-allow-origin': '*', 'access-control-allow-methods': 'POST, OPTIONS', 'access-control-allow-headers': '*', 'access-control-max-age': '86400',
  });
});

test('who the visitor is, its address and its agent tell, and the agent may be missing', async () => {
  const visitors = async () => (await stack.query(key, { site_id: 'who.example', date_range: 'day', metrics: ['visitors'] }))[0].metrics[0];
  const who = await stack.site('who.example');
  const body = { n: 'pageview', u: 'https://who.example/', d: 'who.example' };
  for (const headers of [{ 'X-Forwarded-For': GB }, { 'X-Forwarded-For': GB }, { 'X-Forwarded-For': NL }, { 'X-Forwarded-For': NL, 'User-Agent': `${AGENT} x` }]) await take(body, { headers, from: who });
  await waitFor(async () => await visitors() === 3, 'three visitors');
  const [event] = await eventsOf(stack, who, async () => assertAnswer(await request(`${stack.url}/api/event`, { method: 'POST', body: JSON.stringify(body), headers: { 'X-Forwarded-For': NL } }), 202, 'ok'));
  assert.equal(event.kind, PAGEVIEW);
  await waitFor(async () => await visitors() === 4, 'four visitors');
});

test('unlike Plausible, an address is believed from trusted proxies only, and of its headers only X-Forwarded-For', async () => {
  const headers = { 'X-Forwarded-For': `1.2.3.4, ${GB}`, 'X-Plausible-IP': NL, 'CF-Connecting-IP': NL, 'B-Forwarded-For': NL, Forwarded: `for=${NL}` };
  assert.equal((await take(view(), { headers })).country, 'GB');
});

test('X-Debug-Request: true is answered 200 with the address that was believed; no page of another origin may read it', async () => {
  const headers = { 'X-Debug-Request': 'true', 'X-Forwarded-For': `1.2.3.4, ${GB}` };
  const [event] = await eventsOf(stack, site, async () => {
    const answer = await post(view({ u: 'https://example.org/debug' }), headers);
    assert.deepEqual([answer.status, answer.text, answer.headers['content-type']], [200, GB, 'text/plain; charset=utf-8']);
    assert.equal(answer.headers['access-control-allow-origin'], undefined);
  });
  assert.equal(event.page, '/debug');
  const unknown = await post(view({ d: 'nosuch.example' }), { 'X-Debug-Request': 'true', 'X-Forwarded-For': '2001:db8::1' });
  assert.deepEqual([unknown.status, unknown.text, unknown.headers['x-plausible-dropped']], [200, '2001:db8::1', '1']);
  assert.equal((await post(view({ n: '' }), headers)).status, 400);
  assertAnswer(await post(view(), { 'X-Debug-Request': 'false' }), 202, 'ok');
});

test('unlike Plausible, what looks like a bot is kept and left out of reports, unless the site refuses bots', async () => {
  const bots = await stack.site('bots.example');
  const send = () => post({ n: 'pageview', u: 'https://bots.example/', d: 'bots.example' }, { 'User-Agent': 'Googlebot/2.1 (+http://www.google.com/bot.html)' });
  await eventsOf(stack, bots, async () => assertAnswer(await send(), 202, 'ok'));
  assert.deepEqual((await stack.query(key, { site_id: 'bots.example', date_range: 'day', metrics: ['pageviews'] }))[0].metrics, [0]);
  stack.sql('app', "select from site_set('bots.example', p_bots => 'refuse')");
  await waitFor(async () => (await send()).headers['x-plausible-dropped'] === '1', 'the rule is known');
  assertAnswer(await send(), 202, 'ok', { dropped: { count: '1', reason: 'bot' } });
});
