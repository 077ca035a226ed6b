// What unmodified clients of GoatCounter send and get, by hand-written requests (services/ingress/api.md and
// services/query/api.md, "GoatCounter"). Where we differ from it, the test's name says so.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
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

const counting = (more = {}) => siteWith({ ...more, set: 'counter = true' });

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
  await known();
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

test('counter: without a property id the site comes from the host, by its domain or a further host', async () => {
  const site = await counting({ rules: [['alias', 'further.counter.example']] });
  await views(site, '/x', 2);
  for (const host of [site.domain, `www.${site.domain}`, site.domain.toUpperCase(), `${site.domain}:8443`, 'www.further.counter.example'])
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

// --- /count

// A request by hand, its body as bytes.
function raw(path, { method = 'GET', headers = {}, body, ingress } = {}) {
  return new Promise((resolve, reject) => {
    const sent = http.request({ host: '127.0.0.1', port: ingress === undefined ? stack.port : stack.port + 10 + ingress, path, method, agent: false,
      headers: { Host: 'stats.example', 'User-Agent': AGENT, 'X-Forwarded-For': '81.2.69.142', ...body !== undefined && { 'Content-Length': Buffer.byteLength(body) }, ...headers } });
    sent.on('error', reject).on('response', async (answer) => {
      const chunks = [];
      for await (const chunk of answer) chunks.push(chunk);
      const bytes = Buffer.concat(chunks);
      resolve({ status: answer.statusCode, headers: answer.headers, bytes, json: () => JSON.parse(bytes.toString()) });
    });
    sent.end(body);
  });
}

async function serveHtml(text) {
  const server = http.createServer((asked, answer) => answer.writeHead(200, { 'Content-Type': 'text/html' }).end(text));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { url: `http://localhost:${server.address().port}/`, close: () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }) };
}

const count = (site, query, options = {}) => raw(`/${site.property_id}/count?${typeof query === 'string' ? query : new URLSearchParams(query)}`, options);

function isGif(answer, status = 200) {
  assert.equal(answer.status, status, answer.headers['x-goatcounter']);
  assert.deepEqual(answer.bytes, GIF);
  assert.equal(answer.headers['content-type'], 'image/gif');
  assert.equal(answer.headers['content-length'], '43');
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.equal(answer.headers['cross-origin-resource-policy'], 'cross-origin');
}

// Taken: all the peer's headers, and nothing that says otherwise.
function isTaken(answer) {
  isGif(answer);
  assert.equal(answer.headers['access-control-allow-origin'], '*');
  assert.equal(answer.headers['access-control-allow-credentials'], undefined);
  for (const name of ['x-goatcounter', 'x-footfall-dropped', 'set-cookie']) assert.equal(answer.headers[name], undefined, name);
}

// What is in the tables of a site's events, once there are so many, in order: [kind, bot, visitor, and texts by column].
const TEXTS = ['name', 'host', 'page', 'title', 'referrer', 'utm_source', 'utm_medium', 'utm_campaign', 'source', 'language', 'country', 'region'];
async function rows(site, expected) {
  await waitFor(() => stack.events(site) === expected, `${expected} events of ${site.domain}, there are ${stack.events(site)}`);
  const text = (column) => `coalesce((select value from string s where s.site_id = e.site_id and s.id = e.${column}), '')`;
  return stack.sql('metrics', `select kind, bot, visitor, screen_width, ${TEXTS.map(text).join(', ')} from event e where site_id = ${site.site_id} order by ts, id`)
    .map(([kind, bot, visitor, width, ...texts]) => ({ kind: Number(kind), bot: Number(bot), visitor, width: Number(width), ...Object.fromEntries(TEXTS.map((name, i) => [name, texts[i]])) }));
}
const first = async (site) => (await rows(site, 1))[0];
const dropped = (site, reason, n) => waitFor(() => Number(stack.sql('metrics', `select coalesce(sum(count), 0) from dropped where site_id = ${site?.site_id ?? 0} and reason = '${reason}'`)[0][0]) >= n, `${n} of ${reason}`);

test('/count: what count.js sends is a page view; the answer is a GIF of 43 bytes with the peer\'s headers, on a connection that stays, unlike the peer\'s', async () => {
  const site = await siteWith();
  const answer = await count(site, { p: '/blog/', t: 'A blog', r: 'https://news.example/item?id=7', s: '1920,1080,2', b: '0', q: '?utm_campaign=spring', rnd: 'abcde', unknown: 'x' },
    { headers: { Referer: `https://www.${site.domain}/`, 'Accept-Language': 'nl-NL,nl;q=0.8' } });
  isTaken(answer);
  const kept = await count(site, '', { method: 'HEAD', headers: { Connection: 'keep-alive' } });
  assert.equal(kept.headers.connection, 'keep-alive');
  const row = await first(site);
  assert.deepEqual([row.kind, row.page, row.host, row.title, row.referrer, row.width, row.bot, row.utm_campaign, row.language, row.country],
    [1, '/blog', site.domain, 'A blog', 'news.example/item', 1920, 0, 'spring', 'nl', 'GB']);
});

test('/count: sendBeacon\'s POST with an empty body counts, and so does a form', async () => {
  const site = await siteWith();
  isTaken(await count(site, { p: '/beacon' }, { method: 'POST', body: '', headers: { Origin: `https://${site.domain}` } }));
  isTaken(await raw(`/${site.property_id}/count`, { method: 'POST', body: 'p=%2Fform&t=In+a+form', headers: { 'Content-Type': 'application/x-www-form-urlencoded' } }));
  assert.deepEqual((await rows(site, 2)).map((row) => [row.page, row.title]), [['/beacon', ''], ['/form', 'In a form']]);
  isGif(await raw(`/${site.property_id}/count`, { method: 'HEAD' }).then((head) => ({ ...head, bytes: GIF })));
  isGif(await raw(`/${site.property_id}/count`, { method: 'POST', body: '' }), 400);
  assert.equal((await raw(`/${site.property_id}/count`, { method: 'POST', body: 'x'.repeat(20000) })).status, 413);
});

test('/count: the site is that of the path, else of the host, by its domain or a further host', async () => {
  const site = await siteWith({ rules: [['alias', 'further.goat.example']] });
  for (const host of [site.domain, `www.${site.domain}`, `${site.domain}:8443`, 'FURTHER.goat.example'])
    isTaken(await raw('/count?p=/x', { headers: { Host: host } }));
  await rows(site, 4);
  for (const [path, host] of [['/count?p=/x', 'nosuch.example'], ['/00000000-0000-4000-8000-000000000000/count?p=/x', site.domain]]) {
    const answer = await raw(path, { headers: { Host: host } });
    isGif(answer, 400);
    assert.deepEqual([answer.headers['x-goatcounter'], answer.headers['x-footfall-dropped']], ['not valid: site: there is none of this name', 'unknown_site']);
  }
});

test('/count: paths are cleaned as the peer does, but lose their whole query, unlike there', async () => {
  const site = await siteWith();
  const paths = [['/', '/'], ['about', '/about'], ['/about/', '/about'], ['//about', '/about'], ['/a%20b/caf%C3%A9', '/a b/café'], ['/x?id=5&utm_source=y', '/x'], ['/x?fbclid=1&gclid=2&ref=3', '/x'],
    ['  /trim  ', '/trim'], ['/a@b.example/x', '/*/x'], ['/y#part', '/y']];
  for (const [path] of paths) isTaken(await count(site, { p: path }));
  assert.deepEqual((await rows(site, paths.length)).map((row) => row.page), paths.map(([, clean]) => clean));
});

test('/count: q tells the campaign, else the query of p; the peer\'s further names src and campaign, too', async () => {
  const site = await siteWith();
  const cases = [
    [{ p: '/x', q: '?utm_source=news&utm_medium=email&utm_campaign=c' }, { utm_source: 'news', utm_medium: 'email', utm_campaign: 'c' }],
    [{ p: '/x', q: 'ref=a-list' }, { source: 'a-list' }], [{ p: '/x', q: '?source=a+b' }, { source: 'a b' }],
    [{ p: '/x', q: '?src=flyer&campaign=May' }, { source: 'flyer', utm_campaign: 'May' }], [{ p: '/x', q: '?src=no&ref=yes' }, { source: 'yes' }],
    [{ p: '/x?utm_source=own', q: '' }, { utm_source: 'own' }], [{ p: '/x?utm_source=own', q: '?utm_source=q' }, { utm_source: 'q' }],
    [{ p: '/x', r: 'A text' }, { source: 'A text', referrer: '' }], [{ p: '/x', r: 'A text', q: '?ref=a-list' }, { source: 'a-list' }], [{ p: '/x', r: '/path' }, { source: '', referrer: '' }],
  ];
  for (const [query] of cases) isTaken(await count(site, query));
  const found = await rows(site, cases.length);
  cases.forEach(([query, expected], i) => {
    for (const [name, value] of Object.entries(expected)) assert.equal(found[i][name].toLowerCase(), value.toLowerCase(), `${name} of ${JSON.stringify(query)}`);
  });
});

test('/count: e makes an event of this name, which has a page only where Referer tells one of the site, and no campaign', async () => {
  const site = await siteWith({ rules: [['alias', 'further.event.example']] });
  for (const [query, referer] of [
    [{ p: 'signup', e: 'true' }], [{ p: '/signup-2', e: '1', t: 'Sign up', q: '?utm_source=x' }, `https://${site.domain}/`], [{ p: 'on', e: 'ON' }, `https://${site.domain}/form/?x=1`],
    [{ p: 'further', e: 'on' }, 'https://further.event.example/f'], [{ p: 'foreign', e: 'true' }, 'https://elsewhere.example/f'], [{ p: '/', e: 'true' }], [{ p: 'pageview', e: 'true' }],
    [{ p: '/no', e: 'false' }], [{ p: '/no', e: '0' }],
  ]) isTaken(await count(site, query, { headers: referer ? { Referer: referer } : {} }));
  const own = site.domain;
  assert.deepEqual((await rows(site, 9)).map((row) => [row.kind, row.name, row.host, row.page, row.utm_source]), [
    [2, 'signup', own, '', ''], [2, 'signup-2', own, '', ''], [2, 'on', own, '/form', ''], [2, 'further', 'further.event.example', '/f', ''], [2, 'foreign', 'elsewhere.example', '', ''],
    [2, '(no event name)', own, '', ''], [2, 'pageview', own, '', ''], [1, '', own, '/no', ''], [1, '', own, '/no', '']]);
  assert.equal(stack.sql('metrics', `select count(*) from event where site_id = ${site.site_id} and kind = 2 and page = 0`)[0][0], '5');
});

test('/count: s is a width, or width,height,scale', async () => {
  const site = await siteWith();
  for (const s of ['1280', '390,844,3', '', '1512.5,982,2']) isTaken(await count(site, { p: '/x', s }));
  assert.deepEqual((await rows(site, 4)).map((row) => row.width), [1280, 390, 0, 1512]);
});

test('/count: b of 150 and more marks a bot, which a site may refuse', async () => {
  const site = await siteWith(), strict = await siteWith({ set: "bots = 'refuse'" });
  for (const b of ['150', '153', '0', '']) isTaken(await count(site, { p: '/x', b }));
  assert.deepEqual((await rows(site, 4)).map((row) => row.bot), [2, 2, 0, 0]);
  const answer = await count(strict, { p: '/x', b: '150' });
  isGif(answer, 202);
  assert.deepEqual([answer.headers['x-goatcounter'], answer.headers['x-footfall-dropped']], ['ignored because the site refuses it: bot_hint', 'bot_hint']);
});

test('/count: with ns each page view is a visitor of its own, which is the same when it is sent again', async () => {
  const site = await siteWith();
  for (let i = 0; i < 3; i++) isTaken(await count(site, { p: '/x', ns: 'true' }));
  for (let i = 0; i < 2; i++) isTaken(await count(site, { p: '/x', ns: 'false' }));
  for (const ingress of [0, 1, 0]) // as the door does it, when an ingress is gone
    isTaken(await count(site, { p: '/again', ns: '1' }, { ingress, headers: { 'X-Request-Id': 'one-and-the-same' } }));
  const found = await rows(site, 6);
  assert.equal(new Set(found.map((row) => row.visitor)).size, 5);
  assert.ok(found.every((row) => BigInt(row.visitor) % 2n === 0n), 'visitors of a day');
});

test('/count: the door\'s request id makes a request count once, and rnd is no id', async () => {
  const site = await siteWith();
  for (const ingress of [0, 1]) isTaken(await count(site, { p: '/x', rnd: 'aaaaa' }, { ingress, headers: { 'X-Request-Id': 'again' } }));
  for (let i = 0; i < 2; i++) isTaken(await count(site, { p: '/x', rnd: 'aaaaa' }));
  await rows(site, 3);
});

test('/count: a prefetch is answered 200 and not counted: it is marked, or refused where the site says so', async () => {
  const site = await siteWith(), strict = await siteWith({ set: "bots = 'refuse', counter = true" });
  for (const headers of [{ 'Sec-Purpose': 'prefetch;prerender' }, { Purpose: 'prefetch' }, { 'X-Moz': 'prefetch' }]) {
    isTaken(await count(site, { p: '/x' }, { headers }));
    const answer = await count(strict, { p: '/x' }, { headers });
    isGif(answer);
    assert.deepEqual([answer.headers['x-footfall-dropped'], answer.headers['x-goatcounter']], ['prefetch', undefined]);
  }
  assert.deepEqual((await rows(site, 3)).map((row) => row.bot), [5, 5, 5]);
  assert.equal(stack.sql('metrics', `select count(*) from rollup_day where site_id = ${site.site_id}`)[0][0], '0', 'in no report');
  await dropped(strict, 'prefetch', 3);
});

test('/count: what a rule of the site refuses is 202 with X-Goatcounter; rules know more than addresses, unlike the peer\'s', async () => {
  for (const [rules, set, query, headers, reason] of [
    [[['ip', '81.2.69.0/24']], '', { p: '/x' }, {}, 'ip'], [[['path', '/admin/*']], '', { p: '/admin/x' }, {}, 'path'], [[['agent', 'chrome/120']], '', { p: '/x' }, {}, 'agent'],
    [[['host', 'bad.example']], '', { p: '/x' }, { Referer: 'https://bad.example/' }, 'host'], [[], 'honour_dnt = true', { p: '/x' }, { DNT: '1' }, 'opt_out'],
    [[], 'origin_required = true', { p: '/x' }, {}, 'no_origin'],
  ]) {
    const site = await siteWith({ rules, set });
    const answer = await count(site, query, { headers });
    isGif(answer, 202);
    assert.equal(answer.headers['access-control-allow-origin'], '*');
    assert.deepEqual([answer.headers['x-goatcounter'], answer.headers['x-footfall-dropped']], [`ignored because the site refuses it: ${reason}`, reason]);
    await dropped(site, reason, 1);
    assert.equal(stack.events(site), 0);
  }
});

test('/count: a site that lists origins refuses others, by Origin or, of a picture, by Referer, unlike the peer', async () => {
  const site = await siteWith({ rules: [['origin', 'https://ok.example']] });
  for (const headers of [{ Origin: 'https://evil.example' }, { Referer: 'https://evil.example/x' }, { Origin: 'https://evil.example', Referer: 'https://ok.example/' }]) {
    const answer = await count(site, { p: '/x' }, { headers });
    isGif(answer, 202);
    assert.deepEqual([answer.headers['x-footfall-dropped'], answer.headers['access-control-allow-origin']], ['origin', undefined]);
  }
  for (const headers of [{ Origin: 'https://ok.example' }, { Referer: 'https://ok.example/x' }]) isTaken(await count(site, { p: '/x' }, { headers }));
  await rows(site, 2);
});

test('/count: bad input is 400 with X-Goatcounter, and nothing is kept; a page of more than 2,000 bytes with its host and a name of more than 120 characters are, too, unlike there', async () => {
  const site = await siteWith();
  for (const [query, reason] of [
    ['', 'not valid: path: must be set'], ['p=', 'not valid: path: must be set'], ['p=+', 'not valid: path: must be set'], ['path=/x', 'not valid: path: must be set'],
    [{ p: '/x', b: '1' }, 'wrong value: b=1'], [{ p: '/x', b: '149' }, 'wrong value: b=149'], [{ p: '/x', b: 'x' }, /^wrong value: b/],
    [{ p: '/x', t: 't'.repeat(1025) }, 'not valid: t: must be shorter than 1024 characters'], [{ p: '/x', r: 'r'.repeat(2049) }, 'not valid: r: must be shorter than 2048 characters'],
    [{ p: '/x', e: 'maybe' }, /^not valid: e: /], [{ p: '/x', ns: 'maybe' }, /^not valid: ns: /], [{ p: '/x', s: 'wide' }, /^not valid: s: /],
    [{ p: `/${'p'.repeat(2000)}` }, 'not valid: path: has more than 2000 bytes'], [{ p: 'n'.repeat(121), e: 'true' }, /^not valid: path: /],
    [Array.from({ length: 70 }, (_, i) => `k${i}=1`).join('&') + '&p=/x', /^error decoding parameters: /],
  ]) {
    const answer = await count(site, query);
    isGif(answer, 400);
    if (typeof reason === 'string') assert.equal(answer.headers['x-goatcounter'], reason);
    else assert.match(answer.headers['x-goatcounter'], reason);
    assert.equal(answer.headers['x-footfall-dropped'], 'invalid');
  }
  isTaken(await count(site, { p: '/x', t: 'é'.repeat(1024) }));
  isTaken(await count(site, { p: '/x', r: `https://r.example/${'r'.repeat(2000)}` }));
  isTaken(await count(site, { p: `/${'p'.repeat(1900)}` }, { headers: { 'User-Agent': `Mozilla/5.0 ${'x'.repeat(600)}` } })); // the peer: 512 of an agent
  await rows(site, 3);
  await dropped(site, 'invalid', 15);
  assert.equal((await count(site, { p: '/x', x: 'x'.repeat(9000) })).status, 414, 'the door takes addresses of 8 KiB');
});

test('/count: beacons and pictures from a page of another host count in a browser, which lets its script read the answers', async () => {
  const site = await counting();
  const pages = await serveHtml('<!DOCTYPE html><title>A page</title>');
  const browser = await openBrowser();
  try {
    const page = await browser.newPage();
    await page.goto(pages.url);
    const told = await page.evaluate(async (base) => {
      const url = (path) => `${base}/count?${new URLSearchParams({ p: path, t: document.title, s: [screen.width, screen.height, devicePixelRatio], b: 0, q: location.search, rnd: Math.random() })}`;
      const sent = navigator.sendBeacon(url('/beacon'));
      const width = await new Promise((resolve, reject) => {
        const img = new Image();
        img.onload = () => resolve(img.naturalWidth);
        img.onerror = reject;
        img.src = url('/picture');
      });
      const fetched = await fetch(url('/fetched'), { method: 'POST' });
      return [sent, width, fetched.status, await (await fetch(`${base}/counter/${encodeURIComponent('/nothing')}.json`)).json()];
    }, `http://127.0.0.1:${stack.port}/${site.property_id}`);
    assert.deepEqual(told, [true, 1, 200, { count: '0', count_unique: '0' }]);
  } finally {
    await browser.close();
    await pages.close();
  }
  assert.deepEqual((await rows(site, 3)).map((row) => row.page).sort(), ['/beacon', '/fetched', '/picture']);
});

// --- the API

const hit = (more = {}) => ({ path: '/api', user_agent: AGENT, ip: '81.2.69.142', ...more });
const api = (key, body, options = {}) => raw('/api/v0/count', { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), ...options,
  headers: { 'Content-Type': 'application/json', ...key && { Authorization: `Bearer ${key}` }, ...options.headers } });

// A site whose owner has no other, and its owner's key.
async function owned(more = {}) {
  const email = `o${++number}@example.org`, domain = `g${++number}.example`;
  await stack.account(email);
  const site = await stack.footfall(['site', 'add', domain, '--owner', email, '--timezone', 'UTC']);
  stack.sql('app', (more.rules ?? []).map(([kind, value]) => `select from site_rule_add(${site.site_id}, '${kind}', '${value}');`).join('\n') || 'select 1');
  const key = await stack.key('ingest', email);
  await known();
  return { site, key, email };
}

test('POST /api/v0/count: hits are counted as they say, with a key as Bearer or as the password of Basic', async () => {
  const { site, key } = await owned();
  const at = new Date(Date.now() - 3600e3).toISOString();
  const answer = await api(key, { hits: [
    hit({ title: 'A title', ref: 'https://news.example/?q', size: '1280,720,1', query: '?utm_source=mail', language: 'de-AT', location: 'US-TX', created_at: at }),
    hit({ path: 'bought', event: true, bot: 151, created_at: at.replace('Z', '+00:00') }), hit({ size: [800, 600, 1] }),
  ] });
  assert.deepEqual([answer.status, answer.bytes.toString(), answer.headers['x-footfall-dropped']], [202, '{"status":"ok"}', undefined]);
  assert.match(answer.headers['content-type'], /^application\/json/);
  const found = await rows(site, 3);
  const [view, event, now] = [found.find((row) => row.title), found.find((row) => row.kind === 2), found.find((row) => row.width === 800)];
  assert.deepEqual([view.kind, view.page, view.host, view.referrer, view.width, view.utm_source, view.country, view.bot, view.language], [1, '/api', site.domain, 'news.example', 1280, 'mail', 'US', 0, 'de']);
  assert.deepEqual([event.name, event.page, event.bot, now.country], ['bought', '', 2, 'GB']);
  const times = stack.sql('metrics', `select distinct ts from event where site_id = ${site.site_id} and ts < now() - interval '50 minutes'`);
  assert.equal(times.length, 1);
  const basic = { Authorization: `Basic ${Buffer.from(`any:${key}`).toString('base64')}` };
  assert.equal((await api(undefined, { hits: [hit()] }, { headers: basic })).status, 202);
  await rows(site, 4);
});

test('POST /api/v0/count: without a key that may send it is 401; a key of another scope, too, where the peer says 403', async () => {
  const { key, email } = await owned();
  const stats = await stack.key('stats', email);
  for (const Authorization of [undefined, 'Bearer', 'Bearer nonsense', `Basic ${Buffer.from(key).toString('base64')}`, `Basic ${Buffer.from('x:').toString('base64')}`, 'Basic !!!', `Basic ${'QUFB'.repeat(200)}`, `Digest ${key}`, `Bearer ${stats}`]) {
    const answer = await api(undefined, { hits: [hit()] }, { headers: Authorization ? { Authorization } : {} });
    assert.equal(answer.status, 401, Authorization);
    assert.equal(answer.headers['www-authenticate'], 'Bearer, Basic realm="Footfall"');
    assert.equal(answer.headers['x-footfall-dropped'], 'key');
    assert.ok(answer.json().error);
  }
});

test('POST /api/v0/count: the site is the host\'s, if the key may write it, else the only one that it may', async () => {
  const { site, key, email } = await owned();
  const other = await siteWith();
  assert.equal((await api(key, { hits: [hit()] }, { headers: { Host: other.domain } })).status, 202, 'not of this key');
  await rows(site, 1);
  const second = await stack.footfall(['site', 'add', `g${++number}.example`, '--owner', email, '--timezone', 'UTC']);
  await known();
  for (const one of [site, second]) assert.equal((await api(key, { hits: [hit()] }, { headers: { Host: `www.${one.domain}` } })).status, 202);
  await rows(site, 2);
  await rows(second, 1);
  const answer = await api(key, { hits: [hit()] });
  assert.equal(answer.status, 400);
  assert.match(answer.json().error, /several sites/);
  assert.equal(stack.events(other), 0);
});

test('POST /api/v0/count: what is wrong is told by index, and the rest was taken', async () => {
  const { site, key } = await owned();
  const wrong = [{ ...hit(), path: undefined }, hit({ path: '' }), 'text', hit({ ip: 'x' }), hit({ title: 't'.repeat(1025) }), hit({ bot: 5 }), hit({ event: 'maybe' }), hit({ created_at: 'yesterday' }),
    hit({ created_at: new Date(Date.now() + 60e3).toISOString() }), hit({ created_at: '1999-01-01T00:00:00Z' }), hit({ location: 'nowhere' }), hit({ path: 5 }), hit({ session: 's'.repeat(201) }),
    hit({ ip: undefined }), hit({ user_agent: undefined }), null];
  const answer = await api(key, { hits: [hit({ path: '/first', created_at: new Date(Date.now() + 2e3).toISOString() }), ...wrong, hit({ path: '/l\\u0061st "quoted" é' })] });
  assert.equal(answer.status, 400);
  assert.deepEqual(Object.keys(answer.json()), ['errors']);
  assert.deepEqual(Object.keys(answer.json().errors).map(Number), wrong.map((_, i) => i + 1));
  assert.equal(answer.json().errors[1], 'path: must be set');
  assert.equal(answer.json().errors[9], 'created_at: in the future');
  assert.equal(answer.json().errors[14], "session or browser/IP not set; use no_sessions if you don't want to track unique visits");
  assert.equal(answer.headers['x-footfall-dropped'], 'invalid');
  assert.equal((await rows(site, 2)).length, 2);
  await dropped(site, 'invalid', wrong.length);
});

test('POST /api/v0/count: a body that is wrong as a whole is 400, and nothing of it is taken', async () => {
  const { site, key } = await owned();
  for (const [body, reason] of [['', /not a JSON object/], ['[]', /not a JSON object/], ['{"hits":[{"path":"/x"}', /not a JSON object/], [{}, /^no hits$/], [{ hits: [] }, /^no hits$/], [{ hits: {} }, /^no hits$/],
    [{ hits: Array(501).fill(hit()) }, /^maximum amount of pageviews in one batch is 500$/], [{ filter: ['x'], hits: [hit()] }, /unknown value in Filter/], [{ filter: 'ip', hits: [hit()] }, /not an array/],
    [{ no_sessions: 'maybe', hits: [hit()] }, /no_sessions/]]) {
    const answer = await api(key, body);
    assert.deepEqual([answer.status, Object.keys(answer.json())], [400, ['error']], JSON.stringify(body).slice(0, 50));
    assert.match(answer.json().error, reason);
  }
  assert.equal((await api(key, 'x'.repeat((2 << 20) + 1))).status, 413);
  assert.equal((await raw('/api/v0/count')).status, 405);
  assert.equal((await api(key, { hits: Array.from({ length: 500 }, (_, i) => hit({ title: `${'long '.repeat(150)}${i}` })) })).status, 202, 'also beyond what pages may send');
  await rows(site, 500);
});

test('POST /api/v0/count: what the site\'s rules refuse is listed in X-Goatcounter-Filter, whatever filter says, unlike the peer, which knows addresses only', async () => {
  const { site, key } = await owned({ rules: [['ip', '81.2.69.142'], ['path', '/private/*'], ['origin', 'https://ok.example']] });
  const hits = [hit({ ip: '8.8.8.8' }), hit(), hit({ ip: '8.8.8.8', path: '/private/x' }), hit({ ip: '8.8.8.8', path: '/ok' })];
  for (const filter of [undefined, ['ip'], []]) {
    const answer = await api(key, { filter, hits });
    assert.deepEqual([answer.status, answer.bytes.toString()], [202, '{"status":"ok"}']);
    assert.deepEqual([answer.headers['x-goatcounter-filter'], answer.headers['x-footfall-dropped']], ['1, 2', 'ip, path']);
  }
  await rows(site, 6);
  const all = await api(key, { hits: Array(500).fill(hit()) });
  assert.equal(all.headers['x-goatcounter-filter'], Array.from({ length: 500 }, (_, i) => i).join(', '));
});

test('POST /api/v0/count: a session makes the visitor of a day, in place of address and agent; without any, each hit is one', async () => {
  const { site, key } = await owned();
  const answer = await api(key, { no_sessions: true, hits: [hit({ session: 'a' }), hit({ session: 'a', ip: '8.8.8.8' }), { path: '/api', session: 'b' }, hit(), hit(), { path: '/api' }, { path: '/api', user_agent: AGENT }] });
  assert.equal(answer.status, 202, answer.bytes.toString());
  const yesterday = await api(key, { hits: [{ path: '/api', session: 'a', created_at: new Date(Date.now() - 86400e3).toISOString() }] });
  assert.equal(yesterday.status, 202);
  const visitors = (await rows(site, 8)).map((row) => row.visitor);
  assert.equal(new Set(visitors).size, 6, 'a, b, the agent, two of their own, and a of yesterday');
  assert.ok(visitors.every((visitor) => BigInt(visitor) % 2n === 0n));
});

test('POST /api/v0/count: with an id of ours a hit counts once, whenever it is sent again; a call that the door repeats, too', async () => {
  const { site, key } = await owned();
  for (const ingress of [0, 1, 1]) assert.equal((await api(key, { hits: [hit({ id: 'one' }), hit({ id: 'two' })] }, { ingress })).status, 202);
  await rows(site, 2);
  for (const ingress of [0, 1]) assert.equal((await api(key, { no_sessions: true, hits: [hit(), hit(), { path: '/alone' }] }, { ingress, headers: { 'X-Request-Id': 'call' } })).status, 202);
  await rows(site, 5);
});

test('503 says that nothing was kept: while there is no key of a past day, a hit of it is not taken', async () => {
  const { site, key } = await owned();
  const old = { hits: [hit({ created_at: '2019-07-01T12:00:00Z' })] };
  stack.sql('app', 'alter function day_key_for(date) rename to day_key_away');
  const answer = await api(key, old);
  stack.sql('app', 'alter function day_key_away(date) rename to day_key_for');
  assert.deepEqual([answer.status, answer.headers['retry-after']], [503, '5']);
  await waitFor(async () => (await api(key, old)).status === 202, 'keys again');
  await rows(site, 1);
});

// --- the pixel

const pixel = (site, query = '', headers = {}) => raw(`/pixel/${site.property_id}.gif${query}`, { headers });

test('/pixel: a page view of p, of u, or of the page in Referer, with the visitor\'s own address and agent', async () => {
  const site = await siteWith();
  const page = `https://www.${site.domain}/by/referer/?utm_source=mail`;
  for (const [query, headers] of [['?p=/by/p/', { Referer: page }], ['?p=by/p%3Futm_source%3Dx&r=https://news.example/x&t=Title'], [`?u=${encodeURIComponent(`https://${site.domain}/by/u?x=1`)}`], ['', { Referer: page }]])
    isTaken(await pixel(site, query, headers));
  const found = await rows(site, 4);
  assert.deepEqual(found.map((row) => [row.kind, row.host, row.page, row.utm_source]), [[1, site.domain, '/by/p', ''], [1, site.domain, '/by/p', 'x'], [1, site.domain, '/by/u', ''], [1, site.domain, '/by/referer', 'mail']]);
  assert.deepEqual([found[1].referrer, found[1].title, new Set(found.map((row) => row.visitor)).size], ['news.example/x', 'Title', 1]);
  isGif(await raw(`/pixel/${site.property_id}.gif`, { method: 'HEAD' }).then((head) => ({ ...head, bytes: GIF })));
});

test('/pixel: what is wrong is 400 or 404, what the site refuses 202, bots are marked', async () => {
  const site = await siteWith({ rules: [['origin', 'https://ok.example'], ['path', '/no']], set: 'honour_dnt = true' });
  for (const query of ['', '?u=nonsense', '?p=', `?p=/${'x'.repeat(2100)}`]) {
    const answer = await pixel(site, query);
    assert.deepEqual([answer.status, answer.headers['x-footfall-dropped']], [400, 'invalid'], query);
  }
  for (const path of [`/pixel/${site.domain}.gif?p=/x`, '/pixel/00000000-0000-4000-8000-000000000000.gif?p=/x', `/pixel/${site.property_id}.png`, '/pixel/'])
    assert.equal((await raw(path)).status, 404, path);
  for (const [query, headers, reason] of [['?p=/no', {}, 'path'], ['?p=/x', { DNT: '1' }, 'opt_out'], ['?p=/x', { Referer: 'https://evil.example/x' }, 'origin'], ['?p=/x', { Origin: 'https://evil.example' }, 'origin']]) {
    const answer = await pixel(site, query, headers);
    isGif(answer, 202);
    assert.equal(answer.headers['x-footfall-dropped'], reason);
  }
  isTaken(await pixel(site, '?p=/x', { Referer: 'https://ok.example/' }));
  isTaken(await pixel(site, '?p=/x', { 'Sec-Purpose': 'prefetch' }));
  assert.deepEqual((await rows(site, 2)).map((row) => row.bot), [0, 5]);
});

test('/pixel: counts a page whose scripts are off, in a browser', async () => {
  const site = await siteWith();
  const pages = await serveHtml(`<!DOCTYPE html><title>x</title><noscript><img src="${stack.url}/pixel/${site.property_id}.gif?p=/quiet" alt=""></noscript>`);
  const browser = await openBrowser();
  try {
    await (await (await browser.newContext({ javaScriptEnabled: false })).newPage()).goto(pages.url);
    assert.deepEqual([(await first(site)).page], ['/quiet']);
    await (await browser.newPage()).goto(pages.url);
  } finally {
    await browser.close();
    await pages.close();
  }
  assert.equal(stack.events(site), 1, 'not with scripts');
});
