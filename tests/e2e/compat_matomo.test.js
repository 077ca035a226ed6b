// GET and POST /matomo.php as Matomo's clients send them (developer.matomo.org/api-reference/tracking-api, matomo.js,
// core/Tracker/Response.php), with exact answers, and what is in the tables then.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import MatomoTracker from 'matomo-tracker';
import { openBrowser, startStack, waitFor } from './harness.js';
import { ask, assertRows, dropped, eventsOf, GB, GOOGLEBOT, KIND, sitesWith, US } from './peers.js';

const GIF = Buffer.from('R0lGODlhAQABAIAAAAAAAAAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==', 'base64').toString();
const FIREFOX = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0';
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded; charset=UTF-8' };

let stack, sites, key, stats, browser;
before(async () => {
  stack = await startStack();
  await stack.account();
  key = await stack.key('ingest');
  stats = await stack.key('stats');
  sites = await sitesWith(stack, {
    rows: {}, form: {}, image: {}, empty: {}, wrong: {}, anonymous: {}, server: {}, tokens: {}, bulk: {}, retry: {}, node: {}, chromium: {}, xhr: {}, counts: {}, later: {}, bots: { bots: 'refuse' },
    persistent: { identity: 'persistent' }, ip: { rules: [['ip', GB]] }, origin: { rules: [['origin', 'https://ok.example']] }, dnt: { honour_dnt: true },
  });
});
after(async () => {
  await browser?.close();
  await stack?.remove();
});

const query = (site, params) => new URLSearchParams({ idsite: site.site_id, rec: 1, ...params }).toString();
const get = (site, params, more) => ask(stack, `/matomo.php?${query(site, params)}`, { method: 'GET', ...more });
const post = (body, { headers, ...more } = {}) => ask(stack, '/matomo.php', { headers: { ...FORM, ...headers }, body, ...more });
const bulk = (requests, more = {}, options) => post({ requests, ...more }, options);

function assertTaken(answer, what) {
  assert.deepEqual([answer.status, answer.text], [200, GIF], what);
  assert.equal(answer.headers['content-type'], 'image/gif');
  assert.equal(answer.headers['content-length'], '43');
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.equal(answer.headers['x-footfall-dropped'], undefined, what);
  assert.equal(answer.headers['set-cookie'], undefined);
}

const url = 'https://shop.example/';
const rows = [
  ["the script's page view", { action_name: 'Shoes', url: 'https://www.shop.example/shoes/?utm_source=news&q=secret#top', urlref: 'https://www.google.com/search?q=x', res: '1920x1080', rand: 7, h: 1, m: 2, s: 3, _id: '0123456789abcdef', _idn: 1, pv_id: 'aB3dE6', send_image: 1, apiv: 1, cookie: 1, pf_net: 1, uadata: '{}' },
    { kind: KIND.pageview, host: 'shop.example', page: '/shoes', title: 'Shoes', referrer: 'google.com/search', source: 'news', screen_width: 1920, props: null, name: null }],
  ['lang as Accept-Language has it', { url, lang: 'fr-CH,fr;q=0.9,en;q=0.8' }, { language: 'fr' }],
  ['a property id as idsite', { url: `${url}uuid` }, { page: '/uuid' }, 'property'],
  ["no url: the site's /", { action_name: 'None', urlref: 'https://x.example/' }, { kind: KIND.pageview, host: 'rows.example', page: '/', title: 'None' }],
  ['an event', { url, e_c: 'Videos', e_a: 'Play', e_n: 'Trailer', e_v: '1.5', ca: 1 }, { kind: KIND.event, name: 'Videos - Play', page: '/', props: { e_c: 'Videos', e_a: 'Play', e_n: 'Trailer', e_v: '1.5' } }],
  ['an event of long words, whose name is cut', { url, e_c: 'ö'.repeat(200), e_a: 'Play' }, { name: 'ö'.repeat(120), props: { e_c: 'ö'.repeat(200), e_a: 'Play' } }],
  ['an event without an action: a page view, as for Matomo', { url, e_c: 'Videos' }, { kind: KIND.pageview, name: null }],
  ['a click that leads away', { url, link: 'https://else.example/x?y=1' }, { kind: KIND.event, name: 'Outbound Link: Click', props: { url: 'https://else.example/x?y=1' } }],
  ['a download', { url, download: 'https://shop.example/a.pdf' }, { kind: KIND.event, name: 'File Download', props: { url: 'https://shop.example/a.pdf' } }],
  ['a search in the site', { url, search: 'boots', search_cat: 'Shoes', search_count: 0 }, { kind: KIND.event, name: 'Site Search', props: { search: 'boots', search_cat: 'Shoes', search_count: '0' } }],
  ['a goal', { url, idgoal: 3, revenue: '9.50' }, { kind: KIND.event, name: 'Goal 3', revenue: 9.5, currency: 'XXX', props: { idgoal: '3' } }],
  ['an order', { url, idgoal: 0, ec_id: 'A-1', revenue: 120, ec_st: 100, ec_tx: 19, ec_sh: 1, ec_dt: 0, ec_items: '[["sku","name","",1,1]]' },
    { kind: KIND.event, name: 'Ecommerce Order', revenue: 120, currency: 'XXX', props: { ec_id: 'A-1', ec_st: '100', ec_tx: '19', ec_sh: '1', ec_dt: '0' } }],
  ['an order with a currency, which is ours', { url, idgoal: 0, ec_id: 'A-2', revenue: 5, currency: 'chf' }, { revenue: 5, currency: 'CHF' }],
  ['a cart, which earned nothing yet', { url, idgoal: 0, revenue: 120 }, { kind: KIND.event, name: 'Ecommerce Cart Update', revenue: null }],
  ['a heart beat', { url, ping: 1 }, { kind: KIND.ping, props: null }],
  ['an impression of content', { url, c_n: 'Ad', c_p: 'ad.png' }, { kind: KIND.ping }],
  ["a plugin's own", { url, ca: 1, ma_id: 'x' }, { kind: KIND.ping }],
  ['custom dimensions', { url, dimension1: 'gold', dimension12: 'x', dimension: 'no', dimension1x: 'no', dimensions: 'no' }, { kind: KIND.pageview, props: { dimension1: 'gold', dimension12: 'x' } }],
  ['bytes that are no text', { url: `${url}bytes` }, { page: '/bytes', title: 'caf?' }, 'raw'],
];

test('each kind of request is answered with the image, and is in the tables as Matomo would have it', async () => {
  for (const [what, params, , how] of rows) {
    const more = how === 'property' ? { idsite: sites.rows.property_id } : {};
    assertTaken(await ask(stack, `/matomo.php?${query(sites.rows, { ...params, ...more })}${how === 'raw' ? '&action_name=caf%E9' : ''}`, { method: 'GET' }), what);
  }
  assertRows(await eventsOf(stack, sites.rows, rows.length), rows.map(([what, , want]) => [what, want]));
  assert.ok(!stack.sql('metrics', `select value from string where site_id = ${sites.rows.site_id}`).join('\n').includes('secret'));
});

test('a form says the same, after its URL, and send_image=0 is answered 204', async () => {
  const beacon = await post(`?${query(sites.form, { url: `${url}beacon`, send_image: 0 })}`, { headers: { Origin: 'https://shop.example' } });
  assert.deepEqual([beacon.status, beacon.text, beacon.headers['content-type'], beacon.headers['x-footfall-dropped']], [204, '', undefined, undefined]);
  assert.equal(beacon.headers['access-control-allow-origin'], 'https://shop.example');
  assert.equal(beacon.headers['access-control-allow-credentials'], 'true');
  assert.equal(beacon.headers.vary, 'Origin');
  assertTaken(await post(query(sites.form, { url: `${url}form` })));
  assertTaken(await ask(stack, `/matomo.php?${query(sites.form, { url: `${url}both` })}`, { body: `url=${encodeURIComponent(`${url}body`)}&action_name=Body`, headers: FORM }));
  assert.deepEqual((await get(sites.form, { url: `${url}get`, send_image: 0 })).status, 204);
  assert.deepEqual((await eventsOf(stack, sites.form, 4)).map((row) => [row.page, row.title]), [['/beacon', null], ['/form', null], ['/both', 'Body'], ['/get', null]]);
});

test('an image in a page without a url is of the page that shows it', async () => {
  assertTaken(await get(sites.image, {}, { headers: { Referer: 'https://shop.example/shown?x=1' } }));
  assert.deepEqual((await eventsOf(stack, sites.image, 1)).map((row) => [row.host, row.page, row.referrer]), [['shop.example', '/shown', null]]);
});

test('a request of nothing is answered with a sentence, as of Matomo, and OPTIONS as of any format', async () => {
  const answer = await ask(stack, '/matomo.php', { method: 'GET' });
  assert.deepEqual([answer.status, answer.text], [200, "Matomo's trackers may send their events here.\n"]);
  const preflight = await ask(stack, '/matomo.php', { method: 'OPTIONS' });
  assert.deepEqual([preflight.status, preflight.headers['access-control-allow-origin'], preflight.headers['access-control-allow-headers']], [204, '*', '*']);
});

test('difference: wrong input is answered 400 with the reason, where Matomo sends its image, or 200 for rec', async () => {
  const cases = [
    [{ rec: 0, url }, 'rec is not 1'], [{ url: 'data:text/html,x' }, 'url is not an http or https URL'], [{ url: 'ftp://a.example/' }, 'url is not an http or https URL'],
    [{ uid: 'x'.repeat(65), url }, "the visitor's id has more than 64 bytes"], [{ e_c: 'footfall:', e_a: 'x', url }, 'is none that begins with footfall:'],
    [{ idsite: '', url }, 'idsite is missing'], [{ url, send_image: 0, rec: 0 }, 'rec is not 1'],
  ];
  for (const [params, error] of cases) {
    const answer = await get(sites.wrong, params);
    assert.deepEqual([answer.status, answer.json, answer.headers['x-footfall-dropped']], [400, { error }, 'invalid'], JSON.stringify(params));
  }
  for (const idsite of ['2000000000', '99999999999999999999', 'nosuch.example', '0', '-1', '1e0x']) {
    const answer = await get(sites.wrong, { idsite, url });
    assert.deepEqual([answer.status, answer.json, answer.headers['x-footfall-dropped']], [400, { error: 'no site has this idsite' }, 'unknown_site'], idsite);
  }
  assert.equal((await post('x'.repeat(17 << 10))).status, 400);
  assert.equal((await post(Array(65).fill('a=1').join('&'))).status, 400);
  assert.equal(stack.events(sites.wrong), 0);
});

test('difference: what an anonymous caller may not decide is ignored, where Matomo answers 400 or believes it', async () => {
  const before = Date.now() / 1000 - 5;
  assertTaken(await get(sites.anonymous, { url, cip: US, cdt: '2026-01-02 03:04:05', ua: FIREFOX, country: 'us', region: 'ca', city: 'x' }));
  const [row] = await eventsOf(stack, sites.anonymous, 1);
  assert.deepEqual([row.country, row.browser], ['GB', 'Chrome']);
  assert.ok(row.time > before);
});

test("a token, which is a key of ours, lets a server tell the visitor's address, agent, place and time", async () => {
  const yesterday = new Date(Date.now() - 86400000);
  const cdt = yesterday.toISOString().slice(0, 19).replace('T', ' '), unix = Math.floor(yesterday / 1000) + 10;
  const told = { url, cip: US, ua: FIREFOX, token_auth: key };
  assertTaken(await get(sites.server, { ...told, cdt }));
  assertTaken(await post(query(sites.server, { ...told, cdt: unix, country: 'de', region: 'by' })));
  const { token_auth, ...rest } = told;
  assertTaken(await get(sites.server, { ...rest, cdt: unix + 10 }, { headers: { Authorization: `Bearer ${token_auth}` } }));
  assertTaken(await get(sites.server, { url, token_auth }));
  const found = await eventsOf(stack, sites.server, 4);
  assert.deepEqual(found.map((row) => [row.country, row.browser]), [['US', 'Firefox'], ['DE', 'Firefox'], ['US', 'Firefox'], ['GB', 'Chrome']]);
  assert.match(found[1].region, /^DE-BY/);
  assert.deepEqual(found.slice(0, 3).map((row) => row.time), [Math.floor(yesterday / 1000), unix, unix + 10]);
  assert.equal(new Set(found.slice(0, 3).map((row) => row.visitor)).size, 1, 'one visitor of that day');
  for (const [params, error] of [[{ cip: 'x' }, 'cip is not an address'], [{ cdt: 'x' }, 'cdt is no time, as 2026-03-01 12:00:00'], [{ cdt: '2999-01-01 00:00:00' }, 'cdt is in the future'],
    [{ cdt: '1999-12-31 23:59:59' }, 'cdt is before the year 2000'], [{ cdt: '9000000000000000' }, 'cdt is no time, as 2026-03-01 12:00:00']]) {
    const answer = await get(sites.server, { url, token_auth, ...params });
    assert.deepEqual([answer.status, answer.json], [400, { error }]);
  }
});

test('a token that may not send is answered 400 where something needs one, as of Matomo, and passed over elsewhere', async () => {
  for (const token_auth of ['wrong', stats]) {
    for (const [name, value] of [['cip', US], ['cdt', '2026-01-02 03:04:05'], ['ua', FIREFOX], ['country', 'us']]) {
      const answer = await get(sites.tokens, { url, token_auth, [name]: value });
      assert.deepEqual([answer.status, answer.headers['x-footfall-dropped'], answer.json], [400, 'key', { error: `token_auth is no key that may send events of this site, and ${name} needs one` }]);
    }
    assertTaken(await get(sites.tokens, { url, token_auth }));
  }
  assert.equal((await eventsOf(stack, sites.tokens, 2)).length, 2);
  await waitFor(() => dropped(stack, sites.tokens).key === 8, 'each is counted');
});

test('no log has a token', () => {
  const folder = path.join(stack.home, 'log');
  const logs = fs.readdirSync(folder).map((name) => fs.readFileSync(path.join(folder, name), 'utf8'));
  assert.ok(logs.some((text) => text.includes('ingress: started')));
  for (const text of logs) assert.ok(!text.includes(key) && !text.includes('token_auth'));
});

test('where the identity is persistent, uid, else cid, else _id is the visitor', async () => {
  const send = (params, address) => get(sites.persistent, { url, ...params }, { address });
  for (const [params, address] of [[{ uid: 'ada', _id: '0123456789abcdef' }, GB], [{ uid: 'ada' }, US], [{ cid: '00000000000000aa', _id: '0123456789abcdef' }, GB], [{ _id: '0123456789abcdef' }, GB], [{ _id: '0123456789abcdef' }, US], [{}, GB]])
    assertTaken(await send(params, address));
  const visitors = (await eventsOf(stack, sites.persistent, 6)).map((row) => row.visitor);
  assert.equal(visitors[0], visitors[1]);
  assert.equal(visitors[3], visitors[4]);
  assert.equal(new Set(visitors).size, 4);
});

test('what a site refuses is answered with the image, as of Matomo, and the header says so', async () => {
  for (const [site, more, reason] of [[sites.ip, {}, 'ip'], [sites.bots, { headers: { 'User-Agent': GOOGLEBOT } }, 'bot'], [sites.dnt, { headers: { DNT: '1' } }, 'opt_out'], [sites.origin, { headers: { Origin: 'https://evil.example' } }, 'origin']]) {
    const answer = await get(site, { url, bots: 1 }, more);
    assert.deepEqual([answer.status, answer.text, answer.headers['x-footfall-dropped']], [200, GIF, reason]);
  }
  const read = await post(query(sites.origin, { url }), { headers: { Origin: 'https://evil.example' } });
  assert.deepEqual([read.headers['x-footfall-dropped'], read.headers['access-control-allow-origin'], read.headers['access-control-allow-credentials']], ['origin', undefined, undefined], 'difference: Matomo knows no such rule');
  assertTaken(await get(sites.ip, { url }, { address: US }));
  assertTaken(await post(query(sites.origin, { url, token_auth: key }), { headers: { Origin: 'https://evil.example' } }), 'rules about origins are for pages');
});

test('many at once are counted, and those in error named by their index', async () => {
  const answer = await bulk([`?${query(sites.bulk, { url: `${url}1` })}`, `?${query(sites.bulk, { url: 'data:x' })}`, { idsite: sites.bulk.site_id, rec: 1, url: `${url}2`, action_name: 'Ünï' },
    '?idsite=2000000000&rec=1', 5, `https://m.example/matomo.php?${query(sites.ip, { url })}#x`, `?${query(sites.bulk, { url: `${url}3`, cip: US, token_auth: 'wrong' })}`], { token_auth: key });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'application/json');
  assert.deepEqual(answer.json, { status: 'success', tracked: 4, invalid: 3, invalid_indices: [1, 3, 4] });
  assert.equal(answer.headers['x-footfall-dropped'], 'unknown_site, invalid, ip', 'what a rule refuses is no error');
  assert.deepEqual((await eventsOf(stack, sites.bulk, 3)).map((row) => [row.page, row.title, row.country]), [['/1', null, 'GB'], ['/2', 'Ünï', 'GB'], ['/3', null, 'US']]);
  const script = await post(`{"requests":["?${query(sites.bulk, { url: `${url}4` })}"],"send_image":0}`, { headers: { Origin: 'https://shop.example' } });
  assert.deepEqual([script.status, script.text, script.headers['access-control-allow-origin']], [204, '', 'https://shop.example']);
  assert.deepEqual((await bulk([])).json, { status: 'success', tracked: 0, invalid: 0, invalid_indices: [] });
});

test('difference: beyond 1,000 requests or 2 MiB none is taken, and what is no bulk is answered 400 with the reason', async () => {
  const one = `?${query(sites.wrong, { url })}`;
  for (const [body, error] of [[{ requests: Array(1001).fill(one) }, 'there are more than 1000 requests'], [{ requests: {} }, 'requests is not an array'], ['{"requests":[', 'is not JSON'], [{ requests: [one], token_auth: 5 }, 'is not a text']]) {
    const answer = await post(body);
    assert.deepEqual([answer.status, answer.json, answer.headers['x-footfall-dropped']], [400, { error }, 'invalid']);
  }
  assert.equal((await post(undefined, { ingress: 0, headers: { 'Content-Length': (2 << 20) + 1 } })).status, 413);
  const most = await bulk(Array.from({ length: 1000 }, (_, n) => `?${query(sites.later, { url: `${url}${n}`, action_name: 'x'.repeat(900) })}`), {}, { address: '192.0.2.77' }); // which has no more for a while
  assert.deepEqual(most.json, { status: 'success', tracked: 1000, invalid: 0, invalid_indices: [] });
  await waitFor(() => stack.events(sites.later) === 1000, 'all of them');
  assert.equal(stack.events(sites.wrong), 0);
});

test('a request that is sent again with the same X-Request-Id counts once', async () => {
  const again = (id) => ({ ingress: 0, headers: { 'X-Request-Id': id } });
  for (let i = 0; i < 3; i++) assertTaken(await get(sites.retry, { url: `${url}again` }, again('matomo-1')));
  for (let i = 0; i < 3; i++) assert.equal((await bulk([1, 2].map((n) => `?${query(sites.retry, { url: `${url}${n}` })}`), {}, again('matomo-2'))).status, 200);
  assertTaken(await get(sites.retry, { url: `${url}last` }));
  await waitFor(async () => (await eventsOf(stack, sites.retry, 4).catch(() => [])).at(-1)?.page === '/last', 'the last');
});

test('where nothing can be taken the answer is 503, and nothing is kept', async () => {
  stack.sql('app', 'alter function day_key_for(date) rename to day_key_away'); // no key of a past day is to be had
  const past = { url, token_auth: key, cdt: '2026-02-03 04:05:06' };
  for (const answer of [await get(sites.wrong, past, { ingress: 0 }), await bulk([`?${query(sites.wrong, past)}`], {}, { ingress: 0 })]) {
    assert.deepEqual([answer.status, answer.headers['x-footfall-dropped'], answer.headers['retry-after']], [503, undefined, '5']);
    assert.deepEqual(answer.json, { error: 'events cannot be taken now, please try again' });
  }
  const mixed = await bulk([`?${query(sites.empty, { url })}`, `?${query(sites.wrong, past)}`], {}, { ingress: 0 });
  assert.deepEqual([mixed.status, mixed.json, mixed.headers['x-footfall-dropped']], [200, { status: 'success', tracked: 1, invalid: 1, invalid_indices: [1] }, 'unavailable']);
  stack.sql('app', 'alter function day_key_away(date) rename to day_key_for');
  await eventsOf(stack, sites.empty, 1);
  assert.equal(stack.events(sites.wrong), 0);
});

test('a heart beat counts as nothing and keeps the visit alive', async () => {
  await get(sites.counts, { url });
  await get(sites.counts, { url, e_c: 'A', e_a: 'B' });
  await get(sites.counts, { url, ping: 1 });
  const events = await eventsOf(stack, sites.counts, 3);
  const [{ metrics }] = await stack.query(stats, { site_id: 'counts.example', metrics: ['visitors', 'visits', 'pageviews', 'events'], date_range: 'day' });
  assert.deepEqual(metrics, [1, 1, 1, 2]);
  const ended = Number(stack.sql('metrics', `select extract(epoch from end_ts) from visit where site_id = ${sites.counts.site_id}`)[0][0]);
  assert.ok(Math.abs(ended - events[2].time) < 0.001);
});

test('the unmodified matomo-tracker sends one, and many', async () => {
  const tracker = new MatomoTracker(sites.node.site_id, `${stack.url}/matomo.php`);
  const errors = [];
  tracker.on('error', (error) => errors.push(error));
  tracker.track({ url: `${url}one`, action_name: 'One', token_auth: key, cip: US, ua: FIREFOX });
  await waitFor(() => stack.events(sites.node) === 1, 'the one');
  const answer = await new Promise((resolve) => { tracker.trackBulk([{ url: `${url}two` }, { url: `${url}two`, e_c: 'Shop', e_a: 'Buy' }], resolve); });
  assert.deepEqual(JSON.parse(answer), { status: 'success', tracked: 2, invalid: 0, invalid_indices: [] });
  assertRows(await eventsOf(stack, sites.node, 3), [['one', { kind: KIND.pageview, page: '/one', title: 'One', country: 'US', browser: 'Firefox' }], ['two', { page: '/two' }], ['event', { kind: KIND.event, name: 'Shop - Buy' }]]);
  assert.deepEqual(errors, []);
});

test("in Chromium the script's image, beacon and XMLHttpRequest each count once", async () => {
  browser = await openBrowser();
  const server = http.createServer((asked, answer) => answer.writeHead(200, { 'Content-Type': 'text/html' }).end('<title>Matomo</title>'));
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  try {
    const page = await browser.newPage();
    await page.goto(`http://localhost:${server.address().port}/page?x=1`);
    const asked = query(sites.chromium, { action_name: 'Matomo', res: '1x1' });
    const fallbacks = await page.evaluate(async ([endpoint, params]) => { // as getImage(), sendPostRequestViaSendBeacon() and sendXmlHttpRequest() of matomo.js
      const request = (what) => `${params}&url=${encodeURIComponent(location.href)}&dimension1=${what}`;
      const image = (what) => new Promise((resolve) => {
        const img = new Image(1, 1);
        img.onload = img.onerror = resolve;
        img.src = `${endpoint}?${request(what)}&send_image=1`;
      });
      let fallbacks = 0;
      await image('image');
      const type = 'application/x-www-form-urlencoded; charset=UTF-8';
      navigator.sendBeacon(endpoint, new Blob([`${request('beacon')}&send_image=0`], { type }));
      await new Promise((resolve) => {
        const xhr = new XMLHttpRequest();
        xhr.open('POST', endpoint, true);
        xhr.onreadystatechange = async () => {
          if (xhr.readyState !== 4) return;
          if (!(xhr.status >= 200 && xhr.status < 300)) { // it sends the same once more
            fallbacks++;
            await image('again');
          }
          resolve();
        };
        xhr.setRequestHeader('Content-Type', type);
        xhr.withCredentials = true;
        xhr.send(`${request('xhr')}&send_image=0`);
      });
      return fallbacks;
    }, [`${stack.url.replace('localhost', '127.0.0.1')}/matomo.php`, asked]);
    assert.equal(fallbacks, 0, 'the script can read that it was taken');
    const rows = await eventsOf(stack, sites.chromium, 3);
    assert.deepEqual(rows.map((row) => row.props.dimension1).sort(), ['beacon', 'image', 'xhr']);
    for (const row of rows) assert.deepEqual([row.kind, row.host, row.page, row.title], [KIND.pageview, 'localhost', '/page', 'Matomo']);
  } finally {
    server.close();
  }
});
