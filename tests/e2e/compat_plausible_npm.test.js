// Plausible's npm packages, @plausible-analytics/tracker and the older plausible-tracker, as they are, in a real
// browser: pages import them and set but the address and the site; what they send is read from reports.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { openBrowser, ROOT, startStack, waitFor } from './harness.js';
import { ENGAGEMENT, eventsOf, storedEvents } from './stored.js';

const MODULES = { '/tracker/': '@plausible-analytics/tracker', '/older/': 'plausible-tracker/build/module' };

let stack, browser, server, key, number = 0;
let site, context, html; // of the test that runs

before(async () => {
  stack = await startStack();
  await stack.account();
  key = await stack.key('stats');
  browser = await openBrowser();
  server = http.createServer(serve).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => context?.close());
after(async () => {
  await browser?.close();
  server?.closeAllConnections();
  server?.close();
  await stack?.remove();
});

// The modules as they lie in node_modules (a bundler would find "./lib/tracker" without its ".js", too), and the test's
// one page at every other path.
function serve(asked, answer) {
  const { pathname } = new URL(asked.url, 'http://x');
  const prefix = Object.keys(MODULES).find((start) => pathname.startsWith(start));
  if (prefix) {
    const file = path.join(ROOT, 'node_modules', MODULES[prefix], pathname.slice(prefix.length));
    return answer.writeHead(200, { 'Content-Type': 'text/javascript' }).end(fs.readFileSync(fs.existsSync(file) ? file : `${file}.js`));
  }
  if (pathname.endsWith('.pdf')) return answer.writeHead(200, { 'Content-Type': 'application/pdf', 'Content-Disposition': 'attachment' }).end('%PDF-');
  return answer.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(html);
}

const address = (route = '/', host = site.domain) => `http://${host}:${server.address().port}${route}`;

// Open a page of a site of its own. Names under localhost are this machine's to browsers, and no "localhost" to the trackers.
async function open(script, { route = '/', body = '', host, init } = {}) {
  site = await stack.site(`s${++number}.localhost`);
  html = `<!doctype html><title>Page</title><body>${body}<script type="module">${script.replaceAll('ENDPOINT', stack.url).replaceAll('DOMAIN', site.domain)}; window.ready = true</script>`;
  context = await browser.newContext();
  if (init) await context.addInitScript(init);
  const page = await context.newPage();
  page.sent = [];
  page.on('request', (request) => { if (request.url().endsWith('/api/event') && request.method() === 'POST') page.sent.push(JSON.parse(request.postData())); });
  page.on('pageerror', (error) => assert.fail(error.message));
  await page.goto(address(route, host ?? site.domain));
  await page.waitForFunction(() => window.ready);
  return page;
}

// { 'pageview /': 1, 'Signup /': 2 } as the report has it.
async function counted() {
  const rows = await stack.query(key, { site_id: site.domain, metrics: ['events'], date_range: 'day', dimensions: ['event:name', 'event:page'] });
  return Object.fromEntries(rows.map(({ dimensions, metrics }) => [dimensions.join(' '), metrics[0]]));
}

async function expectCounted(expected) {
  const sorted = (object) => JSON.stringify(Object.entries(object).sort());
  await waitFor(async () => sorted(await counted()) === sorted(expected), JSON.stringify(expected)).catch(async (error) => assert.fail(`${error.message}: ${JSON.stringify(await counted())}`));
}

const ours = (name) => storedEvents(stack, site).filter((event) => event.name === name);

const init = (more = '') => `import { init, track } from '/tracker/plausible.js'; init({ domain: 'DOMAIN', endpoint: 'ENDPOINT/api/event', ${more} }); window.track = track`;

test('tracker: the page and those that a single-page app pushes and goes back to are page views', async () => {
  const page = await open(init(), { route: '/?utm_source=News' });
  await page.evaluate(() => { history.pushState({}, '', '/a'); history.pushState({}, '', '/a?again'); history.pushState({}, '', '/b'); });
  await page.goBack();
  await expectCounted({ 'pageview /': 1, 'pageview /a': 2, 'pageview /b': 1 });
  const source = { site_id: site.domain, metrics: ['visitors', 'visits', 'pageviews', 'bounce_rate'], date_range: 'day', dimensions: ['visit:source'] };
  assert.deepEqual(await stack.query(key, source), [{ dimensions: ['News'], metrics: [1, 1, 4, 0] }]);
  assert.deepEqual(await context.cookies(), []);
});

test('tracker: with hashBasedRouting a page is told by its fragment', async () => {
  const page = await open(init('hashBasedRouting: true'), { route: '/app#/users' });
  await page.evaluate(() => { location.hash = '#/users/7'; });
  await expectCounted({ 'pageview /app#/users': 1, 'pageview /app#/users/7': 1 });
});

test('tracker: a click on an outbound link is an event with the link', async () => {
  const page = await open(init('outboundLinks: true'), { body: '<a id="inner" href="/inner">i</a><a id="outer" href="http://other.localhost:1/x?y=1">o</a>' });
  await page.click('#outer', { noWaitAfter: true });
  await expectCounted({ 'pageview /': 1, 'Outbound Link: Click /': 1 });
  assert.deepEqual(ours('Outbound Link: Click').map((event) => event.props), [{ url: 'http://other.localhost:1/x?y=1' }]);
});

test('tracker: a file that is loaded is an event with its address', async () => {
  const page = await open(init('fileDownloads: true'), { body: '<a id="file" href="/paper.pdf?token=1">f</a><a id="page" href="#x">p</a>' });
  await page.click('#page');
  await page.click('#file');
  await expectCounted({ 'pageview /': 1, 'File Download /': 1 });
  assert.deepEqual(ours('File Download').map((event) => event.props), [{ url: address('/paper.pdf') }]);
});

test('tracker: a form that is sent is an event, one that is not filled is none', async () => {
  const page = await open(init('formSubmissions: true'), { body: '<form action="/thanks"><input name="q" required><button>send</button></form>' });
  await page.click('button');
  await page.fill('input', 'x');
  await page.click('button');
  await page.waitForURL('**/thanks*');
  await expectCounted({ 'pageview /': 1, 'Form: Submission /': 1, 'pageview /thanks': 1 });
});

test('tracker: custom events carry properties and revenue, and the callback is told 202', async () => {
  const page = await open(init("customProperties: (name) => ({ kind: name, plan: 'free' })"));
  const status = await page.evaluate(() => new Promise((resolve) => {
    track('Purchase', { props: { plan: 'pro', seats: 3 }, revenue: { amount: 15.99, currency: 'USD' }, callback: resolve });
  }));
  assert.deepEqual(status, { status: 202 });
  await page.evaluate(() => track('Play', { interactive: false, url: 'https://elsewhere.example/film' }));
  await expectCounted({ 'pageview /': 1, 'Purchase /': 1, 'Play /film': 1 });
  const [purchase] = ours('Purchase'), [play] = ours('Play');
  assert.deepEqual([purchase.props, purchase.revenue, purchase.currency, purchase.interactive], [{ kind: 'Purchase', plan: 'pro', seats: '3' }, 15.99, 'USD', true]);
  assert.deepEqual([play.props, play.interactive, play.host], [{ kind: 'Play', plan: 'free' }, false, 'elsewhere.example']);
});

test('tracker: a click on an element whose class names an event is that event', async () => {
  const page = await open(init(), { body: '<button class="plausible-event-name=Sign+up plausible-event-plan=pro plausible-revenue-amount=5 plausible-revenue-currency=EUR">b</button>' });
  await page.click('button');
  await expectCounted({ 'pageview /': 1, 'Sign up /': 1 });
  const [event] = ours('Sign up');
  assert.deepEqual([event.props, event.revenue, event.currency], [{ plan: 'pro' }, 5, 'EUR']);
});

test('tracker: how far and how long a page was read is stored as it is sent, with the page that was left', async () => {
  const page = await open(init("customProperties: { author: 'Ada' }"), { route: '/story', body: '<div style="height: 5000px"></div>' });
  await waitFor(() => stack.events(site) === 1, 'the page view');
  const more = await eventsOf(stack, site, async () => {
    await page.evaluate(() => { scrollTo(0, 1e6); return new Promise((resolve) => { document.addEventListener('scroll', () => setTimeout(resolve), { once: true }); }); });
    await page.evaluate(() => history.pushState({}, '', '/next'));
  }, 2);
  const engagement = more.find((event) => event.kind === ENGAGEMENT);
  const sent = page.sent.find((body) => body.n === 'engagement');
  assert.deepEqual([engagement.page, engagement.scroll_depth, engagement.engaged_ms, engagement.props], ['/story', sent.sd, sent.e, { author: 'Ada' }]);
  assert.equal(sent.sd, 100);
  assert.ok(sent.e > 0);
  await expectCounted({ 'pageview /story': 1, 'pageview /next': 1 });
  // And when it is left for good.
  const [last] = await eventsOf(stack, site, () => page.goto('about:blank'));
  assert.deepEqual([last.kind, last.page], [ENGAGEMENT, '/next']);
});

test('tracker: who has set plausible_ignore is not counted', async () => {
  const page = await open(init(), { init: () => { localStorage.plausible_ignore = 'true'; } });
  assert.equal(await page.evaluate(() => new Promise((resolve) => { track('Ignored', { callback: (result) => resolve(result ?? 'ignored') }); })), 'ignored');
  assert.deepEqual(page.sent, []);
  await page.evaluate(() => { localStorage.removeItem('plausible_ignore'); track('Counted'); });
  await expectCounted({ 'Counted /': 1 });
});

test('tracker: localhost counts with captureOnLocalhost only', async () => {
  const page = await open(init(), { host: 'localhost' });
  await page.evaluate(() => new Promise((resolve) => { track('Ignored', { callback: resolve }); }));
  assert.deepEqual(page.sent, []);
  await context.close();
  await open(init('captureOnLocalhost: true'), { host: 'localhost' });
  await expectCounted({ 'pageview /': 1 });
  assert.equal(storedEvents(stack, site)[0].host, 'localhost');
});

test('tracker: transformRequest changes an event or keeps it back', async () => {
  const page = await open(init("transformRequest: (body) => body.n === 'Secret' ? null : { ...body, u: body.u.replace('user/17', 'user/_') }"), { route: '/user/17' });
  await page.evaluate(() => { track('Secret'); track('Open'); });
  await expectCounted({ 'pageview /user/_': 1, 'Open /user/_': 1 });
});

test('tracker: with autoCapturePageviews off a page view is what the page says', async () => {
  const page = await open(init('autoCapturePageviews: false'), { route: '/raw' });
  assert.deepEqual(page.sent, []);
  await page.evaluate((url) => track('pageview', { url }), address('/named'));
  await expectCounted({ 'pageview /named': 1 });
});

const older = (more = '', then = 'window.plausible.enableAutoPageviews()') => `import Plausible from '/older/index.js'; window.plausible = Plausible({ domain: 'DOMAIN', apiHost: 'ENDPOINT', ${more} }); ${then}`;

test('plausible-tracker: the page and those that a single-page app pushes and goes back to are page views', async () => {
  const page = await open(older(), { route: '/' });
  await page.evaluate(() => { history.pushState({}, '', '/a'); history.pushState({}, '', '/b'); });
  await page.goBack();
  await expectCounted({ 'pageview /': 1, 'pageview /a': 2, 'pageview /b': 1 });
  assert.equal(storedEvents(stack, site)[0].screen_width, await page.evaluate(() => innerWidth));
});

test('plausible-tracker: in hashMode a page is told by its fragment', async () => {
  const page = await open(older('hashMode: true'), { route: '/app#/users' });
  await page.evaluate(() => { location.hash = '#/users/7'; });
  // It counts a popstate and a hashchange, which a browser makes of a changed fragment: two views, as with Plausible.
  await expectCounted({ 'pageview /app#/users': 1, 'pageview /app#/users/7': 2 });
});

test('plausible-tracker: custom events carry properties, and the callback is called', async () => {
  const page = await open(older('', ''));
  await page.evaluate(() => new Promise((resolve) => { plausible.trackEvent('Signup', { callback: resolve, props: { plan: 'pro', trial: true } }); }));
  await expectCounted({ 'Signup /': 1 });
  assert.deepEqual(ours('Signup')[0].props, { plan: 'pro', trial: 'true' });
});

test('plausible-tracker: a page view may name its own page, referrer and width', async () => {
  const page = await open(older('', ''));
  await page.evaluate((url) => plausible.trackPageview({ url, referrer: 'https://news.ycombinator.com/item', deviceWidth: 400 }), address('/named'));
  await expectCounted({ 'pageview /named': 1 });
  const [{ screen_width, source }] = storedEvents(stack, site);
  assert.deepEqual([screen_width, source], [400, 'Hacker News']);
});

test('plausible-tracker: a click on an outbound link is an event with the link', async () => {
  const page = await open(older('', 'window.plausible.enableAutoOutboundTracking()'), { body: '<a id="outer" href="http://other.localhost:1/x">o</a>' });
  await page.click('#outer', { noWaitAfter: true });
  await expectCounted({ 'Outbound Link: Click /': 1 });
  assert.deepEqual(ours('Outbound Link: Click')[0].props, { url: 'http://other.localhost:1/x' });
});

test('plausible-tracker: plausible_ignore and localhost are not counted, unless trackLocalhost says so', async () => {
  const page = await open(older('trackLocalhost: true'), { host: 'localhost', init: () => { if (location.pathname === '/ignored') localStorage.plausible_ignore = 'true'; else localStorage.clear(); }, route: '/ignored' });
  assert.deepEqual(page.sent, []);
  await page.goto(address('/counted', 'localhost'));
  await expectCounted({ 'pageview /counted': 1 });
  await context.close();
  const plain = await open(older(), { host: 'localhost' });
  await plain.evaluate(() => plausible.trackEvent('Ignored'));
  assert.deepEqual(plain.sent, []);
});
