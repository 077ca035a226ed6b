// The script as it is served: what a site's settings make of it, its size, and how it may be cached. What it does in a
// page is proved in a browser elsewhere.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import vm from 'node:vm';
import { gunzipSync, gzipSync } from 'node:zlib';
import { note, request, ROOT, startStack, waitFor } from './harness.js';

const CORE_MOST = 1.5 * 1024; // bytes, gzip
const ALL_MOST = 4 * 1024;
const DEFAULT = ['exit', 'outbound', 'downloads', 'forms', 'tagged', '404', 'metadata'];
// Something that a part does, as it stands in a script.
const SIGNS = {
  exit: 'footfall:exit', outbound: 'Outbound Link: Click', downloads: 'File Download', forms: 'Form: Submission',
  tagged: 'plausible-event-', 404: 'responseStatus', metadata: 'footfall-page',
};
const DNT = 'globalPrivacyControl';
const VISITOR = 'localStorage.footfall_visitor=';
const FORGET = 'delete localStorage.footfall_visitor';

let stack, number = 0;
before(async () => {
  stack = await startStack();
  await stack.account();
});
after(() => stack?.remove());

const get = (name, headers) => request(`${stack.url}/js/${name}`, { headers });
const newSite = () => stack.site(`s${++number}.example`);
const partsOf = (text) => Object.keys(SIGNS).filter((part) => text.includes(SIGNS[part])).sort();

// The script of a site once it is as it should be.
async function scriptOf(site, isRight = () => true) {
  return waitFor(async () => {
    const { status, text } = await get(`${site.property_id}.js`);
    return status === 200 && isRight(text) && text;
  }, `the script of ${site.domain}`);
}

async function scriptWith(site, ...settings) {
  const before = await scriptOf(site);
  await stack.footfall(['site', 'set', site.domain, ...settings]);
  return scriptOf(site, (text) => text !== before);
}

// Run it in a page that is hardly one, with its address ending in a fragment, and hand back what it sends.
function sends(text, attributes = {}, { hash = '#users', globals = {} } = {}) {
  const sent = [], stored = {};
  const location = Object.assign(new URL(`https://example.org/path?q=1${hash}`), {});
  const context = {
    location, localStorage: stored, navigator: { language: 'en' }, screen: { width: 800 }, URL, crypto, setTimeout, clearTimeout,
    history: { pushState() {}, replaceState() {} }, performance: { now: () => 0, getEntriesByType: () => [{}] }, scrollY: 0, innerHeight: 600,
    addEventListener() {}, ResizeObserver: class { observe() {} },
    document: {
      currentScript: { dataset: attributes, src: 'https://stats.example/prefix/js/x.js?v=1' }, referrer: '', title: 'T', readyState: 'interactive',
      getElementById: () => null, hasFocus: () => true, documentElement: { scrollHeight: 600 },
    },
    fetch: (to, { body }) => { sent.push({ to, ...JSON.parse(body) }); return new Promise(() => {}); },
    ...globals,
  };
  context.window = context;
  vm.runInNewContext(text, context);
  assert.equal(typeof context.footfall, 'function');
  return Object.assign(sent, { stored });
}

test("a site's script has its property id, and the parts of the default", async () => {
  const site = await newSite();
  const text = await scriptOf(site);
  assert.deepEqual(partsOf(text), [...DEFAULT].sort());
  assert.equal(text.split(site.property_id).length, 2);
  assert.doesNotMatch(text, /\/\/#|debugger|\n./);
  const [view] = sends(text);
  assert.equal(view.d, site.property_id);
  assert.equal(view.to, 'https://stats.example/prefix/api/event');
  assert.equal(view.u, 'https://example.org/path?q=1');
  assert.equal(view.h, undefined);
  assert.match(view.id, /^[0-9a-f]{32}$/);
  assert.ok(!text.includes(DNT) && !text.includes(VISITOR) && text.includes(FORGET));
});

test('what a site chose is in its script, and nothing else; the default comes back', async () => {
  const site = await newSite();
  const standard = await scriptOf(site);
  assert.deepEqual(partsOf(await scriptWith(site, '--script', 'none')), []);
  for (const part of DEFAULT) assert.deepEqual(partsOf(await scriptWith(site, '--script', part)), [part]);
  assert.deepEqual(partsOf(await scriptWith(site, '--script', 'Tagged, exit')), ['exit', 'tagged']);
  assert.equal(await scriptWith(site, '--script', 'default'), standard);
  const all = await scriptWith(site, '--script', 'all');
  assert.deepEqual(partsOf(all), [...DEFAULT].sort());
  assert.notEqual(all, standard);
});

test('pages are told apart by their fragments only where the site says so', async () => {
  const site = await newSite();
  const [view] = sends(await scriptWith(site, '--script', 'hash'));
  assert.equal(view.u, 'https://example.org/path?q=1#users');
  assert.equal(view.h, 1);
});

test('a wish not to be tracked is heeded where the site honours it', async () => {
  const site = await newSite();
  const navigator = { language: 'en', globalPrivacyControl: true };
  assert.equal(sends(await scriptOf(site), {}, { globals: { navigator } }).length, 1);
  const text = await scriptWith(site, '--honour-dnt', 'yes');
  assert.ok(text.includes(DNT));
  assert.equal(sends(text).length, 1);
  assert.equal(sends(text, {}, { globals: { navigator } }).length, 0);
  assert.equal(sends(text, {}, { globals: { navigator: { doNotTrack: '1' } } }).length, 0);
  assert.ok(!(await scriptWith(site, '--honour-dnt', 'no')).includes(DNT));
});

test('a visitor has an id while the identity of today is persistent, and not a day longer', async () => {
  const site = await newSite();
  const change = (identity, from) => stack.sql('app', `insert into site_identity values (${site.site_id}, current_date + ${from}, '${identity}')
    on conflict (site_id, from_date) do update set identity = excluded.identity`);
  change('persistent', 1); // from tomorrow on
  assert.ok((await scriptOf(site)).includes(FORGET));
  change('persistent', -1);
  const text = await scriptOf(site, (now) => now.includes(VISITOR));
  assert.ok(!text.includes(FORGET));
  const sent = sends(text);
  assert.match(sent[0].visitor, /^[0-9a-f]{32}$/);
  assert.equal(sent.stored.footfall_visitor, sent[0].visitor);
  change('daily', 0);
  await scriptOf(site, (now) => now.includes(FORGET) && !now.includes(VISITOR));
});

test('the script of no site in particular takes it from its tag, and knows what needs no setting', async () => {
  const { status, text } = await get('script.js');
  assert.equal(status, 200);
  assert.deepEqual(partsOf(text), [...DEFAULT].sort());
  assert.ok(![DNT, VISITOR, FORGET].some((sign) => text.includes(sign)));
  assert.equal(sends(text, { domain: 'a.example,b.example' })[0].d, 'a.example,b.example');
  assert.equal(sends(text, { property: 'ID', domain: 'a.example' })[0].d, 'ID');
  assert.equal(sends(text, { domain: 'a.example', api: 'https://other.example/e' })[0].to, 'https://other.example/e');
});

test("it has Plausible's names, too: hash and manual switch something on, its other extensions do no harm", async () => {
  const { text } = await get('script.js');
  for (const name of ['plausible', 'script.outbound-links.file-downloads.tagged-events', 'plausible.local.exclusions.compat.revenue.pageview-props.pageleave'])
    assert.equal((await get(`${name}.js`)).text, text, name);
  assert.equal(sends((await get('script.hash.outbound-links.js')).text)[0].h, 1);
  assert.equal(sends((await get('plausible.manual.js')).text).length, 0);
});

test('of other names there is no script', async () => {
  const site = await newSite();
  const names = ['', 'script', 'nosuch.js', 'script.nosuch.js', 'script.dnt.js', 'script.js/', site.domain, `${site.domain}.js`, site.property_id,
    `${site.property_id}.hash.js`, '00000000-0000-4000-8000-000000000000.js', `${site.property_id}.js.map`];
  for (const name of names) assert.equal((await get(name)).status, 404, name);
  assert.equal((await get(`${site.property_id.toUpperCase()}.js`)).status, 200);
  assert.equal((await request(`${stack.url}/js/script.js`, { method: 'POST', body: '' })).status, 405);
});

test('scripts are cached for five minutes by anyone, loaded from anywhere, and asked for again by their tag', async () => {
  const site = await newSite();
  for (const name of ['script.js', `${site.property_id}.js`]) {
    const { headers, text } = await get(name);
    assert.equal(headers['content-type'], 'text/javascript; charset=utf-8');
    assert.equal(headers['cache-control'], 'public, max-age=300');
    assert.equal(headers['cross-origin-resource-policy'], 'cross-origin');
    assert.equal(headers['access-control-allow-origin'], '*');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['set-cookie'], undefined);
    const { etag } = headers;
    assert.match(etag, /^"[0-9a-f]{16}"$/);
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`]) {
      const again = await get(name, { 'If-None-Match': known });
      assert.deepEqual([again.status, again.text, again.headers.etag], [304, '', etag]);
    }
    assert.equal((await get(name, { 'If-None-Match': '"other"' })).text, text);
  }
  const { etag } = (await get(`${site.property_id}.js`)).headers;
  await scriptWith(site, '--script', 'none');
  assert.equal((await get(`${site.property_id}.js`, { 'If-None-Match': etag })).status, 200);
});

test('the door compresses scripts, and knows its own tag of them again', async () => {
  const answer = await new Promise((resolve, reject) => http.get(`${stack.url}/js/script.js`, { headers: { 'Accept-Encoding': 'gzip' } }, async (got) => {
    const chunks = [];
    for await (const chunk of got) chunks.push(chunk);
    resolve({ headers: got.headers, body: Buffer.concat(chunks) });
  }).on('error', reject));
  assert.equal(answer.headers['content-encoding'], 'gzip');
  assert.equal(gunzipSync(answer.body).toString(), (await get('script.js')).text);
  assert.equal((await get('script.js', { 'If-None-Match': answer.headers.etag, 'Accept-Encoding': 'gzip' })).status, 304);
});

test('the core has less than 1.5 KB gzip, and everything that can be together less than 4 KB', async () => {
  const site = await newSite();
  const core = await scriptWith(site, '--script', 'none');
  stack.sql('app', `update site_identity set identity = 'persistent' where site_id = ${site.site_id}`);
  await stack.footfall(['site', 'set', site.domain, '--script', 'all', '--honour-dnt', 'yes']);
  const all = await scriptOf(site, (text) => [DNT, VISITOR, SIGNS.exit].every((sign) => text.includes(sign)));
  const named = (await get('script.hash.manual.js')).text;
  for (const [what, text, most] of [['the core', core, CORE_MOST], ['a script with everything', all, ALL_MOST], ['one of no site', named, ALL_MOST]]) {
    const bytes = gzipSync(text).length;
    note(`${what}: ${text.length} bytes, ${bytes} gzip`);
    assert.ok(bytes < most, `${what} has ${bytes} bytes gzip`);
  }
});

test('what is served is of the language as of 2018, and needs no eval', async () => {
  const { text } = await get('script.hash.manual.js');
  assert.doesNotMatch(text, /\?\.|\?\?|\beval\b|new Function|replaceAll|catch\{|\.style\b|document\.cookie/);
});

test('browsers of that time that lack what came later are counted', async () => {
  const globals = { ResizeObserver: undefined, navigation: undefined };
  assert.equal(sends(await scriptOf(await newSite()), {}, { globals })[0]?.n, 'pageview');
});

test('a click on a link to another host is sent, however long its address is', async () => {
  const bodies = [], clicked = [];
  const globals = {
    fetch: async (to, { body }) => { bodies.push(body); return { status: 202 }; },
    addEventListener: (type, listener) => { if (type === 'click') clicked.push(listener); },
  };
  sends(await scriptOf(await newSite()), {}, { globals });
  const link = { host: 'other.example', protocol: 'https:', pathname: '/', href: `https://other.example/?${'x'.repeat(3000)}` };
  for (const listener of clicked) listener({ type: 'click', button: 0, composedPath: () => [link] });
  const body = await waitFor(() => bodies.find((text) => text.includes('Outbound Link: Click')), 'the event');
  const { status, text, headers } = await stack.event(body);
  assert.deepEqual([status, text, headers['x-footfall-dropped']], [202, 'ok', undefined]);
});

test('a page is counted, and its campaign known, however long its query is', async () => {
  const location = new URL(`https://example.org/path?utm_source=letter&state=${'x'.repeat(3000)}`);
  const [view] = sends(await scriptOf(await newSite()), {}, { globals: { location } });
  assert.equal(new URL(view.u).searchParams.get('utm_source'), 'letter');
  delete view.to;
  const { status, text, headers } = await stack.event(view);
  assert.deepEqual([status, text, headers['x-footfall-dropped']], [202, 'ok', undefined]);
});

test('the command line shows the parts and the lines for pages, and refuses a part that there is not', async () => {
  const site = await newSite();
  assert.deepEqual((await stack.footfall(['site', 'show', site.domain])).script, DEFAULT);
  const set = await stack.footfall(['site', 'set', site.domain, '--script', 'hash,exit,exit', '--counter', 'yes']);
  assert.deepEqual([set.script, set.counter], [['exit', 'hash'], true]);
  const { stdout } = await stack.footfallRaw(['site', 'show', site.domain]);
  assert.match(stdout, /^script +exit, hash$/m);
  assert.match(stdout, /^counter +yes$/m);
  assert.ok(stdout.includes(`<script defer src="${stack.url}/js/${site.property_id}.js"></script>`), stdout);
  assert.ok(stdout.includes(`<noscript><img src="${stack.url}/pixel/${site.property_id}.gif" alt="" referrerpolicy="no-referrer-when-downgrade"></noscript>`), stdout);
  assert.deepEqual((await stack.footfall(['site', 'set', site.domain, '--script', 'none', '--counter', 'no'])).script, []);
  assert.match((await stack.footfallRaw(['site', 'show', site.domain])).stdout, /^script +none$/m);
  const wrong = await stack.footfallRaw(['site', 'set', site.domain, '--script', 'exit,smell']);
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /"smell" is no part of the script: give some of exit, outbound/);
  assert.equal((await stack.footfallRaw(['site', 'set', site.domain, '--counter', 'on'])).code, 2);
  assert.deepEqual((await stack.footfall(['site', 'show', site.domain])).script, []);
});

test('every part has a file, and every file is one of build.js', () => {
  const files = fs.readdirSync(path.join(ROOT, 'services/tracker/parts')).map((name) => name.replace(/\.js$/, '').replace('_', ' '));
  const pieces = fs.readFileSync(path.join(ROOT, 'build/tracker/footfall.js'), 'utf8').match(/^\/\/# part .*$/gm).map((line) => line.slice(9));
  assert.deepEqual(pieces.sort(), files.sort());
});
