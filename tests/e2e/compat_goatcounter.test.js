// What unmodified clients of GoatCounter send and get, by hand-written requests (services/ingress/api.md and
// services/query/api.md, "GoatCounter"). Where we differ from it, the test's name says so.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AGENT, openBrowser, request, startStack, waitFor } from './harness.js';

const GIF = Buffer.from('R0lGODlhAQABAIABAAAAAP///yH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==', 'base64');
const BLANK = '\u202f'; // narrow, no break

let stack, number = 0;
before(async () => {
  stack = await startStack({ FOOTFALL_INGRESSES: '2' });
  await stack.account();
});
after(() => stack?.remove());

// Both ingresses have taken a snapshot since.
async function known() {
  const last = await stack.footfall(['site', 'add', `known${++number}.example`, '--owner', 'owner@example.org', '--timezone', 'UTC']);
  for (const n of [0, 1])
    await waitFor(async () => (await request(`http://127.0.0.1:${stack.port + 10 + n}/js/${last.property_id}.js`)).status === 200, `ingress ${n} knows`);
}

// A site of its own, with rules as [kind, value] and settings as SQL, that the ingresses know.
async function siteWith({ rules = [], set = '', domain = `g${++number}.example` } = {}) {
  const site = await stack.footfall(['site', 'add', domain, '--owner', 'owner@example.org', '--timezone', 'UTC']);
  stack.sql('app', [...rules.map(([kind, value]) => `select from site_rule_add(${site.site_id}, '${kind}', '${value}');`),
    ...set ? [`update site set ${set} where id = ${site.site_id};`] : []].join('\n'));
  await known();
  return site;
}

const counting = (more = {}) => siteWith({ set: 'counter = true', ...more });

// Page views of as many visitors.
async function views(site, path, visitors) {
  const before = stack.events(site);
  for (let i = 0; i < visitors; i++)
    assert.equal((await stack.event({ n: 'pageview', u: `https://${site.domain}${path}`, d: site.property_id }, { 'X-Forwarded-For': `10.9.${i >> 8}.${i & 255}` })).status, 202);
  await waitFor(() => stack.events(site) === before + visitors, `${visitors} views of ${path}`);
}

const counter = (site, rest, options) => request(`${stack.url}/${site.property_id}/counter/${rest}`, options);

// --- the counter

test('counter: PATH.json tells how many visitors a page had, as formatted text, to any page, for five minutes', async () => {
  const site = await counting();
  await views(site, '/about', 3);
  const answer = await counter(site, encodeURIComponent('/about') + '.json'); // as count.js builds it
  assert.equal(answer.status, 200);
  assert.equal(answer.text, '{"count_unique":"3","count":"3"}');
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.equal(answer.headers['access-control-allow-origin'], '*');
  assert.equal(answer.headers['cache-control'], 'public, max-age=300');
  assert.equal((await counter(site, encodeURIComponent('/about') + '.json', { method: 'HEAD' })).status, 200);
});

test('counter: thousands are parted by U+202F', async () => {
  const site = await counting();
  await views(site, '/many', 1);
  stack.sql('metrics', `update rollup_day set visitors = 1234567 where site_id = ${site.site_id} and dimension = 1;
    update rollup_month set visitors = 1234567 where site_id = ${site.site_id} and dimension = 1`);
  assert.equal((await counter(site, 'many.json')).json.count, `1${BLANK}234${BLANK}567`);
});

test('counter: a page is named with or without "/" at either end, encoded once or twice, and with its query', async () => {
  const site = await counting();
  await views(site, '/a/café.html', 2);
  await views(site, '/', 1);
  for (const path of ['/a/caf%C3%A9.html', 'a/caf%C3%A9.html', '%2Fa%2Fcaf%C3%A9.html%2F', encodeURIComponent('/a/caf%C3%A9.html'), encodeURIComponent('/a/caf%C3%A9.html?utm_source=x&y=1')])
    assert.deepEqual([path, (await counter(site, `${path}.json`)).text], [path, '{"count_unique":"2","count":"2"}']);
  for (const path of ['/', '%2F', ''])
    assert.deepEqual([path, (await counter(site, `${path}.json`)).text], [path, '{"count_unique":"1","count":"1"}']);
});

test('counter: an unknown page is 404 with the count "0"; events are no pages here, unlike the peer', async () => {
  const site = await counting();
  await views(site, '/here', 1);
  await stack.event({ n: 'Signup', u: `https://${site.domain}/here`, d: site.property_id });
  await waitFor(() => stack.events(site) === 2, 'the event');
  for (const path of ['nothing', 'Here', 'Signup']) { // unlike the peer, upper and lower case are not the same
    const answer = await counter(site, `${path}.json`);
    assert.deepEqual([path, answer.status, answer.text], [path, 404, '{"count_unique":"0","count":"0"}']);
    assert.equal(answer.headers['access-control-allow-origin'], '*');
  }
  const svg = await counter(site, 'nothing.svg');
  assert.equal(svg.status, 404);
  assert.match(svg.text, />0<\/text>/);
});

test('counter: TOTAL is the visitors of the site, each once a day', async () => {
  const site = await counting();
  assert.deepEqual([(await counter(await counting(), 'TOTAL.json')).status], [200], 'also of a site without any');
  await views(site, '/one', 3);
  await views(site, '/two', 4); // three of them are the same
  assert.equal((await counter(site, 'TOTAL.json')).text, '{"count_unique":"4","count":"4"}');
});

test('counter: start and end bound it by days of the site, and a known page without visitors then is "0"', async () => {
  const site = await counting();
  await views(site, '/old', 1);
  const key = await stack.key('ingest');
  const day = (ago) => new Date(Date.now() - ago * 86400e3).toISOString().slice(0, 10);
  const ages = [0, 3, 20, 100, 400, 800];
  const body = ages.slice(1).flatMap((ago, i) => Array.from({ length: 10 ** (i + 1) > 100 ? 5 * (i + 1) : i + 2 }, (_, n) => (
    { name: 'pageview', url: '/old', property_id: site.property_id, timestamp: `${day(ago)}T12:00:00Z`, ip: `10.0.${i}.${n}`, user_agent: AGENT })));
  const sent = await request(`${stack.url}/api/v1/events`, { method: 'POST', headers: { Authorization: `Bearer ${key}` }, body: JSON.stringify(body) });
  assert.equal(sent.json.accepted, body.length, sent.text);
  await waitFor(() => stack.events(site) === body.length + 1, 'all');
  const of = (least, most = 0) => 1 * (most <= 0) + body.filter((one) => one.timestamp.slice(0, 10) >= day(least) && one.timestamp.slice(0, 10) <= day(most)).length;
  for (const [query, expected] of [['', of(9999)], ['?start=week', of(7)], ['?start=month', of(30)], ['?start=year', of(365)],
    [`?start=${day(100)}`, of(100)], [`?end=${day(100)}`, of(9999, 100)], [`?start=${day(400)}&end=${day(3)}`, of(400, 3)],
    ['?start=1970-01-01&end=2999-12-31', of(9999)], [`?start=${day(2)}&end=${day(1)}`, 0], [`?start=${day(1)}&end=${day(2)}`, 0], ['?start=2998-01-01', 0]])
    for (const path of ['old', 'TOTAL']) {
      const answer = await counter(site, `${path}.json${query}`);
      assert.deepEqual([path, query, answer.status, answer.json?.count], [path, query, 200, String(expected)]);
    }
  for (const query of ['?start=yesterday', '?start=2026-02-30', '?end=week', '?end=2026-1-1', `?start=${'2'.repeat(99)}`])
    assert.equal((await counter(site, `old.json${query}`)).status, 400, query);
});

test('counter: the site comes from the host, by its domain, as pages name it, without a property id', async () => {
  const site = await counting();
  await views(site, '/x', 2);
  for (const host of [site.domain, `www.${site.domain}`, site.domain.toUpperCase(), `${site.domain}:8443`])
    assert.deepEqual([host, (await request(`${stack.url}/counter/x.json`, { headers: { Host: host } })).text], [host, '{"count_unique":"2","count":"2"}']);
  const off = await siteWith();
  for (const host of [off.domain, 'nosuch.example', 'localhost'])
    assert.equal((await request(`${stack.url}/counter/x.json`, { headers: { Host: host } })).status, 403, host);
});

test('counter: it is off unless the site allows it, and a site that is none looks the same', async () => {
  const site = await siteWith();
  await views(site, '/x', 1);
  const refused = await counter(site, 'x.json');
  assert.equal(refused.status, 403);
  assert.equal(refused.headers['cache-control'], 'no-store');
  assert.equal(refused.headers['access-control-allow-origin'], '*');
  const none = await counter({ property_id: '00000000-0000-4000-8000-000000000000' }, 'x.json');
  assert.deepEqual([none.status, none.text], [403, refused.text]);
});

test('counter: .html and .svg show the number, styled and without our name as asked, and neither loads nor runs anything', async () => {
  const site = await counting();
  await views(site, '/x', 2);
  const html = await counter(site, 'x.html');
  assert.deepEqual([html.status, html.headers['content-type'], html.headers['cross-origin-resource-policy']], [200, 'text/html; charset=utf-8', 'cross-origin']);
  assert.match(html.text, /<span id="gcvc-for">Visitors of this page:<\/span><br><span id="gcvc-views">2<\/span><br><span id="gcvc-by">counted by Footfall<\/span>/);
  assert.match((await counter(site, 'TOTAL.html')).text, /Visitors of this site:/);
  const svg = await counter(site, 'x.svg');
  assert.deepEqual([svg.status, svg.headers['content-type'].split(';')[0]], [200, 'image/svg+xml']);
  assert.match(svg.text, /<text id="gcvc-views" x="50%" y="48">2<\/text>/);
  const style = encodeURIComponent('div > #gcvc-views { color: red } & /* " */');
  const plain = await counter(site, `x.html?no_branding=1&style=${style}`);
  assert.ok(plain.text.includes('div > #gcvc-views { color: red } & /* " */') && !plain.text.includes('Footfall'));
  assert.ok((await counter(site, `x.svg?no_branding=true&style=${style}`)).text.includes('div &gt; #gcvc-views { color: red } &amp; /* " */'));
  for (const answer of [html, svg, plain])
    assert.equal(answer.headers['content-security-policy'], "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; sandbox");
  for (const bad of ['</style><script>', 'a'.repeat(3000)])
    assert.equal((await counter(site, `x.svg?style=${encodeURIComponent(bad)}`)).status, 400);
  const browser = await openBrowser();
  try {
    const page = await browser.newPage();
    await page.goto(`${stack.url}/${site.property_id}/counter/x.svg?style=${style}`);
    assert.equal(await page.locator('#gcvc-views').textContent(), '2', 'a picture that can be read');
    await page.goto(`${stack.url}/${site.property_id}/counter/x.html?style=${encodeURIComponent('#gcvc-views { color: rgb(255, 0, 0) }')}`);
    assert.equal(await page.locator('#gcvc-views').evaluate((e) => getComputedStyle(e).color), 'rgb(255, 0, 0)');
  } finally {
    await browser.close();
  }
});

test('counter: there is no .png, unlike the peer, and what is not to be had is 400 or 405', async () => {
  const site = await counting();
  for (const rest of ['x.png', 'x', '', 'TOTAL', `${'x'.repeat(2001)}.json`]) {
    const answer = await counter(site, rest);
    assert.equal(answer.status, 400, rest);
    assert.ok(answer.json.error);
  }
  assert.equal((await counter(site, 'x.json', { method: 'POST', body: '' })).status, 405);
  assert.equal((await request(`http://127.0.0.1:${stack.port + 40}/nothing/at/all`)).status, 404);
});

test('counter: bots are not counted', async () => {
  const site = await counting();
  await views(site, '/x', 1);
  await stack.event({ n: 'pageview', u: `https://${site.domain}/x`, d: site.property_id, b: 150 }, { 'X-Forwarded-For': '10.8.0.1' });
  await waitFor(() => stack.events(site) === 2, 'the bot');
  assert.equal((await counter(site, 'x.json')).json.count, '1');
});
