// Page views of the script, in a real browser: what one tells, what is one, and how the script comes onto pages.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';
import { waitFor } from './harness.js';
import { World } from './tracked.js';

const world = new World();
let routed, key;
before(async () => {
  await world.start();
  routed = await world.siteWith('routed.example', '--script', 'hash');
  key = await world.stack.key('stats');
});
after(() => world.end());

const WITHOUT_NAVIGATION = () => Object.defineProperty(window, 'navigation', { value: undefined });
const go = (page, method, url) => page.evaluate(([how, to]) => history[how]({}, '', to), [method, url]);
const referrers = (place, events) => events.map(({ referrer }) => referrer?.replace(place.url.slice('http://'.length), ''));

// --- what a page view tells -----------------------------------------------------------------------------

world.proves('a page view tells address, campaign, referrer, title, language and screen', { body: '<a href="second?utm_source=Letter&amp;page=2#part">on</a>' }, async (place) => {
  const page = await place.visit('/first', { locale: 'de-AT', screen: { width: 1234, height: 777 } });
  await page.click('a');
  const [first, second] = await place.came(['pageview /first', 'pageview /second']);
  assert.deepEqual({ ...second, visitor: 0, ts: 0 }, {
    kind: 1, name: 'pageview', path: '/second', host: 'localhost', title: 'Title of /second', referrer: `${place.url.slice('http://'.length)}/first`, language: 'de', locale: 'de-AT',
    utm_source: 'Letter', visitor: 0, interactive: true, screen_width: 1234, engaged_ms: null, scroll_depth: null, revenue: null, currency: null, props: null, metadata: null, bot: 0, ts: 0,
  });
  assert.equal(first.referrer, null);
  assert.equal(first.visitor, second.visitor);
});

world.proves('page views are in the answers of the Stats API', {}, async (place) => {
  await place.visit('/a');
  await place.came(['pageview /a']);
  const rows = await world.stack.query(key, { site_id: 'localhost', metrics: ['pageviews', 'visitors'], date_range: 'day', dimensions: ['event:page'] });
  assert.deepEqual(rows.find(({ dimensions }) => dimensions[0] === `${place.prefix}/a`)?.metrics, [1, 1]);
});

world.proves("an event has an id of its own, and neither the page's fragment nor a preflight", async () => ({ gate: await world.openGate() }), async (place) => {
  const page = await place.visit('/a?q=1#secret');
  await page.evaluate(() => footfall('One'));
  await place.came(['pageview /a', 'One /a']);
  const { sent } = place.gate;
  assert.deepEqual(sent.map(({ u }) => u), Array(2).fill(`${place.url}/a?q=1`));
  for (const { id, headers } of sent) {
    assert.match(id, /^[0-9a-f]{32}$/);
    assert.match(headers['content-type'], /^text\/plain/);
    assert.equal(headers.cookie, undefined);
  }
  assert.notEqual(sent[0].id, sent[1].id);
});

// --- single-page navigation -----------------------------------------------------------------------------

for (const [how, init] of [['the Navigation API', undefined], ['the history alone', WITHOUT_NAVIGATION]]) {
  world.proves(`by ${how}, pushState and replaceState to another path and going back are page views, each led to by the page before`, {}, async (place) => {
    const page = await place.visit('/a', { init });
    await go(page, 'pushState', 'b');
    await go(page, 'replaceState', 'c');
    await page.evaluate(() => history.back());
    await page.waitForURL('**/a');
    const events = await place.came(['pageview /a', 'pageview /b', 'pageview /c', 'pageview /a']);
    assert.deepEqual(referrers(place, events), [undefined, '/a', '/b', '/c']);
  });

  world.proves(`by ${how}, what differs only by query or fragment is the same page`, {}, async (place) => {
    const page = await place.visit('/a?one', { init });
    await go(page, 'pushState', '?two');
    await go(page, 'replaceState', '#three');
    await page.evaluate(() => { location.hash = 'four'; });
    await page.evaluate(() => history.back());
    await page.waitForURL('**/a?two#three');
    await place.cameAlone(page, ['pageview /a']);
  });

  world.proves(`by ${how}, two quick navigations are two page views`, {}, async (place) => {
    const page = await place.visit('/a', { init });
    await page.evaluate(() => {
      history.pushState({}, '', 'b');
      history.pushState({}, '', 'c');
    });
    const events = await place.came(['pageview /a', 'pageview /b', 'pageview /c']);
    assert.deepEqual(referrers(place, events), [undefined, '/a', '/b']);
  });

  world.proves(`by ${how}, a page that routes by its fragment has a page view for each, where the site says so`, () => ({ site: routed }), async (place) => {
    const page = await place.visit('/app#/one', { init });
    await page.evaluate(() => { location.hash = '#/two'; });
    await go(page, 'pushState', '#/three');
    await go(page, 'replaceState', '?q#/three');
    await page.evaluate(() => history.back());
    await page.waitForURL('**/app#/two');
    await place.cameAlone(page, ['/one', '/two', '/three', '/two'].map((one) => `pageview /app#${one}`), { told: ({ name, path: shown }) => (name === 'Mark' ? name : `${name} ${shown}`) });
  });
}

world.proves('a link that the page handles by the Navigation API is a page view', {
  body: '<a href="b">b</a><script>navigation.addEventListener("navigate", (e) => e.intercept({ handler: async () => {} }))</script>',
}, async (place) => {
  const page = await place.visit('/a');
  await page.click('a');
  await place.came(['pageview /a', 'pageview /b']);
});

world.proves('back from the back/forward cache is a page view', {}, async (place) => {
  const page = await place.visit('/a');
  await page.evaluate(() => addEventListener('pageshow', (event) => { window.cached = event.persisted; }));
  await page.goto(`${place.url}/b`);
  await page.evaluate(() => { history.back(); });
  await page.waitForFunction(() => window.cached === true);
  await place.came(['pageview /a', 'pageview /b', 'pageview /a']);
  await go(page, 'pushState', 'c');
  await place.came(['pageview /a', 'pageview /b', 'pageview /a', 'pageview /c']);
});

// --- options on the tag ---------------------------------------------------------------------------------

world.proves('with data-manual only the page itself tells page views, and of what', { attributes: 'data-manual' }, async (place) => {
  const page = await place.visit('/a');
  await go(page, 'pushState', 'b');
  await page.evaluate((url) => {
    footfall('pageview');
    footfall('pageview', { url: `${url}/other` });
    footfall('Event', { url: `${url}/another` });
  }, place.url);
  await place.cameAlone(page, ['pageview /b', 'pageview /other', 'Event /another']);
});

world.proves('data-exclude leaves page views out, * within a segment and ** over all', (of) => ({ attributes: `data-exclude="/p${of.places.size + 1}/one/*, /p${of.places.size + 1}/all/**"` }), async (place) => {
  const page = await place.visit('/one/a');
  for (const to of ['/one/a/b', '/one/b', '/all/a/b/c', '/allowed']) await go(page, 'pushState', place.prefix + to);
  await place.cameAlone(page, ['pageview /one/a/b', 'pageview /allowed']);
});

world.proves('data-include leaves all other page views out', (of) => ({ attributes: `data-include="/p${of.places.size + 1}/blog/**"` }), async (place) => {
  const page = await place.visit('/a');
  for (const to of ['/blog/one', '/shop', '/blog/two/three']) await go(page, 'pushState', place.prefix + to);
  await place.cameAlone(page, ['pageview /blog/one', 'pageview /blog/two/three']);
});

world.proves('with data-local="false" pages on this machine are not counted, by any of its names', async () => ({ gate: await world.openGate(), attributes: 'data-local="false"' }), async (place) => {
  for (const at of [place.url, world.elsewhere + place.prefix]) {
    const page = await place.visit('/a', { at });
    await page.evaluate(() => footfall('Event'));
  }
  place.tag = place.tag.replace(place.attributes, '');
  await place.visit('/counted');
  await place.came(['pageview /counted']);
  assert.equal(place.gate.sent.length, 1);
});

world.proves('nothing is sent from a file', async () => ({ gate: await world.openGate() }), async (place) => {
  const file = path.join(os.tmpdir(), `footfall-page-${process.pid}.html`);
  fs.writeFileSync(file, place.tag);
  try {
    const page = await place.visit('', { at: `file://${file}` });
    await page.waitForFunction(() => typeof footfall === 'function');
    await page.evaluate(() => footfall('Event'));
  } finally {
    fs.rmSync(file);
  }
  await place.visit('/counted');
  await place.came(['pageview /counted']);
  assert.equal(place.gate.sent.length, 1);
});

world.proves('behind a prefix of the site owner\'s own, script and events go by it', async () => ({ gate: await world.openGate('/deep/stats') }), async (place) => {
  await place.visit('/a');
  await place.came(['pageview /a']);
  assert.equal(place.gate.sent.length, 1);
});

world.proves('with data-api events go where it says', async () => {
  const gate = await world.openGate('/elsewhere');
  return { gate, tag: `<script defer src="${world.gate.url}/js/${world.site.property_id}.js" data-api="${gate.url}/api/event"></script>` };
}, async (place) => {
  await place.visit('/a');
  await place.came(['pageview /a']);
  assert.equal(place.gate.sent.length, 1);
});

// --- how the script comes onto the page -----------------------------------------------------------------

for (const [name, tag] of [
  ['script.js with data-domain', (url) => `<script defer data-domain="localhost" src="${url}/js/script.js"></script>`],
  ['script.js with data-property', (url, site) => `<script defer data-property="${site.property_id}" src="${url}/js/script.js"></script>`],
  ["Plausible's old name with extensions", (url) => `<script defer data-domain="localhost" src="${url}/js/script.manual.outbound-links.file-downloads.tagged-events.local.pageleave.js"></script><script>addEventListener("load", () => footfall("pageview"))</script>`],
  ["Plausible's oldest name", (url) => `<script defer data-domain="localhost" src="${url}/js/plausible.js"></script>`],
  ['async', (url, site) => `<script async src="${url}/js/${site.property_id}.js"></script>`],
  ['neither defer nor async', (url, site) => `<script src="${url}/js/${site.property_id}.js"></script>`],
  ['a tag that another script inserts', (url, site) => `<script>setTimeout(() => document.head.append(Object.assign(document.createElement("script"), { src: "${url}/js/${site.property_id}.js" })))</script>`],
]) {
  world.proves(`${name}: the page is counted once`, () => ({ tag: tag(world.gate.url, world.site) }), async (place) => {
    const page = await place.visit('/a');
    await page.waitForFunction(() => typeof footfall === 'function');
    await place.cameAlone(page, ['pageview /a']);
  });
}

world.proves("Plausible's hash in the script's name makes it route by the fragment", () => ({ file: 'script.hash.js', attributes: 'data-domain="localhost"' }), async (place) => {
  const page = await place.visit('/app#/one');
  await page.evaluate(() => { location.hash = '#/two'; });
  await place.came(['pageview /app#/one', 'pageview /app#/two']);
});

world.proves('a script of no known site is not there, and the page is none the worse', () => ({ file: '00000000-0000-4000-8000-000000000000.js' }), async (place) => {
  const answer = await fetch(`${world.gate.url}/js/${place.file}`);
  assert.equal(answer.status, 404);
  await place.visit('/a');
});

world.proves('a page is loaded, used and left, though no event of it is ever answered', async () => ({ gate: await world.openGate(), body: '<a href="b">b</a>' }), async (place) => {
  place.gate.rule = () => 'hold';
  const page = await place.visit('/a'); // resolves at its load
  await waitFor(() => place.gate.sent.length, 'the page view that is never answered');
  await page.evaluate(() => footfall('Event'));
  await page.click('a');
  await page.waitForURL('**/b');
});

// --- without JavaScript ---------------------------------------------------------------------------------

world.proves('without JavaScript the pixel counts the page', () => ({
  tag: `<noscript><img src="${world.gate.url}/pixel/${world.site.property_id}.gif" alt="" referrerpolicy="no-referrer-when-downgrade"></noscript>`, head: '<script>document.title = "with JavaScript"</script>',
}), async (place) => {
  await place.visit('/a', { javaScriptEnabled: false });
  await place.came(['pageview /a']);
  await place.visit('/b'); // has JavaScript, so no pixel
  await place.visit('/c', { javaScriptEnabled: false });
  await place.came(['pageview /a', 'pageview /c']);
});
